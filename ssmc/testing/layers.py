"""Properties of the whole layer: its equations, and that a sequence may be cut, stepped and packed at will."""

from __future__ import annotations

import random
from collections.abc import Callable
from itertools import pairwise
from typing import Any, TypeAlias

import torch

from ssmc.testing.case import Case
from ssmc.testing.compare import DOUBLE, TO_DOUBLE, Outcome, allow_for_conditioning, compare
from ssmc.testing.data import generator, layer_ir, make_inputs, make_layer, packed_bounds
from ssmc.testing.generated import Generated

Tensor: TypeAlias = torch.Tensor
_STEPS = (1e-5, 1e-6, 1e-7)  # where the longest step crosses a kink, a shorter one as a rule does not
_DIFFERENCES = 1e-5  # central differences of such steps are good to 1e-8


def _start(g: Generated, case: Case) -> tuple[Any, dict[str, Tensor], str]:
    """The layer, its inputs, and the name of the first."""
    layer = make_layer(g, case)
    inputs = make_inputs(g, case, layer, generator(case))
    return layer, inputs, next(iter(g.inputs.values()))


def _call(layer: Any, inputs: dict[str, Tensor], first: str, **more: Any) -> Any:
    with torch.no_grad():
        return layer(inputs[first], **{n: v for n, v in inputs.items() if n != first}, **more)


def _part(inputs: dict[str, Tensor], begin: int, end: int) -> dict[str, Tensor]:
    return {n: v[:, begin:end] for n, v in inputs.items()}


def _judged(found: Outcome, layer: Any, inputs: dict[str, Tensor], first: str) -> list[Outcome]:
    """An outcome; one that failed is judged by how far the layer in float32 is off, what that says of float64."""
    if found.failed:
        whole = _call(layer, inputs, first)
        rough = _call(layer.float(), {n: v.float() for n, v in inputs.items()}, first)
        found = allow_for_conditioning(found, [compare(["output"], [rough], [whole], DOUBLE).error * TO_DOUBLE])
    return [found]


def equations(g: Generated, case: Case) -> list[Outcome]:
    """The layer against the equations of its spec, evaluated one by one in numpy."""
    from ssmc.ir.run import run_layer

    layer, inputs, first = _start(g, case)
    params = {k: v.detach().numpy() for k, v in layer.state_dict().items()}
    arrays = {n: inputs[own].numpy() for n, own in g.inputs.items() if own in inputs}
    wanted, _, _ = run_layer(layer_ir(g, case), arrays, params, dict(case.args))
    got = _call(layer, inputs, first)
    found = compare(["output"], [got], [torch.from_numpy(wanted.copy())], DOUBLE)
    return _judged(found, layer, inputs, first)


def derivatives(g: Generated, case: Case) -> list[Outcome]:
    """The layer's gradients, through its modules and its last state too, against central differences of its output."""
    layer, inputs, first = _start(g, case)
    rng = generator(case)
    more = {"return_state": True} if g.continues else {}
    leaves = {n: v.requires_grad_() for n, v in inputs.items()} | dict(layer.named_parameters())
    leaves = {n: v for n, v in leaves.items() if v.requires_grad}

    def outputs() -> list[Tensor]:
        y = layer(inputs[first], **{n: v for n, v in inputs.items() if n != first}, **more)
        return [v for v in ((y[0], *y[1]) if g.continues else (y,)) if v.is_floating_point() or v.is_complex()]

    weights: list[Tensor] = []

    def total() -> Tensor:
        found = [torch.view_as_real(v) if v.is_complex() else v for v in outputs()]
        if not weights:
            weights.extend(torch.randn(v.shape, generator=rng, dtype=torch.float64) for v in found)
        return torch.stack([(v * w).sum() for v, w in zip(found, weights, strict=True)]).sum()

    value = total()
    grads = torch.autograd.grad(value, list(leaves.values()), allow_unused=True) if value.requires_grad else []
    got, wanted = [], []
    for leaf, grad in zip(leaves.values(), grads, strict=False):
        way = torch.randn(leaf.shape, generator=rng, dtype=torch.float64)
        slope = torch.zeros((), dtype=torch.float64) if grad is None else (grad * way).sum()
        found = [_difference(total, leaf, way, step) for step in _STEPS]
        got.append(slope)
        wanted.append(min(found, key=lambda d: float((d - slope).abs())))
    names = [f"gradient of `{n}`" for n in leaves][: len(got)]
    return [compare(names, got, wanted, _DIFFERENCES, 1e-2)]


def _difference(total: Callable[[], Tensor], leaf: Tensor, way: Tensor, step: float) -> Tensor:
    """The central difference of a function along a direction of one of its tensors."""
    with torch.no_grad():
        start = leaf.clone()
        leaf.copy_(start + step * way)
        ahead = total()
        leaf.copy_(start - step * way)
        behind = total()
        leaf.copy_(start)
        return (ahead - behind) / (2 * step)


def splits(g: Generated, case: Case) -> list[Outcome]:
    """A sequence cut at random, the state carried over, against the sequence as a whole."""
    layer, inputs, first = _start(g, case)
    whole, last = _call(layer, inputs, first, return_state=True)
    rng = random.Random(case.seed)
    cuts = sorted(rng.randint(0, case.length) for _ in range(rng.randint(1, 4)))
    state, parts = None, []
    for begin, end in zip([0, *cuts], [*cuts, case.length], strict=True):
        y, state = _call(layer, _part(inputs, begin, end), first, state=state, return_state=True)
        parts.append(y)
    assert state is not None
    names = ["output", *(f"state `{n}`" for n in last._fields)]
    found = compare(names, [torch.cat(parts, 1), *state], [whole, *last], DOUBLE)
    return _judged(found, layer, inputs, first)


def steps(g: Generated, case: Case) -> list[Outcome]:
    """Token by token with `step` against the sequence as a whole."""
    layer, inputs, first = _start(g, case)
    whole, last = _call(layer, inputs, first, return_state=True)
    state, parts = layer.init_state(case.batch), []
    for t in range(case.length):
        token = {n: v[:, t] for n, v in inputs.items()}
        with torch.no_grad():
            y, state = layer.step(token.pop(first), state, **token)
        parts.append(y)
    joined = torch.stack(parts, 1) if parts else whole
    names = ["output", *(f"state `{n}`" for n in last._fields)]
    return _judged(compare(names, [joined, *state], [whole, *last], DOUBLE), layer, inputs, first)


def packed(g: Generated, case: Case) -> list[Outcome]:
    """Sequences packed behind one another, some of them empty, against each by itself."""
    layer, inputs, first = _start(g, case)
    bounds = packed_bounds(case)
    row = {n: v[:1] for n, v in inputs.items()}
    cu = torch.tensor(bounds, dtype=torch.int64)
    more = {"return_state": True} if g.continues else {}
    got = _call(layer, row, first, cu_seqlens=cu, **more)
    alone = [_call(layer, _part(row, b, e), first, **more) for b, e in pairwise(bounds)]
    if not g.continues:
        return _judged(compare(["output"], [got], [torch.cat(alone, 1)], DOUBLE), layer, row, first)
    whole = torch.cat([y for y, _ in alone], 1)
    last = [torch.cat(v, 0) for v in zip(*(s for _, s in alone), strict=True)]
    names = ["output", *(f"state `{n}`" for n in got[1]._fields)]
    return _judged(compare(names, [got[0], *got[1]], [whole, *last], DOUBLE), layer, row, first)


def rows(g: Generated, case: Case) -> list[Outcome]:
    """Each sequence of a batch against itself alone."""
    layer, inputs, first = _start(g, case)
    whole = _call(layer, inputs, first)
    alone = [_call(layer, {n: v[i : i + 1] for n, v in inputs.items()}, first) for i in range(case.batch)]
    return _judged(compare(["output"], [whole], [torch.cat(alone, 0)], DOUBLE), layer, inputs, first)
