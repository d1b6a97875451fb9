"""Properties of an op: it computes what its token loop computes, and so do its gradients."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch

from ssmc.testing.case import Case
from ssmc.testing.compare import (
    DOUBLE,
    SINGLE,
    SINGLE_GRADIENT,
    Outcome,
    allow_for_conditioning,
    compare,
)
from ssmc.testing.data import Call, calls, generator
from ssmc.testing.generated import Generated

Tensor = torch.Tensor


def _cast(v: Tensor, dtype: torch.dtype, device: str) -> Tensor:
    if v.is_complex():
        return v.to(device, torch.complex128 if dtype == torch.float64 else torch.complex64)
    return v.to(device, dtype) if v.is_floating_point() else v.to(device)


def _evaluate(
    function: Callable[..., Any], call: Call, leaves: dict[str, Tensor], state: tuple[Tensor, ...], **more: Any
) -> list[Tensor]:
    """Results and last states, flat."""
    given = state[0] if len(state) == 1 else state
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


def against_reference(
    g: Generated, case: Case, *, dtype: torch.dtype, device: str, backend: str, gradients: bool
) -> list[Outcome]:
    """An op on a backend in a dtype against its token loop in float64 on the same numbers."""
    single = dtype != torch.float64
    tolerance = (SINGLE_GRADIENT if gradients else SINGLE) if single else DOUBLE
    out = []
    for call in calls(g, case):
        op, reference = getattr(g.module, call.op.name), getattr(g.module, call.op.reference)
        rounded = Call(
            call.op,
            {n: _cast(v, dtype, "cpu") for n, v in call.operands.items()},
            tuple(_cast(v, dtype, "cpu") for v in call.state),
            call.numbers,
        )
        wanted, _ = _run(reference, rounded, torch.float64, "cpu", None)
        weights = _weights(call, wanted, case) if gradients else None
        wanted, wanted_grads = _run(reference, rounded, torch.float64, "cpu", weights)
        got, got_grads = _run(op, rounded, dtype, device, weights, backend=backend)
        if gradients:
            names = [f"gradient of `{n}`" for n in _names(call)]
            found = compare(names, got_grads, wanted_grads, tolerance)
        else:
            names = [f"output {i}" for i in range(len(wanted) - len(call.state))]
            names += [f"last state {i}" for i in range(len(call.state))]
            found = compare(names, got, wanted, tolerance)

        def again(
            rounded: Call = rounded, reference: Any = reference, weights: Any = weights, names: list[str] = names,
            wanted: Any = wanted, wanted_grads: Any = wanted_grads,
        ) -> Outcome:  # fmt: skip
            moved, moved_grads = _run(reference, rounded, torch.float64, "cpu", weights, torch.finfo(dtype).eps)
            pairs = (moved_grads, wanted_grads) if gradients else (moved, wanted)
            return compare(names, *pairs, tolerance)

        found = allow_for_conditioning(found, again)
        where = f"{call.op.name}: {found.what}"
        out.append(Outcome(where, found.error, found.tolerance, found.compared, found.loosened))
    return out


def _names(call: Call) -> list[str]:
    moving = [n for n, v in call.operands.items() if v.is_floating_point() or v.is_complex()]
    states = [n for n, role in call.op.roles.items() if role == "state"]
    return [*moving, *(f"initial {n}" for n in states)]
