"""The least time a call can take here: every byte moved once, every special function evaluated once, or every addition
and multiplication done once."""

from __future__ import annotations

from dataclasses import dataclass

from ssmc.explain.counts import Sizes
from ssmc.explain.work import lets_work
from ssmc.measuring.calls import Call, Tensor
from ssmc.measuring.clock import Machine

FORWARD, BOTH, STEP = "forward", "forward and backward", "step"


@dataclass(frozen=True)
class Floor:
    """Milliseconds, and what they are bound by."""

    ms: float
    bound: str


def floor(call: Call, results: tuple[Tensor, ...], what: str, machine: Machine) -> Floor:
    """Forward reads operands and writes results; backward reads them again with the results' cotangents, and writes
    those of the operands; a step reads and writes the state, too."""
    p, sizes = call.planned.program, Sizes(call.generated.plan.partition.layer)
    operands = call.token() if what == STEP else call.operands
    moved, out = _bytes(*operands.values()), _bytes(*results)
    if what == STEP:
        moved += 2 * _bytes(*call.state)
    lets = [*p.prologue, *p.update, *p.epilogue]
    work = lets_work(lets, sizes)
    total = moved + out
    if what == BOTH:
        total += 2 * moved + out
        work += lets_work([*p.adjoint.epilogue, *p.adjoint.update, *p.adjoint.prologue], sizes)
    tokens = call.shape.batch * (1 if what == STEP else call.shape.length)
    special, flops = (sizes.value(n, call.shape.args) or 0 for n in (work.special, work.flops))
    times = {
        "bytes": total / machine.bandwidth,
        "exponentials": special * tokens / machine.special,
        "arithmetic": flops * tokens / machine.flops,
    }
    bound = max(times, key=lambda n: times[n])
    return Floor(times[bound] * 1e3, bound)


def _bytes(*values: Tensor) -> int:
    return sum(v.numel() * v.element_size() for v in values)
