"""The size of one step of a state: how far two previous values that differ by 1 can be apart after it."""

from __future__ import annotations

from fractions import Fraction

from ssmc.analysis.bounds import Prover
from ssmc.analysis.facts import Facts
from ssmc.analysis.interval import ZERO, Interval
from ssmc.analysis.slopes import slope
from ssmc.analysis.transition import RankOne, Transition, transition
from ssmc.ir import build as b
from ssmc.ir.expr import refs
from ssmc.ir.layer import State


def step_size(facts: Facts, state: State, t: Transition, prover: Prover) -> Interval | None:
    """Bounds of the squared modulus of a step, or of the square of its 2-norm; None if nothing is known."""
    match t.kind:
        case "linear":
            return prover.modulus_squared(t.coefficient)
        case "nonlinear" if state.dtype == "real":
            total = _sum([slope(t.update, r, prover) for r in t.previous])
            return None if total is None else total.power(2)
        case "coupled":
            return _coupled(facts, state, t, prover)
        case "rank_one" if t.rank_one is not None:
            return _rank_one(t.rank_one, prover)
    return None


def _coupled(facts: Facts, state: State, t: Transition, prover: Prover) -> Interval | None:
    """The 2-norm of a matrix is at most the root of its largest row sum times its largest column sum."""
    states = facts.layer.states
    names = [state.name, *t.partners]
    rows: list[list[Interval]] = []
    for n in names:
        if states[n].dtype != "real" or {n, *transition(facts, states[n]).partners} != set(names):
            return None
        update = facts.inline(states[n].update)
        row = []
        for m in names:
            found = _sum([slope(update, r, prover) for r in refs(update) if r.name == m and r.offset == -1])
            if found is None:
                return None
            row.append(found.magnitude())
        rows.append(row)
    return _largest_sum(rows) * _largest_sum([list(c) for c in zip(*rows, strict=True)])


def _largest_sum(rows: list[list[Interval]]) -> Interval:
    sums = [sum(row, ZERO) for row in rows]
    hi, shut = max((s.hi, not s.hi_open) for s in sums)
    return Interval(Fraction(0), hi, False, not shut)


def _rank_one(one: RankOne, prover: Prover) -> Interval | None:
    """(scale*I + factor*k k^T)*D has singular values at most |D| * max(|scale|, |scale + factor*|k|**2|)."""
    if any(n.dtype == "complex" for n in (one.scale, one.factor, one.k, one.diagonal)):
        return None
    length = b.reduce("sum", one.over, b.apply("square", one.k))
    along = prover.real(b.add(one.scale, b.mul(one.factor, length))).power(2)
    across = prover.real(one.scale).power(2)
    return _largest_sum([[along], [across]]) * prover.real(one.diagonal).power(2)


def _sum(found: list[Interval | None]) -> Interval | None:
    total = ZERO
    for f in found:
        if f is None:
            return None
        total = total + f
    return total
