"""What tensors an op's kernels are launched on need at once, counted without a device."""

from __future__ import annotations

import inspect
import weakref

import torch
from torch.utils._python_dispatch import TorchDispatchMode

from tests.backends.compiled import recording, results_of
from tests.harness import Call


class Allocated(TorchDispatchMode):
    """Within this, `peak` is how many bytes of new tensors there were at most."""

    def __init__(self) -> None:
        super().__init__()
        self.peak, self.sizes = 0, {}

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        out = func(*args, **(kwargs or {}))
        known = {v.untyped_storage()._cdata for v in args if isinstance(v, torch.Tensor)}
        for v in out if isinstance(out, (tuple, list)) else (out,):
            storage = v.untyped_storage() if isinstance(v, torch.Tensor) else None
            if storage is not None and storage._cdata not in known | set(self.sizes):
                self.sizes[storage._cdata] = storage.nbytes()
                weakref.finalize(storage, self.sizes.pop, storage._cdata, None)
                self.peak = max(self.peak, sum(self.sizes.values()))
        return out


def peak_of(call: Call) -> int:
    """The bytes that the walk forward and the way back of an op on the meta device need beside its operands and the
    cotangent of its result."""
    m, stem, values = call.module, call.op.removesuffix("_op"), list(call.operands.values())
    results, lasts = results_of(call)
    none = [None] * len(lasts)
    forward, backward = getattr(m, f"_{stem}_triton"), getattr(m, f"_{stem}_triton_backward")
    keep = [True] if "keep" in inspect.signature(forward).parameters else []
    with recording(m), Allocated() as found:
        out = forward(*values, *none, None, *call.numbers.values(), *keep)
        results_and_starts = [*out[: len(results)], *out[len(results) + len(lasts) :]]
        del out
        starts = results_and_starts[len(results) :]
        gradients = backward(*results, *none, *values, *none, None, *starts, *call.numbers.values())
        del gradients
    return found.peak
