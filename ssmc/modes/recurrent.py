"""Recurrent: one walk over all time, the state on chip. Every recurrence allows it."""

from __future__ import annotations

from ssmc.ir.classified import Classified
from ssmc.ir.outer import Outer
from ssmc.modes import Cost, Job, Mode


def refuse(c: Classified) -> str | None:
    """Never."""
    return None


def cost(c: Classified) -> Cost:
    """Each state number is touched once a token; the chain is as long as the sequence."""
    return Cost(flops="2*T*M + update", bytes="operands + results", depth="T")


def seconds(c: Classified, job: Job) -> float:
    """A step a token, for every filling of the device."""
    return job.launch + job.walk()


def why(c: Classified) -> str:
    """For few tokens, which have no products of matrices to share; or where there is enough to do beside time."""
    if isinstance(c.outer, Outer):
        return "one walk over time; for fewer than 16 tokens, and for steps"
    return "one walk over time; enough when batch and channels fill the device"


MODE = Mode("recurrent", refuse, cost, why, seconds)
