"""Convolution: the filter over the whole length, then FFT or direct.

The recurrence must be linear and time-invariant.
"""

from __future__ import annotations

from ssmc.ir.classified import Classified
from ssmc.modes import Cost, Job, Mode


def refuse(c: Classified) -> str | None:
    """A recurrence whose coefficient, input weights or reads vary has no filter."""
    return c.filter if isinstance(c.filter, str) else None


def cost(c: Classified) -> Cost:
    """Two transforms of twice the length and a product."""
    return Cost(flops="10*T*log2(T) + filter", bytes="operands + results + filter", depth="log2(T)")


def seconds(c: Classified, job: Job) -> float:
    """Transforms of twice the length, which pass over memory; the filter's tables before."""
    return 160 * job.launch + 80e-12 * job.length * job.rows * job.channels


def why(c: Classified) -> str:
    """It knows no state before the sequence but by a term of its own."""
    return "the filter over the whole length, for fresh sequences"


MODE = Mode("convolution", refuse, cost, why, seconds)
