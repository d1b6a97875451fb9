"""Scan: time is cut into pieces that run in parallel, and the states are passed between them.

The steps must compose.
"""

from __future__ import annotations

from ssmc.ir.classified import Classified
from ssmc.ir.filters import Filter
from ssmc.ir.outer import Outer
from ssmc.modes import Cost, Job, Mode
from ssmc.structures import structure


def refuse(c: Classified) -> str | None:
    """A recurrence whose steps do not compose in closed form."""
    if structure(c.structure).solver == "scan":
        return None
    return f"steps of class {c.letter} ({c.title}) do not compose: " + c.reasons[-1]


def cost(c: Classified) -> Cost:
    """A second pass over the operands for the pieces' summaries; the chain is one piece and the passing. In chunks of C
    tokens, products of matrices: what a chunk does inside, and what enters and leaves its state."""
    if isinstance(c.filter, Filter) or isinstance(c.outer, Outer):
        inside = "2*T*C*log2(C)*channels" if isinstance(c.outer, Outer) and c.outer.by_key else "2*T*C*channels"
        return Cost(flops=f"{inside} + 4*T*M", bytes="operands + results + 2*T*M/C", depth="T/C")
    return Cost(flops="4*T*M + 2 updates", bytes="2 * operands + results + 4*P*M", depth="T/P + P")


def seconds(c: Classified, job: Job) -> float:
    """Two walks over the pieces, and one over their summaries; by a filter, the products of its chunks. Outer products:
    products of matrices at the speed that half of a GPU's tensor cores give, not yet measured."""
    if isinstance(c.filter, Filter):
        inside = 20e-12 * job.channels + 1.6e-12 * job.numbers
        return 200 * job.launch + job.length * job.rows * inside
    if isinstance(c.outer, Outer):
        inside = (6 if c.outer.by_key else 1) * 1.3e-12 * job.channels + 2.5e-14 * job.numbers
        return 5 * job.launch + job.length * job.rows * inside
    pieces = job.pieces()
    return 3 * job.launch + 2 * job.walk(pieces) + pieces * job.step


def why(c: Classified) -> str:
    """What passes between tokens inside a chunk or piece, and what between these."""
    if isinstance(c.outer, Outer):
        how = "chunks of C tokens: pairs of tokens by products of matrices, the state from chunk to chunk"
        return f"{how}; pairs meet at pivots, so that nothing is divided by decays" if c.outer.by_key else how
    if isinstance(c.filter, Filter):
        return "chunks of C tokens: the filter's first lags inside, the state from chunk to chunk"
    return "time in P pieces, for long sequences that leave the device idle otherwise"


MODE = Mode("scan", refuse, cost, why, seconds)
