"""Whole layers: a training step of ours and of peers with the same weights, and what of it is matrix products.

The truth is our layer in float64 on the first sequence, whose op is the eager one there; the cotangent is zero for the
others, so that gradients of parameters are those of that sequence. The projections' matrix products, forward and
backward, are timed alone: what a layer takes beyond them is what a compiler can do something about.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any, TypeAlias

import torch
import torch.nn.functional as F
from torch import nn

from ssmc.explain.counts import Sizes, Value, arguments
from ssmc.measuring.bench import Row, Where
from ssmc.measuring.calls import Shape
from ssmc.measuring.clock import Run, in_turns
from ssmc.measuring.contenders import OURS
from ssmc.measuring.floor import Floor
from ssmc.measuring.gpu import peak
from ssmc.measuring.peers import Peer
from ssmc.measuring.truth import OTHERS, error_of
from ssmc.testing.generated import Generated

Tensor: TypeAlias = torch.Tensor
LAYER, AROUND, PRODUCTS = "layer, forward and backward", "layer without its projections", "the projections' products"
_LOOSE = 5.0  # how much less exact than one op a layer may be, whose projections round too


@dataclass(frozen=True)
class _Made:
    """A layer with the weights of all, and its parameters by their names in our state_dict."""

    module: nn.Module
    parameters: dict[str, Tensor]

    def step(self, u: Tensor, g: Tensor) -> tuple[Tensor, ...]:
        """The output, then the gradients of the input and of the parameters."""
        u = u.detach().requires_grad_()
        y = self.module(u)
        y = y[0] if isinstance(y, tuple) else y
        return (y, *torch.autograd.grad(y, [u, *self.parameters.values()], g))


def measure_layer(g: Generated, shape: Shape, peers: list[Peer], where: Where) -> list[Row]:
    """The training step of a layer whose only input is a sequence, ours and that of the peers with the same weights.
    Its floor is the time of its projections' products."""
    ir = g.plan.partition.layer
    args, _ = arguments(ir, given=shape.args)
    shape = replace(shape, args=args)
    torch.manual_seed(0)
    ours = g.layer(**args, device=where.device, dtype=where.dtype)
    sizes = Sizes(ir)
    inner = [sizes.value(sizes.axis(a), args) or 1 for a in next(iter(ir.inputs.values())).axes]
    u = torch.randn(shape.batch, shape.length, *inner, device=where.device, dtype=where.dtype)
    wide = g.layer(**args, device=where.device, dtype=torch.float64)
    wide.load_state_dict(ours.state_dict())
    noise = torch.randn_like(ours(u[:1]).detach())
    truth = _made(wide).step(u[:1].double(), noise.double())
    only = torch.zeros(shape.batch, *noise.shape[1:], device=where.device, dtype=noise.dtype)
    only[:1] = noise
    del wide

    ready: dict[str, _Made] = {}
    errors: dict[str, float] = {}
    why: dict[str, str] = {}
    for who, make in _makers(ours, args, peers, where).items():
        try:
            made = make()
            errors[who] = _error(made, u, only, truth, where.dtype)
        except (ImportError, AttributeError, OSError) as missing:
            why[who] = f"missing: {missing}"
            continue
        except Exception as failure:  # a peer may fail in any way
            if who == OURS:
                raise
            why[who] = f"failed: {type(failure).__name__}: {(str(failure).strip().splitlines() or [''])[0]}"
            continue
        if errors[who] <= (1.0 if who == OURS else OTHERS):
            ready[who] = made
        else:
            why[who] = f"wrong: off by {errors[who]:.1f} times what is allowed"
    cotangent = torch.randn(only.shape, device=where.device, dtype=only.dtype)
    runs: dict[str, Run] = {who: _run(made, u, cotangent) for who, made in ready.items()}
    times = in_turns({**runs, PRODUCTS: products(ours, u)}, where.seconds, where.device)
    floor = Floor(times[PRODUCTS].median, PRODUCTS)
    return [
        Row(
            ir.name, shape, LAYER, who, times.get(who), floor, errors.get(who), why.get(who, ""),
            why.get(who, "").startswith("wrong"), peak(runs[who], where.device) if who in runs else None,
        )
        for who in _makers(ours, args, peers, where)
    ]  # fmt: skip


def _run(made: _Made, u: Tensor, g: Tensor) -> Run:
    return lambda: made.step(u, g)


def _makers(
    ours: nn.Module, args: Mapping[str, Value], peers: list[Peer], where: Where
) -> dict[str, Callable[[], _Made]]:
    """Ours, and the peers whose state_dict is said to have our keys."""
    makers: dict[str, Callable[[], _Made]] = {OURS: lambda: _made(ours)}
    weights = ours.state_dict()

    def maker(peer: Peer) -> Callable[[], _Made]:
        def make() -> _Made:
            given = {a.name: args[a.of] if a.of is not None else a.value for a in peer.arguments}
            module: Any = peer.load()(**given, device=where.device, dtype=where.dtype)
            module.load_state_dict(weights)
            return _Made(module, {n: dict(module.named_parameters())[n] for n, _ in ours.named_parameters()})

        return make

    fitting = [p for p in peers if p.what == "layer" and set(p.keys) == set(weights) and where.device in p.devices]
    return makers | {p.name: maker(p) for p in fitting if "peers" not in where.without}


def _made(module: nn.Module) -> _Made:
    return _Made(module, dict(module.named_parameters()))


def _error(made: _Made, u: Tensor, only: Tensor, truth: tuple[Tensor, ...], dtype: torch.dtype) -> float:
    """The worst error over what is allowed, of the output and of all gradients."""
    y, d_u, *rest = made.step(u, only)
    found = [error_of(y[:1], truth[0], dtype, 0), error_of(d_u[:1], truth[1], dtype, 1)]
    found += [error_of(d, t, dtype, 1) for d, t in zip(rest, truth[2:], strict=True)]
    return max(found) / _LOOSE


def products(layer: nn.Module, u: Tensor) -> Run:
    """All projections of a layer on inputs of their own, forward and backward, and nothing else."""
    calls = []
    for m in layer.modules():
        if isinstance(m, nn.Linear):
            x = torch.randn(*u.shape[:2], m.in_features, device=u.device, dtype=m.weight.dtype).requires_grad_()
            g = torch.randn(*u.shape[:2], m.out_features, device=u.device, dtype=m.weight.dtype)
            wanted = [x, *(v.detach().clone().requires_grad_() for v in (m.weight, m.bias) if v is not None)]
            calls.append((wanted, g))

    def run() -> None:
        for wanted, g in calls:
            torch.autograd.grad(F.linear(*wanted), wanted, g)

    return run
