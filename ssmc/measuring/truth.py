"""No time for a wrong result: every contender is held against the token loop in float64 on the call that is timed.

The loop walks the first and the last sequence only, piece by piece (what a piece needs for its gradients is computed
again when they are), and the cotangent is zero for the others, so that gradients of parameters are those of the two.
Where it would take minutes, of tens of thousands of tokens, the eager form in float64 stands for it, which the tests
hold against the loop.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, TypeAlias

import torch
from torch.utils.checkpoint import checkpoint

from ssmc.measuring.calls import Call

Tensor: TypeAlias = torch.Tensor
Results = tuple[Tensor, ...]
# Of float64, float32 and half results: relative to the largest value, in half precision the ratio of root mean squares.
_ALLOWED = {torch.float64: (1e-10, 1e-10), torch.float32: (1e-4, 2e-4)}
_HALF = (1e-2, 2e-2)
OTHERS = 20.0  # how much less exact than the generated file others may be
GRADIENT = "gradient of"  # begins the name of an error that is of one
_PIECE = 64
_LONGEST = 8192  # tokens that the loop walks


@dataclass(frozen=True)
class Truth:
    """The results of some sequences, their cotangents, and the gradients of the operands; last, a step's results."""

    rows: list[int]
    results: Results
    cotangents: Results
    gradients: dict[str, Tensor]
    step: Results
    state: Results


def tuple_of(value: Any) -> Results:
    """One result or several."""
    return value if isinstance(value, tuple) else (value,)


def truth(call: Call) -> Truth:
    """The token loop on a call, in float64."""
    rows = sorted({0, call.shape.batch - 1})
    leaves = {n: _wide(v).requires_grad_(n in call.moving) for n, v in call.rows(rows).items()}
    if call.shape.length > _LONGEST:
        results = tuple_of(call.function(**leaves, **call.numbers, backend="eager"))
    else:
        results = _walk(call, leaves)
    noise = torch.Generator().manual_seed(1)
    cotangents = tuple(torch.randn(r.shape, generator=noise).to(r.device, r.dtype) for r in results)
    moving = [n for n in call.moving if leaves[n].requires_grad]
    found = torch.autograd.grad(results, [leaves[n] for n in moving], cotangents, allow_unused=True)
    grads = {n: torch.zeros_like(leaves[n]) if d is None else d for n, d in zip(moving, found, strict=True)}
    reference = getattr(call.generated.module, call.op.reference)
    token = {n: _wide(v) for n, v in call.token().items()}
    state = tuple(_wide(s) for s in call.state)
    with torch.no_grad():
        step, last = reference(
            **token, **call.numbers, initial_state=state if len(state) > 1 else state[0], return_state=True
        )
    return Truth(rows, tuple(r.detach() for r in results), cotangents, grads, tuple_of(step), tuple_of(last))


def _walk(call: Call, leaves: dict[str, Tensor]) -> Results:
    """The results of the loop, a piece of time after another; those of a state that runs backward from the end."""
    reference, names = getattr(call.generated.module, call.op.reference), list(leaves)
    bounds = [(i, min(i + _PIECE, call.shape.length)) for i in range(0, call.shape.length, _PIECE)]
    reverse = call.planned.program.recurrence.reverse
    state: tuple[Tensor, ...] = ()
    parts: list[Results] = []
    several = len(call.state) > 1

    def piece(begin: int, end: int, *values: Tensor) -> tuple[Tensor, ...]:
        given = dict(zip(names, values, strict=False))
        cut = {n: v[:, begin:end] if n in call.op.tokens else v for n, v in given.items()}
        before = values[len(names) :]
        start = None if not before else before if several else before[0]
        result, last = reference(**cut, **call.numbers, initial_state=start, return_state=True)
        return (*tuple_of(result), *tuple_of(last))

    for begin, end in reversed(bounds) if reverse else bounds:
        out = checkpoint(piece, begin, end, *leaves.values(), *state, use_reentrant=False)
        parts.append(out[: -len(call.state)])
        state = out[-len(call.state) :]
    return tuple(torch.cat(p, 1) for p in zip(*(reversed(parts) if reverse else parts), strict=True))


def spread(t: Truth, result: Tensor, i: int) -> Tensor:
    """The cotangent of a contender's i-th result, all sequences of it: zero but for those the loop walked."""
    g = torch.zeros_like(result)
    g[t.rows] = t.cotangents[i].to(g.dtype)
    return g


def wrong(call: Call, t: Truth, results: Results, gradients: dict[str, Tensor], dtype: torch.dtype) -> dict[str, float]:
    """The errors of a sequence's results and gradients over what is allowed, by name; above one is wrong."""
    out = {
        f"result {i}": error_of(r[t.rows], w, dtype, 0) for i, (r, w) in enumerate(zip(results, t.results, strict=True))
    }
    for n, d in gradients.items():
        got = d[t.rows] if n in call.op.tokens else d
        out[f"{GRADIENT} `{n}`"] = error_of(got, t.gradients[n], dtype, 1)
    return out


def wrong_step(t: Truth, results: Results, state: Results | None, dtype: torch.dtype) -> dict[str, float]:
    """The same for a step and, if it is known, the state after it."""
    out = {f"result {i}": error_of(r, w, dtype, 0) for i, (r, w) in enumerate(zip(results, t.step, strict=True))}
    pairs = zip(state or (), t.state if state else (), strict=True)
    return out | {f"state {i}": error_of(s, w, dtype, 0) for i, (s, w) in enumerate(pairs)}


def error_of(got: Tensor, wanted: Tensor, dtype: torch.dtype, kind: int) -> float:
    """The error of a result (`kind` 0) or a gradient (1) in a dtype, over what is allowed."""
    if got.shape != wanted.shape:
        return math.inf
    got, wanted = _wide(got), _wide(wanted)
    if not bool(torch.isfinite(torch.view_as_real(got) if got.is_complex() else got).all()):
        return math.inf
    off, size = (got - wanted).abs(), wanted.abs()
    if dtype in _ALLOWED:
        return float(off.max() / size.max().clamp_min(1e-12)) / _ALLOWED[dtype][kind]
    return float(off.square().mean().sqrt() / size.square().mean().sqrt().clamp_min(1e-12)) / _HALF[kind]


def _wide(v: Tensor) -> Tensor:
    v = v.detach()
    if v.is_complex():
        return v.to(torch.complex128)
    return v.to(torch.float64) if v.is_floating_point() else v
