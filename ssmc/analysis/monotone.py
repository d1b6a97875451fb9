"""Bounds of the pointwise functions on an interval: monotone ones from their ends, others from their known range."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction

from ssmc.analysis.interval import INF, ONE, TOP, UNIT, ZERO, Interval, Number, between, exactly

_RELATIVE = Fraction(1, 10**11)
_ABSOLUTE = Fraction(1, 10**14)
_LARGE = 700


@dataclass(frozen=True, slots=True)
class Grows:
    """A function that grows strictly from `domain` on; `below` and `above` are its limits at the ends of the domain.

    `signed` is an exact (argument, value) pair: to the left the function is below the value, to the right above it.
    """

    value: Callable[[float], float]
    below: Number
    above: Number
    signed: tuple[int, Fraction] | None = None
    domain: Number = -INF


HALF = Fraction(1, 2)
GROWS: dict[str, Grows] = {
    "exp": Grows(math.exp, Fraction(0), INF, (0, Fraction(1))),
    "expm1": Grows(math.expm1, Fraction(-1), INF, (0, Fraction(0))),
    "log": Grows(math.log, -INF, INF, (1, Fraction(0)), Fraction(0)),
    "log1p": Grows(math.log1p, -INF, INF, (0, Fraction(0)), Fraction(-1)),
    "sqrt": Grows(math.sqrt, Fraction(0), INF, (1, Fraction(1)), Fraction(0)),
    "tanh": Grows(math.tanh, Fraction(-1), Fraction(1), (0, Fraction(0))),
    "erf": Grows(math.erf, Fraction(-1), Fraction(1), (0, Fraction(0))),
    "sigmoid": Grows(lambda x: 1 / (1 + math.exp(-x)), Fraction(0), Fraction(1), (0, HALF)),
    "softplus": Grows(lambda x: max(x, 0.0) + math.log1p(math.exp(-abs(x))), Fraction(0), INF),
    "log_sigmoid": Grows(lambda x: min(x, 0.0) - math.log1p(math.exp(-abs(x))), -INF, Fraction(0)),
    "inv_softplus": Grows(lambda x: x + math.log(-math.expm1(-x)), -INF, INF, None, Fraction(0)),
    "phi1": Grows(lambda x: math.expm1(x) / x if x else 1.0, Fraction(0), INF, (0, Fraction(1))),
    "phi1_slope": Grows(lambda x: _phi1_slope(x), Fraction(0), INF, (0, HALF)),
    "elu": Grows(lambda x: x if x > 0 else math.expm1(x), Fraction(-1), INF, (0, Fraction(0))),
}


def _phi1_slope(x: float) -> float:
    if abs(x) < 0.5:
        return sum((k + 1) / math.factorial(k + 2) * x**k for k in range(16))
    return (math.exp(x) - math.expm1(x) / x) / x


def bounds_of(fn: str, x: Interval) -> Interval | None:
    """What a function of one real argument can be on an interval; None if the function is not in this table."""
    if fn in GROWS:
        return _grown(GROWS[fn], x)
    match fn:
        case "neg":
            return -x
        case "square":
            return x.power(2)
        case "abs":
            return x.magnitude()
        case "rsqrt":
            return _grown(GROWS["sqrt"], x).inverse() if x.positive else TOP
        case "relu":
            floor = Fraction(0)
            return Interval(max(x.lo, floor), max(x.hi, floor), x.lo_open and x.lo >= 0, x.hi_open and x.hi > 0)
        case "sign":
            return between(1 if x.positive else 0 if x.lo >= 0 else -1, -1 if x.negative else 0 if x.hi <= 0 else 1)
        case "floor" | "ceil" | "round":
            return _stepped(fn, x)
        case "sin" | "cos":
            return _wave(fn, x)
        case "silu" | "gelu" | "gelu_tanh":
            return _gated(x)
    return None


def _grown(f: Grows, x: Interval) -> Interval:
    lo, lo_open = _end(f, x.lo, x.lo_open, down=True)
    hi, hi_open = _end(f, x.hi, x.hi_open, down=False)
    return Interval(lo, hi, lo_open, hi_open)


def _end(f: Grows, x: Number, is_open: bool, down: bool) -> tuple[Number, bool]:
    """A bound of f at one end of its argument, and whether it is never reached."""
    limit = f.below if down else f.above
    if x == (-INF if down else INF):
        return limit, True
    if isinstance(x, float):  # the other infinity: nothing is known
        return (f.above if down else f.below), True
    if isinstance(f.domain, Fraction) and x <= f.domain:
        return (limit, f.below == -INF or x < f.domain or is_open) if down else (f.above, True)
    if f.signed is not None and x == f.signed[0]:
        return f.signed[1], is_open
    return _widened(f, x, down)


def _widened(f: Grows, x: Fraction, down: bool) -> tuple[Number, bool]:
    """f(x) moved outward by more than the error of floating point, and held on its side of what is known exactly."""
    limit = f.below if down else f.above
    if f.value is math.exp and abs(x) < Fraction(1, 1000):  # a series, so that exp(-1e-20) is seen below 1
        start = 1 + x + x * x / 2
        rest = abs(x) ** 3 / 3
        return (start - rest, True) if down else (start + rest, True) if x > 0 else (min(start, start + rest), True)
    if abs(x) > _LARGE:
        return _far(f, x, down)
    y = Fraction(f.value(float(x)))
    margin = abs(y) * _RELATIVE + (_ABSOLUTE if f.below != 0 else 0)
    y = y - margin if down else y + margin
    if f.signed is not None:
        at, exact = f.signed
        if down and x > at:
            y = max(y, exact)
        if not down and x < at:
            y = min(y, exact)
    if (down and y <= limit) or (not down and y >= limit):
        return limit, True
    return y, f.signed is not None and y == f.signed[1]


def _far(f: Grows, x: Fraction, down: bool) -> tuple[Number, bool]:
    """Beyond the reach of floating point: the nearest argument within it, on the side that stays true, or the limit."""
    limit = f.below if down else f.above
    if f.value in (math.log, math.log1p, math.sqrt) and abs(x) < 10**300:
        y = Fraction(f.value(float(x)))
        margin = abs(y) * _RELATIVE
        return (y - margin if down else y + margin), False
    inner = Fraction(_LARGE if x > 0 else -_LARGE)
    if down == (x > 0):
        return _widened(f, inner, down)
    return limit, True


def _stepped(fn: str, x: Interval) -> Interval:
    def step(v: Number) -> Number:
        if isinstance(v, float):
            return v
        return Fraction(math.floor(v) if fn == "floor" else math.ceil(v) if fn == "ceil" else round(v))

    return Interval(step(x.lo), step(x.hi))


def _wave(fn: str, x: Interval) -> Interval:
    if not isinstance(x.lo, Fraction) or not x.point or abs(x.lo) > 10**6:
        return UNIT
    if x.lo == 0:
        return ZERO if fn == "sin" else ONE
    y = Fraction(math.sin(float(x.lo)) if fn == "sin" else math.cos(float(x.lo)))
    return Interval(y - Fraction(1, 10**9), y + Fraction(1, 10**9)).meet(UNIT)


def _gated(x: Interval) -> Interval:
    """x * gate(x) with a gate in (0, 1) that grows: between min(x, -0.2785) and max(x, 0)."""
    if x.lo >= 0:
        return Interval(Fraction(0), x.hi, x.lo > 0 or x.lo_open, x.hi_open or x.hi > 0)
    low = max(x.lo, Fraction(-2785, 10000))
    return Interval(low, max(x.hi, Fraction(0)), True, x.hi_open or x.hi != 0)


def power_of(x: Interval, y: Interval) -> Interval:
    """x**y; a negative base only with a natural exponent."""
    if y.point and isinstance(y.lo, Fraction) and y.lo.denominator == 1 and abs(y.lo) <= 64:
        n = int(y.lo)
        return x.power(n) if n >= 0 else x.power(-n).inverse()
    if not x.positive and x.lo >= 0 and y.positive:
        return power_of(Interval(x.lo, x.hi, True, x.hi_open), y).hull(ZERO) if x.hi > 0 else ZERO
    if not x.positive:
        return TOP
    if y.point and y.lo == HALF:
        return _grown(GROWS["sqrt"], x)
    return _grown(GROWS["exp"], y * _grown(GROWS["log"], x))


def constant(fn: str) -> Interval:
    """`pi` and `inf`."""
    if fn == "pi":
        y = Fraction(math.pi)
        return Interval(y, y + Fraction(1, 10**15))
    return Interval(exactly(10**30).lo, INF)
