"""What every GPU test needs: a layer's ops with the operands its own forward gives them, and a comparison in
float64."""

from __future__ import annotations

import inspect
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType

import torch

import ssmc
from tests.tolerances import RMS, limit

SPECS = Path(__file__).parents[1] / "specs"


@dataclass
class Call:
    """One call of an op as forward made it: the module, the op's name, its operands and its numbers."""

    module: ModuleType
    op: str
    operands: dict[str, torch.Tensor]
    numbers: dict[str, object]

    @property
    def reference(self):
        return getattr(self.module, self.op.removesuffix("_op") + "_reference")

    @property
    def states(self) -> list[str]:
        return [n for n, (role, _) in self.module.OPS[self.op].items() if role == "state"]

    def tokens(self) -> list[str]:
        return [n for n, (role, _) in self.module.OPS[self.op].items() if role == "token"]


def flags(op) -> tuple[bool, ...]:
    """What an operator is told beside its numbers: ops with a filter are asked for the last state, others
    for what their kernels leave for the way back."""
    return (True,) if any(a.name in ("last", "keep") for a in op._schema.arguments) else ()


def modules() -> dict[str, ModuleType]:
    return {p.stem: ssmc.load(p) for p in sorted(SPECS.glob("*.ssm"))}


def layer_of(module: ModuleType):
    return getattr(module, module.__all__[0])


def capture(module: ModuleType, layer, u: torch.Tensor, **keywords) -> list[Call]:
    """Run forward and keep what it gives each op."""
    calls: list[Call] = []
    saved = {}
    for name in module.OPS:
        original = getattr(module, name)
        signature = inspect.signature(original)

        def spy(*, _name=name, _original=original, _signature=signature, **given):
            numbers = {k: v for k, v in given.items() if not isinstance(v, torch.Tensor) and k not in KEYWORDS}
            operands = {k: v.detach() for k, v in given.items() if isinstance(v, torch.Tensor) and k not in KEYWORDS}
            calls.append(Call(module, _name, operands, numbers))
            return _original(**given)

        saved[name] = original
        setattr(module, name, spy)
    try:
        with torch.no_grad():
            layer(u, **keywords)
    finally:
        for name, original in saved.items():
            setattr(module, name, original)
    return calls


KEYWORDS = {"initial_state", "return_state", "cu_seqlens", "backend", "inplace"}


def random_states(call: Call, rows: int, dtype: torch.dtype, device: str, seed: int = 0):
    """Initial states of the right shapes, from a run of the reference on one token."""
    one = {k: (v[:1, :1] if k in call.tokens() else v) for k, v in call.operands.items()}
    _, last = call.reference(**one, **call.numbers, return_state=True)
    g = torch.Generator(device="cpu").manual_seed(seed)
    many = last if isinstance(last, tuple) else (last,)
    out = tuple(
        torch.randn(rows, *v.shape[1:], generator=g, dtype=v.dtype).to(device=device, dtype=_wide(v, dtype))
        for v in many
    )
    return out if isinstance(last, tuple) else out[0]


def _wide(v: torch.Tensor, dtype: torch.dtype) -> torch.dtype:
    if v.is_complex():
        return torch.complex128 if dtype == torch.float64 else torch.complex64
    return torch.float64 if dtype == torch.float64 else torch.float32


def cast(call: Call, dtype: torch.dtype) -> Call:
    """Streaming floating operands in another dtype; parameters stay float32."""
    tokens = set(call.tokens())

    def one(name: str, v: torch.Tensor) -> torch.Tensor:
        if not v.is_floating_point():
            return v
        if name in tokens:
            return v.to(dtype)
        return v.to(torch.float64 if dtype == torch.float64 else torch.float32)

    return Call(call.module, call.op, {k: one(k, v) for k, v in call.operands.items()}, call.numbers)


def run(call: Call, states, backend: str | None, cu_seqlens=None, seed: int = 1):
    """Results, last states and all gradients of a random function of both; `backend` None is the reference."""
    leaves = {
        k: (v.detach().clone().requires_grad_() if v.is_floating_point() or v.is_complex() else v)
        for k, v in call.operands.items()
    }
    given = None
    if states is not None:
        many = states if isinstance(states, tuple) else (states,)
        many = tuple(v.detach().clone().requires_grad_() for v in many)
        given = many if isinstance(states, tuple) else many[0]
    keywords = dict(initial_state=given, return_state=True, cu_seqlens=cu_seqlens, **call.numbers)
    if backend is None:
        result, last = call.reference(**leaves, **keywords)
    else:
        result, last = getattr(call.module, call.op)(**leaves, **keywords, backend=backend)
    outs = [*(result if isinstance(result, tuple) else (result,)), *(last if isinstance(last, tuple) else (last,))]
    g = torch.Generator().manual_seed(seed)
    loss = 0
    for o in outs:
        w = torch.randn(o.shape, generator=g, dtype=torch.complex128 if o.is_complex() else torch.float64)
        w = w.to(device=o.device, dtype=torch.complex128 if o.is_complex() else torch.float64)
        wide = o.to(w.dtype)
        loss = (
            loss + (torch.view_as_real(wide) * torch.view_as_real(w)).sum()
            if o.is_complex()
            else loss + (wide * w).sum()
        )
    grads = {}
    if isinstance(loss, torch.Tensor) and loss.requires_grad:
        wanted = {k: v for k, v in leaves.items() if v.requires_grad}
        if given is not None:
            wanted |= {f"state {i}": v for i, v in enumerate(given if isinstance(given, tuple) else (given,))}
        found = torch.autograd.grad(loss, list(wanted.values()), allow_unused=True)
        grads = {k: torch.zeros_like(v) if x is None else x for (k, v), x in zip(wanted.items(), found, strict=True)}
    return [o.detach() for o in outs], grads


def error(a: torch.Tensor, b: torch.Tensor, rms: bool, floor: float = 1e-12) -> float:
    """Relative to the largest value (at least `floor`: what cancels to nothing has none), or in root mean square."""
    if a.numel() == 0:
        return 0.0
    wide = torch.complex128 if b.is_complex() else torch.float64
    a, b = a.detach().to(wide), b.detach().to(wide)
    if not torch.isfinite(torch.view_as_real(a) if a.is_complex() else a).all():
        return float("inf")
    if rms:
        return float((a - b).abs().pow(2).mean().sqrt() / b.abs().pow(2).mean().sqrt().clamp_min(floor))
    return float((a - b).abs().max() / b.abs().max().clamp_min(floor))


def compare(
    call: Call, dtype: torch.dtype, states, backend: str, cu_seqlens=None, floor: float = 1e-12
) -> dict[str, float]:
    """The kernel in `dtype` against the token loop in float64 on the same (rounded) operands; worst errors by kind."""
    low = cast(call, dtype)
    high = cast(low, torch.float64)
    wide = None
    if states is not None:
        wide = (
            tuple(v.to(_wide(v, torch.float64)) for v in states)
            if isinstance(states, tuple)
            else states.to(_wide(states, torch.float64))
        )
    got, got_grads = run(low, states, backend, cu_seqlens)
    want, want_grads = run(high, wide, None, cu_seqlens)
    rms = dtype in RMS
    out = {f"out {i}": error(a, b, rms, floor) for i, (a, b) in enumerate(zip(got, want, strict=True))}
    out |= {f"d {k}": error(got_grads[k], want_grads[k], rms, floor) for k in want_grads}
    return out


def kind(call: Call, name: str) -> str:
    """What an error of `compare` is of, as the table of tolerances knows it."""
    if not name.startswith("d "):
        return "output"
    of = name.removeprefix("d ")
    return "state" if of.startswith("state ") else "stream" if of in call.tokens() else "parameter"


def check(call: Call, errors: dict[str, float], dtype: torch.dtype) -> None:
    for k, e in errors.items():
        most = limit(kind(call, k), dtype)
        assert e <= most, f"{k}: {e:.2e} > {most:.0e}; all: { {n: f'{v:.1e}' for n, v in errors.items()} }"
