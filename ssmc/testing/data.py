"""The data of a case: a layer with perturbed parameters, inputs, and the operands that its ops are really given."""

from __future__ import annotations

import random
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from typing import Any

import torch

from ssmc.explain.counts import Sizes
from ssmc.ir.layer import Layer
from ssmc.testing.case import Case
from ssmc.testing.generated import Generated, Op


@dataclass(frozen=True)
class Call:
    """One op's operands, its initial state (a tuple), its numbers, and the bounds of packed sequences."""

    op: Op
    operands: dict[str, torch.Tensor]
    state: tuple[torch.Tensor, ...]
    numbers: dict[str, Any]
    bounds: tuple[int, ...] | None = None


def generator(case: Case) -> torch.Generator:
    """The case's source of randomness."""
    return torch.Generator().manual_seed(case.seed)


def layer_ir(g: Generated, case: Case) -> Layer:
    """The layer under the flags of a case."""
    values = tuple(case.args.get(a.name, a.fixed) for a in g.plan.flags)
    return next((v.partition.layer for v in g.plan.variants if v.values == values), g.plan.partition.layer)


def make_layer(g: Generated, case: Case) -> Any:
    """The layer in float64, its parameters moved a little, so that no zero or one they begin with hides an error."""
    torch.manual_seed(case.seed)
    layer = g.layer(**case.args, dtype=torch.float64)
    rng = generator(case)
    with torch.no_grad():
        for p in layer.parameters():
            noise = torch.rand(p.shape, generator=rng, dtype=torch.float64) - 0.5
            p.mul_(1 + 0.2 * noise).add_(torch.where(p == 0, 0.1 * noise, 0.0).to(p.dtype))
    return layer


def make_inputs(g: Generated, case: Case, layer: Any, rng: torch.Generator) -> dict[str, torch.Tensor]:
    """A tensor for every declared input, by its name in `forward`; those with a default stay near it, or away."""
    ir = layer_ir(g, case)
    sizes = Sizes(ir)
    args = {a.name: case.args.get(a.name, getattr(layer, a.name, None)) for a in ir.args}
    out: dict[str, torch.Tensor] = {}
    for name, declared in zip(g.inputs.values(), ir.inputs.values(), strict=True):
        shape = [case.batch, case.length, *(sizes.value(sizes.axis(a), args) or 1 for a in declared.axes)]  # type: ignore[arg-type]
        noise = torch.randn(shape, generator=rng, dtype=torch.float64)
        if declared.default is None:
            out[name] = case.scale * noise
            continue
        near = sizes.compute(declared.default, args)  # type: ignore[arg-type]
        if bool(torch.rand((), generator=rng) < 0.5) and near is not None and not isinstance(near, str):
            out[name] = float(near) + 0.1 * noise.abs()
    return out


class _Enough(Exception):
    """Every op has been called."""


@contextmanager
def recorded(g: Generated, noted: dict[str, dict[str, Any]], stop: bool = False) -> Iterator[None]:
    """Within this, the ops note what they are called with; with `stop`, the last of them is not run, nor what follows
    it."""

    def noting(op: Op) -> Any:
        original = getattr(g.module, op.name)

        def call(**given: Any) -> Any:
            noted[op.name] = given
            if stop and len(noted) == len(g.ops):
                raise _Enough
            return original(**given)

        return call

    with g.instead(noting), suppress(_Enough):
        yield


def calls(g: Generated, case: Case) -> list[Call]:
    """What each op is given when the layer sees inputs of the case's scale; the initial states are random."""
    layer, rng = make_layer(g, case), generator(case)
    inputs = make_inputs(g, case, layer, rng)
    first = next(iter(g.inputs.values()))
    noted: dict[str, dict[str, Any]] = {}
    finals: dict[str, Any] = {}
    with recorded(g, noted), torch.no_grad():
        layer(inputs[first], **{k: v for k, v in inputs.items() if k != first})
    out = []
    for op in g.ops:
        given = noted[op.name]
        numbers = op.numbers(given)
        operands = {n: _scaled(given[n].detach(), 1.0 if n in op.tokens else case.weights) for n in op.operands}
        with torch.no_grad():
            finals[op.name] = getattr(g.module, op.reference)(
                **{n: given[n] for n in op.operands}, **numbers, return_state=True
            )[1]
        last = finals[op.name] if isinstance(finals[op.name], tuple) else (finals[op.name],)
        state = tuple(_like(s, rng) for s in last)
        out.append(Call(op, operands, state, numbers))
    return out


def pack(call: Call, bounds: tuple[int, ...], case: Case) -> Call:
    """The call of one row as one of packed sequences, each with a state of its own."""
    rng = generator(case)
    rows = [s.new_zeros(len(bounds) - 1, *s.shape[1:]) + s[:1] for s in call.state]
    return replace(call, state=tuple(_like(s, rng) for s in rows), bounds=bounds)


def packed_bounds(case: Case) -> tuple[int, ...]:
    """Where packed sequences begin and end: one to four of them, as a rule with empty ones among them."""
    rng = random.Random(case.seed)
    inner = [rng.randint(0, case.length) for _ in range(rng.randint(0, 3))]
    return tuple(sorted([0, *inner, *rng.sample([*inner, 0, case.length], 1), case.length]))


def _scaled(v: torch.Tensor, by: float) -> torch.Tensor:
    return v.clone() if not (v.is_floating_point() or v.is_complex()) else v * by


def _like(s: torch.Tensor, rng: torch.Generator) -> torch.Tensor:
    """A random state of the size the layer's own states have, unless they grow without end."""
    size = float(s.abs().max()) if s.numel() and bool(torch.isfinite(s).all()) else 1.0
    noise = torch.randn(s.shape, generator=rng, dtype=torch.float64)
    if s.is_complex():
        noise = torch.complex(noise, torch.randn(s.shape, generator=rng, dtype=torch.float64))
    return noise * (min(size, 1e6) or 1.0)
