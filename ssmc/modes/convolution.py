"""Convolution: the filter over the whole length, then FFT or direct.

The recurrence must be linear and time-invariant.
"""

from __future__ import annotations

from ssmc.ir.classified import Classified
from ssmc.ir.expr import refs
from ssmc.ir.layer import Time
from ssmc.modes import Cost, Job, Mode
from ssmc.structures import structure


def refuse(c: Classified) -> str | None:
    """Varying coefficients have no filter."""
    if structure(c.structure).solver != "scan":
        return f"a recurrence of class {c.letter} has no filter"
    if c.coefficient_time > Time.PARAMETER:
        times = {o.name: o.token for o in c.recurrence.operands}
        times.update({d.name: d.time > Time.PARAMETER for d in c.recurrence.definitions.values()})
        varying = [r.name for a, _ in c.linear for r in refs(a) if times[r.name]]
        return "the coefficient depends on the token, through " + ", ".join(f"`{n}`" for n in dict.fromkeys(varying))
    return "the filter is not generated yet; a time-invariant recurrence runs by scan and walk"


def cost(c: Classified) -> Cost:
    """Two transforms of twice the length and a product."""
    return Cost(flops="10*T*log2(T) + filter", bytes="operands + results + filter", depth="log2(T)")


def seconds(c: Classified, job: Job) -> float:
    """Three transforms of twice the length, every token at a time."""
    levels = (2 * job.length).bit_length()
    return 4 * job.launch + 3 * levels * job.step * job.waves(job.length)


MODE = Mode("convolution", refuse, cost, "the filter over the whole length, for fresh sequences", seconds)
