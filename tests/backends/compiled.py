"""Compiles the kernels that a module's ops would launch, for a GPU that is not there, and reads what they need.

The launches run on meta tensors with every kernel replaced by a recorder, so that signatures, specialisation and
configuration are those of a real call.
"""

from __future__ import annotations

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

BIN = os.path.join(os.path.dirname(triton.__file__), "backends/nvidia/bin")
POINTER = {
    torch.float32: "*fp32", torch.bfloat16: "*bf16", torch.float16: "*fp16", torch.int32: "*i32", torch.int64: "*i64",
    torch.bool: "*i1", torch.uint8: "*u8", torch.int8: "*i8",
}  # fmt: skip


@dataclass(frozen=True)
class Launch:
    """One launch: the kernel and what it is specialised on."""

    name: str
    signature: tuple[tuple[str, str], ...]
    constants: tuple[tuple[str, object], ...]
    divisible: tuple[int, ...]
    num_warps: int


class Recorder:
    """Stands for a kernel: a launch is written down."""

    def __init__(self, kernel, launches):
        self.kernel, self.launches = kernel, launches

    def __getitem__(self, grid):
        def launch(*args, num_warps=4, **named):
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
                    divisible.append(i)
                else:
                    signature.append((p.name, "i32" if -(2**31) <= v < 2**31 else "i64"))
                    if v % 16 == 0 and p.name not in fixed:
                        divisible.append(i)
            self.launches[kernel] = self.launches.get(kernel, [])
            found = Launch(kernel.__name__, tuple(signature), tuple(constants), tuple(divisible), num_warps)
            if found not in self.launches[kernel]:
                self.launches[kernel].append(found)

        return launch


@contextmanager
def recording(module: ModuleType, sms: int = 132):
    """Within, launches are recorded."""
    launches: dict[object, list[Launch]] = {}
    kernels = {n: k for n, k in vars(module).items() if n.endswith("_kernel") and hasattr(k, "arg_names")}
    before = dict(kernels, _sms=module._sms)
    try:
        vars(module).update({n: Recorder(k, launches) for n, k in kernels.items()}, _sms=lambda device: sms)
        yield launches
    finally:
        vars(module).update(before)


def launches_of(
    module: ModuleType, op: str, sizes: dict[str, int], B: int, T: int, dtype: torch.dtype, scalars=(), states=False
):
    """All launches of an op at a size: forward, backward and step. `sizes` are those of axes."""
    roles = module.OPS[op]
    stem = op.removesuffix("_op")

    def make(role, axes, t):
        shape = [sizes[a] for a in axes]
        if role == "token":
            return torch.empty(B, t, *shape, dtype=dtype, device="meta")
        return torch.empty(*shape, device="meta")

    is_complex = module.COMPLEX.get(op, ()) if hasattr(module, "COMPLEX") else ()
    with recording(module) as found:
        for t in (T, 1):
            values = {n: make(r, a, t) for n, (r, a) in roles.items() if r != "state"}
            values = {n: v.to(torch.complex64) if n in is_complex else v for n, v in values.items()}
            own = [
                torch.empty(B, *(sizes[a] for a in axes), device="meta") if states or t == 1 else None
                for r, axes in roles.values()
                if r == "state"
            ]
            out = getattr(module, f"_{stem}_triton")(*values.values(), *own, None, *scalars)
            if t > 1:
                results, lasts = out[: len(out) - len(own)], out[len(out) - len(own) :]
                given = lasts if states else [None] * len(own)
                getattr(module, f"_{stem}_triton_backward")(*results, *given, *values.values(), *own, None, *scalars)
    return [(k, x) for k, xs in found.items() for x in xs]


def compile_launch(kernel, launch: Launch, arch: int = 90) -> dict[str, int]:
    """Registers, spilled bytes, shared memory and instructions of a launch."""
    attrs = {(i,): [["tt.divisibility", 16]] for i in launch.divisible}
    source = ASTSource(fn=kernel, signature=dict(launch.signature), constexprs=dict(launch.constants), attrs=attrs)
    done = triton.compile(source, target=GPUTarget("cuda", arch, 32), options={"num_warps": launch.num_warps})
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
        **count,
    }
