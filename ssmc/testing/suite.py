"""Runs the properties over many cases until time is up, keeps the worst of each, and makes a failure small."""

from __future__ import annotations

import math
import random
import time
import traceback
import warnings
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import partial

import torch

from ssmc.testing import layers, ops
from ssmc.testing.case import LENGTHS, SCALES, Case, draw_args, smaller
from ssmc.testing.compare import Outcome
from ssmc.testing.generated import Generated
from ssmc.testing.ops import Place

_SHRINK = 60  # attempts to make a failing case smaller


@dataclass(frozen=True)
class Property:
    """What is claimed, how it is tried, and on which cases: lengths up to `longest`, scaled or not."""

    name: str
    title: str
    check: Callable[[Generated, Case], list[Outcome]]
    longest: int = 129
    scales: tuple[float, ...] = (1.0,)
    weights: tuple[float, ...] = (1.0,)


@dataclass
class Tally:
    """What has been seen of one property."""

    property: Property
    cases: int = 0
    compared: int = 0
    loosened: int = 0
    worst: Outcome | None = None
    where: Case | None = None


@dataclass(frozen=True)
class Failure:
    """A case that fails, as small as it was found to be."""

    property: Property
    case: Case
    outcome: Outcome
    error: str = ""


@dataclass
class Report:
    """What was tried and what came of it."""

    tallies: list[Tally]
    failures: list[Failure] = field(default_factory=list)
    seconds: float = 0.0

    @property
    def cases(self) -> int:
        """How many cases were tried."""
        return sum(t.cases for t in self.tallies)


def places(g: Generated, cuda: bool, interpreter: bool) -> list[tuple[Place, int]]:
    """Where the ops are tried in float32, and up to which length; Triton's interpreter is slow."""
    out = [(Place("eager", "cpu", torch.float32), 129)]
    if g.module.KERNELS and cuda:
        out.append((Place("triton", "cuda", torch.float32), 129))
    elif g.module.KERNELS and interpreter:
        out.append((Place("triton", "cpu", torch.float32), 17))
    return out


def properties(g: Generated, single: list[tuple[Place, int]]) -> list[Property]:
    """The properties that apply to a generated file on this machine."""
    out: list[Property] = []
    if g.ops:
        exact = Place("eager", "cpu", torch.float64)
        values, slopes, packed = (partial(f, exact) for f in (ops.values, ops.gradients, ops.packed))
        out.append(Property("op", "op against its token loop", values, 129, SCALES, SCALES))
        out.append(Property("gradients", "all gradients against autograd", slopes, 129, SCALES, SCALES))
        out.append(Property("op packed", "op on packed sequences", packed, 65, SCALES))
        for place, longest in single:
            name, said = f"{place.backend} float32", f"{place.backend}, float32 against float64"
            values, slopes, packed = (partial(f, place) for f in (ops.values, ops.gradients, ops.packed))
            out.append(Property(name, said, values, longest, SCALES))
            out.append(Property(f"{name} gradients", f"{place.backend}, float32 gradients", slopes, longest, SCALES))
            if place.backend != "eager":
                out.append(Property(f"{name} packed", f"{place.backend}, packed sequences", packed, longest, SCALES))
    out.append(Property("equations", "layer against its equations", layers.equations, 9, SCALES))
    out.append(Property("layer gradients", "layer's gradients against differences", layers.derivatives, 17))
    if g.continues:
        out.append(Property("splits", "cut at random, state carried", layers.splits, 129, SCALES))
        out.append(Property("steps", "token by token", layers.steps, 17))
    out.append(Property("packed", "packed sequences, some empty", layers.packed, 65))
    out.append(Property("rows", "sequences of a batch apart", layers.rows, 65))
    return out


def check(g: Generated, p: Property, case: Case) -> tuple[list[Outcome], str]:
    """The outcomes of a case; an exception is an outcome too, with its text."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return p.check(g, case), ""
    except Exception:
        return [Outcome("it raised an exception", math.inf, 0.0)], traceback.format_exc(limit=-2)


def run(
    g: Generated,
    seconds: float,
    seed: int,
    only: Case | None = None,
    *,
    cuda: bool = False,
    interpreter: bool = False,
) -> Report:
    """Try every property, first with the lengths at which code goes wrong, then at random, until time is up."""
    begin = time.monotonic()
    known = properties(g, places(g, cuda, interpreter))
    report = Report([Tally(p) for p in known])
    if only is not None:
        tallies = [t for t in report.tallies if t.property.name == only.property]
        if not tallies:
            names = ", ".join(t.property.name.replace(" ", "_") for t in report.tallies)
            raise ValueError(f"{only.property!r} is no property here; there are {names}")
        _try(g, tallies[0], only, report, shrink=False)
        report.seconds = time.monotonic() - begin
        return report
    rng = random.Random(seed)
    turn = 0
    while turn == 0 or time.monotonic() - begin < seconds:
        for tally in report.tallies:
            if turn == 0 or time.monotonic() - begin < seconds:
                _try(g, tally, _draw(g, tally.property, rng, turn), report)
        turn += 1
        if report.failures:  # every property had its turn, so that one sees which of them fail
            break
    report.seconds = time.monotonic() - begin
    return report


def _draw(g: Generated, p: Property, rng: random.Random, turn: int) -> Case:
    """The lengths of the list in turn, a different one for every property, then any."""
    lengths = [n for n in LENGTHS if n <= p.longest]
    first = turn < len(lengths)
    start = len(lengths) // 2  # neither the shortest nor the longest
    length = lengths[(start + turn) % len(lengths)] if first else rng.randint(0, p.longest)
    scale = p.scales[turn % len(p.scales)]
    weights = rng.choice((1.0, 1.0, *p.weights)) if turn else 1.0
    return Case(p.name, rng.randrange(10**6), rng.randint(1, 3), length, scale, weights, draw_args(g.plan, rng))


def _try(g: Generated, tally: Tally, case: Case, report: Report, shrink: bool = True) -> None:
    outcomes, error = check(g, tally.property, case)
    tally.cases += 1
    for o in outcomes:
        tally.compared += o.compared
        tally.loosened += o.loosened
        if tally.worst is None or not _ratio(o) <= _ratio(tally.worst):
            tally.worst, tally.where = o, case
    failed = [o for o in outcomes if o.failed]
    if not failed:
        return
    outcome = max(failed, key=_ratio)
    if shrink:
        case, outcome, error = _shrink(g, tally.property, case, outcome, error)
    report.failures.append(Failure(tally.property, case, outcome, error))


def _ratio(o: Outcome) -> float:
    return o.error / o.tolerance if o.tolerance else o.error


def _shrink(g: Generated, p: Property, case: Case, outcome: Outcome, error: str) -> tuple[Case, Outcome, str]:
    """The smallest failing case that is found by making one thing smaller at a time."""
    left = _SHRINK
    progress = True
    while progress and left:
        progress = False
        for candidate in smaller(case):
            if not left:
                break
            left -= 1
            outcomes, text = check(g, p, candidate)
            failed = [o for o in outcomes if o.failed]
            invalid = text and not error  # a size the layer refuses is no smaller case of a wrong number
            if failed and not invalid:
                case, outcome, error, progress = candidate, max(failed, key=_ratio), text, True
                break
    return replace(case), outcome, error
