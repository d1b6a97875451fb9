"""Compiles the kernels that a module would launch, for a GPU that is not there, and reads what they need.

The launches run on meta tensors with every kernel replaced by a recorder, so that signatures, specialisation and
configuration are those of a real call.
"""

from __future__ import annotations

import hashlib
import inspect
import os
import re
import subprocess
import tempfile
from contextlib import contextmanager
from dataclasses import dataclass
from types import ModuleType

import torch
import triton
from triton.backends.compiler import GPUTarget
from triton.compiler import ASTSource

from tests.backends.sass import unset
from tests.harness import Call, capture, cast

BIN = os.path.join(os.path.dirname(triton.__file__), "backends/nvidia/bin")
POINTER = {
    torch.float32: "*fp32", torch.bfloat16: "*bf16", torch.float16: "*fp16", torch.int32: "*i32", torch.int64: "*i64",
    torch.float64: "*fp64", torch.bool: "*i1", torch.uint8: "*u8", torch.int8: "*i8",
}  # fmt: skip


@dataclass(frozen=True)
class Launch:
    """One launch: the kernel and what it is specialised on."""

    name: str
    signature: tuple[tuple[str, str], ...]
    constants: tuple[tuple[str, object], ...]
    divisible: tuple[int, ...]
    num_warps: int
    maxnreg: int | None = None
    num_stages: int | None = None


class Recorder:
    """Stands for a kernel: a launch is written down."""

    def __init__(self, kernel, launches):
        self.kernel, self.launches = kernel, launches

    def __getitem__(self, grid):
        def launch(*args, num_warps=4, maxnreg=None, num_stages=None, **named):
            kernel = self.kernel
            values = dict(zip(kernel.arg_names, args, strict=False)) | named
            fixed = set(kernel.do_not_specialize)
            signature, constants, divisible = [], [], []
            for i, p in enumerate(kernel.params):
                v = values[p.name]
                if p.is_constexpr or v is None or (type(v) is int and v == 1 and p.name not in fixed):
                    signature.append((p.name, "constexpr"))
                    constants.append((p.name, v))
                elif isinstance(v, torch.Tensor):
                    signature.append((p.name, POINTER[v.dtype]))
                    if p.name not in fixed:
                        divisible.append(i)
                elif isinstance(v, float):
                    signature.append((p.name, "fp32"))
                else:
                    signature.append((p.name, "i32" if -(2**31) <= v < 2**31 else "i64"))
                    if v % 16 == 0 and p.name not in fixed:
                        divisible.append(i)
            own = tuple(signature), tuple(constants), tuple(divisible)
            found = Launch(kernel.__name__, *own, num_warps, maxnreg, num_stages)
            self.launches.append((kernel, found))

        return launch


def kernels_of(module: ModuleType) -> dict[str, object]:
    """All kernels of a generated file."""
    return {n: k for n, k in vars(module).items() if n.endswith("_kernel") and hasattr(k, "arg_names")}


@contextmanager
def recording(module: ModuleType, sms: int = 132):
    """Within, launches are recorded."""
    launches: list[tuple[object, Launch]] = []
    kernels = kernels_of(module)
    before = dict(kernels, _sms=module._sms)
    try:
        vars(module).update({n: Recorder(k, launches) for n, k in kernels.items()}, _sms=lambda device: sms)
        yield launches
    finally:
        vars(module).update(before)


def convs_of(module: ModuleType, layer) -> list[tuple[str, torch.nn.Conv1d]]:
    """The stem and the child of every convolution."""
    stems = [n.removeprefix("_").removesuffix("_sums") for n in vars(module) if n[0] == "_" and n.endswith("_sums")]
    return list(zip(stems, (c for c in layer.modules() if isinstance(c, torch.nn.Conv1d)), strict=True))


def launches_of(module: ModuleType, layer, B: int, T: int, dtype: torch.dtype, states: bool):
    """All launches of a layer (on the meta device) at a size, each once: of its ops and convolutions forward and
    backward, from given states or from none, and of steps."""
    with recording(module) as found:
        for call in calls_of(module, layer, B, T, dtype):
            _launch_op(call, states)
        for stem, conv in convs_of(module, layer):
            _launch_conv(module, stem, *_conv_operands(conv, B, T, dtype), states)
    return list(dict.fromkeys([*found, *steps_of(module, layer, B, dtype)]))


def chunks_of(module: ModuleType, calls: list[Call]):
    """The launches of the kernels of chunks, forward and backward."""
    with recording(module) as found:
        for call in calls:
            _launch_chunks(call, [None] * len(results_of(call)[1]))
    return list(dict.fromkeys(found))


def steps_of(module: ModuleType, layer, B: int, dtype: torch.dtype):
    """The launches of one step in place, of every op and then of every convolution."""
    with recording(module) as found:
        for call in calls_of(module, layer, B, 1, dtype):
            step = getattr(module, f"_{call.op.removesuffix('_op')}_triton_step", None)
            if step is not None:  # what runs backward in time has none
                step(*call.operands.values(), *results_of(call)[1], *call.numbers.values())
        for stem, conv in convs_of(module, layer):
            x, weight, bias, taps = _conv_operands(conv, B, 1, dtype)
            getattr(module, f"_{stem}_triton_step")(x, weight, bias, taps)
    return found


def calls_of(module: ModuleType, layer, B: int, T: int, dtype: torch.dtype) -> list[Call]:
    """The calls of a layer's ops, on the meta device."""
    u = torch.empty(B, T, layer.d_model, device="meta")
    return [cast(call, dtype) for call in capture(module, layer, u)]


def results_of(call: Call) -> tuple[tuple[torch.Tensor, ...], ...]:
    """Results and last states of an op on the meta device."""
    out = getattr(call.module, call.op)(**call.operands, **call.numbers, return_state=True)
    return tuple(v if isinstance(v, tuple) else (v,) for v in out)


def _launch_op(call: Call, states: bool) -> None:
    m, stem = call.module, call.op.removesuffix("_op")
    values, numbers = list(call.operands.values()), call.numbers.values()
    results, lasts = results_of(call)
    own = lasts if states else [None] * len(lasts)
    forward, backward = getattr(m, f"_{stem}_triton"), getattr(m, f"_{stem}_triton_backward")
    keep = _keep(forward)
    out = forward(*values, *own, None, *numbers, *keep)
    kept = out[len(results) + len(lasts) :]
    backward(*results, *own, *values, *own, None, *kept, *numbers)
    one = [v[:, :1] if n in call.tokens() else v for n, v in call.operands.items()]
    forward(*one, *own, None, *numbers, *keep)
    _launch_chunks(call, own)
    if hasattr(m, f"_{stem}_fresh"):  # for a GPU that rows and channels fill
        sms, empty, m._sms = m._sms, [None] * len(lasts), lambda device: 1
        getattr(m, f"_{stem}_fresh")(*values, *empty, None, *numbers)
        getattr(m, f"_{stem}_fresh_backward")(*results, *empty, *values, *empty, None, *numbers)
        m._sms = sms
    if hasattr(m, f"_{stem}_filtered"):
        for filters in m._TRITON_FILTERS.values():
            getattr(m, f"_{stem}_filtered")(*values, *own, *numbers, True, filters)
            getattr(m, f"_{stem}_filtered_backward")(*results, *own, *values, *own, *numbers, filters)


def _keep(forward) -> list[bool]:
    """That what the way back needs is wanted, of what gives it."""
    return [True] if "keep" in inspect.signature(forward).parameters else []


def _launch_chunks(call: Call, states) -> None:
    m, stem, numbers = call.module, call.op.removesuffix("_op"), call.numbers.values()
    if hasattr(m, f"_{stem}_chunks"):
        values, results = call.operands.values(), results_of(call)[0]
        forward = getattr(m, f"_{stem}_chunks")
        out = forward(*values, *states, None, *numbers, *_keep(forward))
        kept = out[len(results) + len(states) :]
        for left in [kept, [v.new_empty(0) for v in kept]] if kept else [()]:  # or nothing was left
            getattr(m, f"_{stem}_chunks_backward")(*results, *states, *values, *states, None, *left, *numbers)


def _conv_operands(conv: torch.nn.Conv1d, B: int, T: int, dtype: torch.dtype):
    x = torch.empty(B, T, conv.in_channels, dtype=dtype, device="meta")
    weight, bias = (None if v is None else v.to(dtype) for v in (conv.weight, conv.bias))
    return x, weight, bias, x.new_empty(B, conv.kernel_size[0] - 1, conv.in_channels)


def _launch_conv(m: ModuleType, stem: str, x, weight, bias, taps, states: bool) -> None:
    own = taps if states else None
    getattr(m, f"_{stem}_triton")(x, weight, bias, own, None)
    getattr(m, f"_{stem}_triton_backward")(x, own, x, weight, bias, own, None)


def source_hash(kernel, launch: Launch, arch: int) -> str:
    """What a compilation depends on: the kernel's text, that of the functions it calls, the launch, the architecture."""
    texts: dict[str, str] = {}
    pending = [kernel]
    while pending:
        fn = pending.pop()
        texts[fn.__name__] = fn.src
        named = (fn.fn.__globals__.get(w) for w in sorted(set(re.findall(r"\b[A-Za-z_]\w*\b", fn.src))))
        pending += [f for f in named if hasattr(f, "src") and f.__name__ not in texts]
    return hashlib.sha256(repr((sorted(texts.items()), launch, arch)).encode()).hexdigest()


def compile_launch(kernel, launch: Launch, arch: int = 90) -> dict[str, int]:
    """Registers, spilled bytes, shared memory and instructions of a launch, and how many of these read what is not set."""
    attrs = {(i,): [["tt.divisibility", 16]] for i in launch.divisible}
    source = ASTSource(fn=kernel, signature=dict(launch.signature), constexprs=dict(launch.constants), attrs=attrs)
    options = {"num_warps": launch.num_warps, "maxnreg": launch.maxnreg, "num_stages": launch.num_stages}
    options = {k: v for k, v in options.items() if v is not None}
    done = triton.compile(source, target=GPUTarget("cuda", arch, 32), options=options)
    with tempfile.NamedTemporaryFile(suffix=".cubin") as f:
        f.write(done.asm["cubin"])
        f.flush()
        usage = subprocess.run([f"{BIN}/cuobjdump", "-res-usage", f.name], capture_output=True, text=True).stdout
        sass = subprocess.run([f"{BIN}/nvdisasm", "-c", f.name], capture_output=True, text=True).stdout
    number = {k: int(v) for k, v in re.findall(r"(REG|STACK|LOCAL):(\d+)", usage)}
    count = {o: len(re.findall(rf"\b{o}\b", sass)) for o in ("LDL", "STL", "MUFU", "SHFL")}
    instructions = len(re.findall(r"/\*[0-9a-f]{4,}\*/", sass))
    return {
        "registers": number["REG"],
        "stack": number["STACK"],
        "shared": done.metadata.shared,
        "instructions": instructions,
        "unset": len(unset(sass)) if arch == 90 else 0,
        **count,
    }
