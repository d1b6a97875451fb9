"""The cost model against the clock: every mode of an op at a shape, and whether the file chooses the fastest."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from types import ModuleType
from typing import Any

from ssmc.explain.counts import Sizes
from ssmc.explain.recurrence import job_of
from ssmc.measuring.bench import Where
from ssmc.measuring.calls import Call, Shape, calls
from ssmc.measuring.clock import Timed, in_turns
from ssmc.measuring.contenders import op_sequence
from ssmc.measuring.truth import truth
from ssmc.modes import modes
from ssmc.testing.generated import Generated

NEAR = 1.1  # the choice may be so much slower than the fastest


@dataclass(frozen=True)
class Modes:
    """Forward and backward of an op at a shape by mode, what the file chooses, and the estimate of `explain`. A mode
    that was wrong has no time."""

    op: str
    shape: Shape
    timed: dict[str, Timed]
    wrong: dict[str, float]
    chosen: str
    estimated: str

    @property
    def fastest(self) -> str:
        """The mode that took least."""
        return min(self.timed, key=lambda n: self.timed[n].median)

    @property
    def good(self) -> bool:
        """Whether the file's choice is about as fast as the fastest."""
        return self.chosen in self.timed and self.timed[self.chosen].median <= NEAR * self.timed[self.fastest].median


def measure_modes(auto: Generated, forced: dict[str, Generated], shape: Shape, where: Where) -> list[Modes]:
    """All ops of a layer that have several modes there; `forced` holds the file of each mode."""
    found = {mode: calls(g, shape, where.dtype, where.device) for mode, g in forced.items()}
    out = []
    for i, call in enumerate(calls(auto, shape, where.dtype, where.device)):
        names = {m.name for m in call.planned.modes if m.allowed}
        if where.device != "cuda" or where.backend == "eager":
            names &= {m.name for m in modes()} if hasattr(auto.module, "choose_mode") else set()
        ways = {mode: c[i] for mode, c in found.items() if mode in names}
        if len(ways) > 1:
            out.append(_compared(call, ways, where))
    return out


def _compared(call: Call, ways: dict[str, Call], where: Where) -> Modes:
    right, runs, wrong = truth(call), {}, {}
    for mode, way in ways.items():
        sequence = op_sequence(way, where.backend)
        worst = max(sequence.errors(way, right, where.dtype).values())
        if worst > 1.0:
            wrong[mode] = worst
        else:
            runs[mode] = sequence.both()
    with _noting(call.generated.module) as choices:
        op_sequence(call, where.backend).forward()()
    job = job_of(
        call.planned, Sizes(call.generated.plan.partition.layer), call.shape.args, call.shape.batch, call.shape.length
    )
    estimates = {m.name: m.seconds(call.planned.classified, job) for m in modes() if m.name in ways and job is not None}
    return Modes(
        call.op.name, call.shape, in_turns(runs, where.seconds, where.device), wrong,
        choices[-1] if choices else "recurrent", min(estimates, key=lambda n: estimates[n]) if estimates else "",
    )  # fmt: skip


@contextmanager
def _noting(module: ModuleType) -> Iterator[list[str]]:
    """Within this, what the file's choice between modes returns is noted."""
    noted: list[str] = []
    names = [n for n in ("choose_mode", "choose_kernels", "_by_chunks") if hasattr(module, n)]
    saved = {n: getattr(module, n) for n in names}

    def noting(choose: Any) -> Any:
        def chosen(*given: Any) -> Any:
            found = choose(*given)
            noted.append(found if isinstance(found, str) else "scan" if found else "recurrent")
            return found

        return chosen

    try:
        for n in names:
            setattr(module, n, noting(saved[n]))
        yield noted
    finally:
        for n in names:
            setattr(module, n, saved[n])
