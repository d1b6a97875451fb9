"""The least time a call can take here: every byte moved once, every special function evaluated once, every addition and
multiplication done once, or every product of matrices taken.

A state that gathers outer products costs what its chunks cost as products of matrices, and nothing for each token by
itself. Chunks are of the fewest tokens that a tensor core takes, which is where those products are fewest.
"""

from __future__ import annotations

from dataclasses import dataclass

from ssmc.explain.counts import Sizes
from ssmc.explain.work import Work, lets_work
from ssmc.ir.expr import Node
from ssmc.ir.outer import Outer
from ssmc.ir.plan import Planned
from ssmc.measuring.calls import Call, Tensor
from ssmc.measuring.clock import Machine

FORWARD, BOTH, STEP = "forward", "forward and backward", "step"
CHUNK = 16


@dataclass(frozen=True)
class Floor:
    """Milliseconds, and what they are bound by."""

    ms: float
    bound: str


def floor(call: Call, results: tuple[Tensor, ...], what: str, machine: Machine) -> Floor:
    """Forward reads operands and writes results; backward reads them again with the results' cotangents, and writes
    those of the operands; a step reads and writes the state, too."""
    sizes = Sizes(call.generated.plan.partition.layer)
    operands = call.token() if what == STEP else call.operands
    moved, out = _bytes(*operands.values()), _bytes(*results)
    if what == STEP:
        moved += 2 * _bytes(*call.state)
    total = moved + out
    if what == BOTH:
        total += 2 * moved + out
    work, products = Work(), 0
    for p in call.programs:
        outer = p.classified.outer
        work += _work(p, what, sizes)
        if isinstance(outer, Outer) and what != STEP:
            atoms = (*outer.heads, *outer.keys, *outer.values)
            products += _products(outer, {a: sizes.value(sizes.axis(a), call.shape.args) or 1 for a in atoms}, what)
    tokens = call.shape.batch * (1 if what == STEP else call.shape.length)
    special, flops = (sizes.value(n, call.shape.args) or 0 for n in (work.special, work.flops))
    times = {
        "bytes": total / machine.bandwidth,
        "exponentials": special * tokens / machine.special,
        "arithmetic": flops * tokens / machine.flops,
        "products of matrices": products * tokens / machine.products,
    }
    bound = max(times, key=lambda n: times[n])
    return Floor(times[bound] * 1e3, bound)


def _work(planned: Planned, what: str, sizes: Sizes) -> Work:
    """Of a token, without what products of matrices do."""
    p, outer = planned.program, planned.classified.outer
    lets = [*p.prologue, *p.update, *p.epilogue]
    back = [*p.adjoint.epilogue, *p.adjoint.update, *p.adjoint.prologue] if what == BOTH else []

    def matrix(node: Node) -> bool:
        assert isinstance(outer, Outer)
        axes = {a for n in (node, *node.children) for a in n.axes}
        return bool(axes & set(outer.keys)) and bool(axes & set(outer.values))

    without = matrix if isinstance(outer, Outer) and what != STEP else None
    return lets_work(lets, sizes, without) + lets_work(back, sizes, without)


def _products(outer: Outer, size: dict[str, int], what: str) -> int:
    """Additions and multiplications of one token. Forward, in each head: what a chunk adds to the state, and of each
    read the state before the chunk and the tokens within it, half of them. Backward: the states again, the gradients of
    query, key, value and of the state. Products over keys of what heads share are taken once for all of them."""

    def many(axes: tuple[str, ...]) -> int:
        total = 1
        for a in axes:
            total *= size[a]
        return total

    heads, keys, values = many(outer.heads), many(outer.keys), many(outer.values)
    state, total = 2 * heads * keys * values, 0
    total += state
    for read in outer.reads:
        own = {a for n in (read.weight, outer.key, *([outer.log_decay] if outer.by_key else [])) for a in n.axes}
        over_keys = CHUNK * keys * many(tuple(a for a in outer.heads if a in own))
        over_values = CHUNK * heads * values
        total += state + over_keys + over_values
        if what == BOTH:
            total += 2 * state + 3 * over_keys + 2 * over_values
    return total + (3 * state if what == BOTH else 0)


def _bytes(*values: Tensor) -> int:
    return sum(v.numel() * v.element_size() for v in values)
