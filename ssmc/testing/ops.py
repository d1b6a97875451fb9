"""Properties of an op: it computes what its token loop computes, and so do its gradients."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, TypeAlias

import torch

from ssmc.testing.case import Case
from ssmc.testing.compare import (
    DOUBLE,
    SINGLE,
    SINGLE_GRADIENT,
    TO_DOUBLE,
    Outcome,
    allow_for_conditioning,
    compare,
    where_finite,
)
from ssmc.testing.data import Call, calls, generator, pack, packed_bounds
from ssmc.testing.generated import Generated

Tensor: TypeAlias = torch.Tensor


def _cast(v: Tensor, dtype: torch.dtype, device: str) -> Tensor:
    if v.is_complex():
        return v.to(device, torch.complex128 if dtype == torch.float64 else torch.complex64)
    return v.to(device, dtype) if v.is_floating_point() else v.to(device)


def _evaluate(
    function: Callable[..., Any], call: Call, leaves: dict[str, Tensor], state: tuple[Tensor, ...], **more: Any
) -> list[Tensor]:
    """Results and last states, flat."""
    given = state[0] if len(state) == 1 else state
    if call.bounds is not None:
        more["cu_seqlens"] = torch.tensor(call.bounds, dtype=torch.int32, device=state[0].device)
    result, last = function(**leaves, **call.numbers, initial_state=given, return_state=True, **more)
    results = result if isinstance(result, tuple) else (result,)
    return [*results, *(last if isinstance(last, tuple) else (last,))]


def _run(
    function: Callable[..., Any],
    call: Call,
    dtype: torch.dtype,
    device: str,
    weights: list[Tensor] | None,
    jiggle: float = 0.0,
    **more: Any,
) -> tuple[list[Tensor], list[Tensor | None]]:
    """Outputs, and the gradients of their weighted sum; `weights` None: no gradients. `jiggle` moves every operand."""
    noise = torch.Generator().manual_seed(1)

    def leaf(v: Tensor) -> Tensor:
        v = _cast(v, dtype, device)
        if jiggle and (v.is_floating_point() or v.is_complex()):
            v = v * (1 + jiggle * (2 * torch.rand(v.shape, generator=noise).to(v.device, v.real.dtype) - 1))
        moves = weights is not None and (v.is_floating_point() or v.is_complex())
        return v.detach().clone().requires_grad_(moves)

    leaves = {n: leaf(v) for n, v in call.operands.items()}
    state = tuple(leaf(v) for v in call.state)
    if weights is None:
        with torch.no_grad():
            return _evaluate(function, call, leaves, state, **more), []
    outputs = _evaluate(function, call, leaves, state, **more)
    wanted = [v for v in (*leaves.values(), *state) if v.requires_grad]
    total: Tensor = torch.zeros((), dtype=torch.float64, device=device)
    for o, w in zip(outputs, weights, strict=True):
        total = total + (torch.view_as_real(o) * torch.view_as_real(w.to(o)) if o.is_complex() else o * w.to(o)).sum()
    if not total.requires_grad:
        return outputs, [None for _ in wanted]
    return outputs, list(torch.autograd.grad(total, wanted, allow_unused=True))


def _weights(call: Call, outputs: list[Tensor], case: Case) -> list[Tensor]:
    """Random cotangents of the results and of the last states."""
    rng = generator(case)

    def draw(o: Tensor) -> Tensor:
        w = torch.randn(o.shape, generator=rng, dtype=torch.float64)
        return torch.complex(w, torch.randn(o.shape, generator=rng, dtype=torch.float64)) if o.is_complex() else w

    return [draw(o) for o in outputs]


@dataclass(frozen=True)
class Place:
    """Where an op is tried: a backend, a device and a dtype."""

    backend: str
    device: str
    dtype: torch.dtype


def values(place: Place, g: Generated, case: Case) -> list[Outcome]:
    """An op's results and last states against its token loop in float64 on the same numbers."""
    return [_compared(g, call, case, place, gradients=False) for call in calls(g, case)]


def gradients(place: Place, g: Generated, case: Case) -> list[Outcome]:
    """The gradients of every operand and initial state against autograd through the token loop."""
    return [_compared(g, call, case, place, gradients=True) for call in calls(g, case)]


def packed(place: Place, g: Generated, case: Case) -> list[Outcome]:
    """Both, for sequences packed behind one another."""
    found = [pack(call, packed_bounds(case), case) for call in calls(g, replace(case, batch=1))]
    return [_compared(g, call, case, place, gradients=way) for call in found for way in (False, True)]


def _compared(g: Generated, call: Call, case: Case, place: Place, gradients: bool) -> Outcome:
    """The worst of one call. Operands are rounded first, so that both sides get the same numbers."""
    single = place.dtype != torch.float64
    tolerance = (SINGLE_GRADIENT if gradients else SINGLE) if single else DOUBLE
    op, reference = getattr(g.module, call.op.name), getattr(g.module, call.op.reference)
    rounded = replace(
        call,
        operands={n: _cast(v, place.dtype, "cpu") for n, v in call.operands.items()},
        state=tuple(_cast(v, place.dtype, "cpu") for v in call.state),
    )
    wanted, _ = _run(reference, rounded, torch.float64, "cpu", None)
    weights = _weights(call, wanted, case) if gradients else None
    truth = partial(_run, reference, rounded, weights=weights)
    names = _names(call, len(wanted), gradients)
    right = truth(torch.float64, "cpu")[gradients]
    got = _run(op, rounded, place.dtype, place.device, weights, backend=place.backend)[gradients]
    found = compare(names, got, right, tolerance)
    if found.failed:
        rough = truth(torch.float32, "cpu")[gradients]
        if single:
            right = where_finite(right, rough)
            found = compare(names, got, right, tolerance)
        jiggled = truth(torch.float64, "cpu", jiggle=torch.finfo(place.dtype).eps)[gradients]
        moved = [compare(names, v, right, tolerance).error for v in (jiggled, rough)]
        found = allow_for_conditioning(found, [moved[0], moved[1] * (1.0 if single else TO_DOUBLE)])
    return replace(found, what=f"{call.op.name}: {found.what}")


def _names(call: Call, outputs: int, gradients: bool) -> list[str]:
    states = [n for n, role in call.op.roles.items() if role == "state"]
    if not gradients:
        return [*(f"output {i}" for i in range(outputs - len(states))), *(f"last `{n}`" for n in states)]
    moving = [n for n, v in call.operands.items() if v.is_floating_point() or v.is_complex()]
    return [f"gradient of {w}" for w in (*(f"`{n}`" for n in moving), *(f"the initial `{n}`" for n in states))]
