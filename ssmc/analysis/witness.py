"""Counterexamples: exact values of inputs and parameters at which a step grows, checked by interval arithmetic.

A candidate fixes some leaves to rationals and leaves the rest to their bounds; it is a witness only if the lower bound
of the step's size, rounded outward, is above the limit: rounding cannot make one up.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from itertools import islice, product
from random import Random

from ssmc.analysis.bounds import Prover
from ssmc.analysis.facts import Facts, Known
from ssmc.analysis.interval import INF, Interval, exactly
from ssmc.analysis.sample import sample
from ssmc.analysis.transition import Transition
from ssmc.ir import build as b
from ssmc.ir.expr import Index, Node, Position, Reduce, Ref, Relabel, walk

TRIES = 150
CHECKS = 6
SMALL = tuple(Fraction(x) for x in (0, 1, -1, 3, -3, 20, -20))


@dataclass(frozen=True, slots=True)
class Witness:
    """Values by name; `reached` is the coefficient there (its modulus if it is complex), rounded to fit a line."""

    values: dict[str, Fraction]
    reached: Fraction


@dataclass(frozen=True, slots=True)
class _Variable:
    node: Node
    label: str
    choices: tuple[Fraction, ...]
    bounded: bool


def growing(facts: Facts, t: Transition, over: Fraction, strict: bool) -> Witness | None:
    """Values at which the coefficient is above a limit in modulus (or equal to it, if not `strict`)."""
    return _search(facts, t, over, strict)


def diverging(facts: Facts, t: Transition) -> Witness | None:
    """Constant values at which h = a*prev(h) + f, started at 0, leaves every bound: |a| > 1 or a = 1, and f not 0."""
    strictly = _search(facts, t, Fraction(1), strict=True, both=True)
    return strictly or _search(facts, t, Fraction(1), strict=False, both=True)


def _search(facts: Facts, t: Transition, over: Fraction, strict: bool, both: bool = False) -> Witness | None:
    a = t.coefficient
    known = facts.known((a, t.rest), ranges=True, defaults=True)
    variables = _variables(facts, a, known)
    if both and not _settled(a, t.rest, known, variables, facts):
        return None
    leaves = {n: _inside(i) for n, i in known.items()}
    ranked: list[tuple[float, int, tuple[Fraction, ...]]] = []
    for order, values in enumerate(_candidates(variables)):
        value = sample(a, {**leaves, **{v.node: float(x) for v, x in zip(variables, values, strict=True)}})
        if value is None or abs(value) >= float(over) * (1 - 1e-12):
            bounded = all(v.bounded for v in variables)
            large = abs(value) if value is not None else 0.0
            ranked.append((-large if bounded else float(sum(map(abs, values))), order, values))
    for _, _, values in sorted(ranked)[:CHECKS]:
        here = {**known, **{v.node: exactly(x) for v, x in zip(variables, values, strict=True)}}
        prover = Prover(here)
        size = prover.modulus_squared(a)
        if not (size.lo > over**2 if strict else size.lo >= over**2):
            continue
        if both and (not _pushed(facts, t, here) or (not strict and not _at_least_one(prover, a))):
            continue
        return Witness({v.label: x for v, x in zip(variables, values, strict=True)}, _reached(prover, a))
    return None


def _inside(i: Interval) -> float:
    lo, hi = max(i.lo, Fraction(-(10**6))), min(i.hi, Fraction(10**6))
    return float((lo + hi) / 2)


def _at_least_one(prover: Prover, a: Node) -> bool:
    return a.dtype == "real" and prover.real(a).lo >= 1


def _pushed(facts: Facts, t: Transition, here: Known) -> bool:
    """Whether the other terms are surely not zero, with the leaves that are still free set to 1."""
    free = {v.node: exactly(v.choices[-1] if v.bounded else 1) for v in _variables(facts, t.rest, here)}
    return Prover({**here, **free}).modulus_squared(t.rest).lo > 0


def _settled(a: Node, rest: Node, known: Known, variables: list[_Variable], facts: Facts) -> bool:
    """Whether every leaf can be held constant over time."""
    chosen = {v.node for v in variables} | {v.node for v in _variables(facts, rest, known)}
    for n in walk(a, rest):
        match n:
            case Position() | Ref(offset=-1 | 1):
                return False
            case Ref() if n.dtype == "complex":
                if b.apply("re", n) not in chosen and n.name not in facts.layer.params:
                    return False
            case Ref():
                if n not in chosen and not (n.name in facts.layer.params and n in known):
                    return False
    return True


def _reached(prover: Prover, a: Node) -> Fraction:
    if a.dtype == "complex":
        low = prover.modulus_squared(a).lo
        return Fraction(float(low) ** 0.5).limit_denominator(10**6) if low < 10**300 else Fraction(10**150)
    found = prover.real(a)
    value = found.lo if found.lo != -INF else found.hi
    return Fraction(value) if abs(value) != INF else Fraction(0)


def _variables(facts: Facts, a: Node, known: Known) -> list[_Variable]:
    """The leaves that may be chosen: inputs, module outputs, parameters, indices. Other facts stay intervals."""
    layer = facts.layer
    out: list[_Variable] = []
    elsewhere = {x for n in walk(a) if isinstance(n, Reduce | Relabel) for x in (*n.body.axes, *n.axes)}
    for n in walk(a):
        match n:
            case Index() if n not in known and n.axis not in elsewhere:
                out.append(_Variable(n, f"index({n.axis})", (Fraction(0),), True))
            case Ref(offset=0) if n.name in layer.params:
                p = layer.params[n.name]
                if p.trainable and n.dtype == "complex":
                    out += _parts(n, p.range is not None)
                elif p.trainable:
                    out += [] if n in known and known[n].point else [_variable(n, f"{n.name}", known.get(n))]
            case Ref() if facts.definition(n.name) is None and n not in known:
                label = n.name if n.offset == 0 else f"prev({n.name})"
                out += [_variable(n, label, None)] if n.dtype != "complex" else _parts(n, False)
    return out


def _parts(n: Ref, limited: bool) -> list[_Variable]:
    re, im = b.apply("re", n), b.apply("im", n)
    choices = (Fraction(0), Fraction(1, 2)) if limited else SMALL
    return [
        _Variable(re, f"re({n.name})", choices, False),
        _Variable(im, f"im({n.name})", (Fraction(0),) if limited else SMALL[:3], False),
    ]


def _variable(n: Node, label: str, within: Interval | None) -> _Variable:
    if within is None or not within.finite:
        start = Fraction(0)
        if within is not None:
            start = next((Fraction(x) for x in (within.lo, within.hi) if abs(x) != INF), start)
        choices = tuple(start + x for x in SMALL if within is None or within.contains(start + x))
        return _Variable(n, label, choices, False)
    lo, hi = Fraction(within.lo), Fraction(within.hi)
    ends = [x for x in (lo, (lo + hi) / 2, hi) if within.contains(x)]
    return _Variable(n, label, tuple(dict.fromkeys(ends)), True)


def _candidates(variables: list[_Variable]) -> Iterator[tuple[Fraction, ...]]:
    """All combinations if they are few; else a fixed sample of them, the corners of each variable alone first."""
    count = 1
    for v in variables:
        count *= len(v.choices)
    if count <= TRIES:
        yield from product(*(v.choices for v in variables))
        return
    yield from islice(product(*(v.choices[:: max(1, len(v.choices) - 1)] for v in variables)), TRIES // 3)
    random = Random(len(variables))
    for _ in range(TRIES):
        yield tuple(v.choices[random.randrange(len(v.choices))] for v in variables)
