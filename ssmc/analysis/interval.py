"""Intervals of reals with exact or outward-rounded endpoints, open or closed, possibly infinite.

An interval holds every value an expression can take *where it is defined*. All arithmetic is on fractions; functions
with other values are evaluated in floating point and widened by more than the error, so no bound is too tight.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from fractions import Fraction

Number = Fraction | float  # a Fraction, or an infinity
INF = math.inf
_BITS = 256


@dataclass(frozen=True, slots=True)
class Interval:
    """The numbers between two ends; `lo_open` says that `lo` itself is never reached. Infinite ends are always open."""

    lo: Number
    hi: Number
    lo_open: bool = False
    hi_open: bool = False

    def __post_init__(self) -> None:
        object.__setattr__(self, "lo", _rounded(self.lo, down=True))
        object.__setattr__(self, "hi", _rounded(self.hi, down=False))
        object.__setattr__(self, "lo_open", self.lo_open or self.lo == -INF)
        object.__setattr__(self, "hi_open", self.hi_open or self.hi == INF)

    @property
    def finite(self) -> bool:
        """Whether both ends are."""
        return self.lo != -INF and self.hi != INF

    @property
    def point(self) -> bool:
        """Whether it holds one number."""
        return self.lo == self.hi

    @property
    def positive(self) -> bool:
        """Whether every number in it is above 0."""
        return self.lo > 0 or (self.lo == 0 and self.lo_open)

    @property
    def negative(self) -> bool:
        """Whether every number in it is below 0."""
        return self.hi < 0 or (self.hi == 0 and self.hi_open)

    def contains(self, x: Number) -> bool:
        """Whether the number is in it."""
        above = self.lo < x or (self.lo == x and not self.lo_open)
        return above and (x < self.hi or (x == self.hi and not self.hi_open))

    def within(self, other: Interval) -> bool:
        """Whether every number of this one is in the other."""
        low = self.lo > other.lo or (self.lo == other.lo and (self.lo_open or not other.lo_open))
        return low and (self.hi < other.hi or (self.hi == other.hi and (self.hi_open or not other.hi_open)))

    def meet(self, other: Interval) -> Interval:
        """The numbers in both, both holding the value. Disjoint facts (an undefined value) give the first."""
        lo, lo_open = max((self.lo, self.lo_open), (other.lo, other.lo_open))
        hi, shut = min((self.hi, not self.hi_open), (other.hi, not other.hi_open))
        if lo > hi or (lo == hi and (lo_open or not shut)):
            return self
        return Interval(lo, hi, lo_open, not shut)

    def hull(self, other: Interval) -> Interval:
        """The smallest interval that holds both."""
        lo, lo_open = min((self.lo, self.lo_open), (other.lo, other.lo_open))
        hi, shut = max((self.hi, not self.hi_open), (other.hi, not other.hi_open))
        return Interval(lo, hi, lo_open, not shut)

    def __add__(self, other: Interval) -> Interval:
        lo = -INF if -INF in (self.lo, other.lo) else self.lo + other.lo
        hi = INF if INF in (self.hi, other.hi) else self.hi + other.hi
        return Interval(lo, hi, self.lo_open or other.lo_open, self.hi_open or other.hi_open)

    def __neg__(self) -> Interval:
        return Interval(-self.hi, -self.lo, self.hi_open, self.lo_open)

    def __sub__(self, other: Interval) -> Interval:
        return self + -other

    def __mul__(self, other: Interval) -> Interval:
        mine = ((self.lo, self.lo_open), (self.hi, self.hi_open))
        corners = [_corner(x, xo, y, yo) for x, xo in mine for y, yo in _ends(other)]
        if self.contains(0) or other.contains(0):
            corners.append((Fraction(0), False))
        lo, lo_open = min(corners)
        hi, shut = max((v, not o) for v, o in corners)
        return Interval(lo, hi, lo_open, not shut)

    def inverse(self) -> Interval:
        """1/x; nothing is known if x may be 0."""
        if self.positive:
            lo, lo_open = (Fraction(0), True) if self.hi == INF else (1 / Fraction(self.hi), self.hi_open)
            hi, hi_open = (INF, True) if self.lo == 0 else (1 / Fraction(self.lo), self.lo_open)
            return Interval(lo, hi, lo_open, hi_open)
        if self.negative:
            return -(-self).inverse()
        return TOP

    def power(self, n: int) -> Interval:
        """x**n for a natural n."""
        if n == 0:
            return ONE
        if n % 2 == 0:
            return self.magnitude().monotone_power(n)
        return self.monotone_power(n)

    def monotone_power(self, n: int) -> Interval:
        """x**n where that grows with x."""
        lo, hi = (x if abs(x) == INF else Fraction(x) ** n for x in (self.lo, self.hi))
        return Interval(lo, hi, self.lo_open, self.hi_open)

    def magnitude(self) -> Interval:
        """|x|."""
        if self.lo >= 0:
            return self
        if self.hi <= 0:
            return -self
        hi, shut = max((-self.lo, not self.lo_open), (self.hi, not self.hi_open))
        return Interval(Fraction(0), hi, False, not shut)

    def __str__(self) -> str:
        left, right = "(" if self.lo_open else "[", ")" if self.hi_open else "]"
        return f"{left}{decimal(self.lo)}, {decimal(self.hi)}{right}"


def decimal(x: Number) -> str:
    """A number for people: exact if that is short, else six digits."""
    if isinstance(x, float):
        return "inf" if x > 0 else "-inf"
    if x.denominator == 1 and abs(x) < 10**9:
        return str(x.numerator)
    exact = f"{float(x):.6g}" if abs(x) < 10**300 else "1e300"
    return exact if "e" in exact or Fraction(exact) == x or x.denominator > 999 else f"{x.numerator}/{x.denominator}"


def _ends(x: Interval) -> tuple[tuple[Number, bool], tuple[Number, bool]]:
    return (x.lo, x.lo_open), (x.hi, x.hi_open)


def _corner(x: Number, x_open: bool, y: Number, y_open: bool) -> tuple[Number, bool]:
    """A corner of a product. 0 * infinity counts as 0: the corner beside it holds the infinity, if there is one."""
    if x == 0 or y == 0:
        reached = (x == 0 and not x_open) or (y == 0 and not y_open)
        return Fraction(0), not reached
    if isinstance(x, float) or isinstance(y, float):
        return (INF if (x > 0) == (y > 0) else -INF), True
    return x * y, x_open or y_open


def _rounded(x: Number, down: bool) -> Number:
    """The number, or one with few digits beside it, on the side that keeps the interval true."""
    if isinstance(x, float):
        return x if abs(x) == INF else Fraction(x)
    if isinstance(x, int) or x.denominator.bit_length() + x.numerator.bit_length() <= 2 * _BITS:
        return Fraction(x)
    if x.numerator.bit_length() > 16 * _BITS + x.denominator.bit_length():
        vast = Fraction(2) ** (16 * _BITS)
        return (vast if x > 0 else -INF) if down else (INF if x > 0 else -vast)
    shift = _BITS + x.denominator.bit_length() - x.numerator.bit_length()
    if shift > 16 * _BITS:
        tiny = Fraction(1, 2 ** (8 * _BITS))
        return (Fraction(0) if x > 0 else -tiny) if down else (tiny if x > 0 else Fraction(0))
    scaled = x * Fraction(2) ** shift
    whole = scaled.numerator // scaled.denominator
    return Fraction(whole if down else whole + 1) / Fraction(2) ** shift


TOP = Interval(-INF, INF)
ZERO = Interval(Fraction(0), Fraction(0))
ONE = Interval(Fraction(1), Fraction(1))
UNIT = Interval(Fraction(-1), Fraction(1))
POSITIVE = Interval(Fraction(0), INF, lo_open=True)
NATURAL = Interval(Fraction(1), INF)


def exactly(x: Fraction | int) -> Interval:
    """One number."""
    return Interval(Fraction(x), Fraction(x))


def between(lo: Fraction | int | float, hi: Fraction | int | float, open_: str = "") -> Interval:
    """From lo to hi; `open_` holds `l` or `h` for ends that are not reached."""
    low, high = (x if isinstance(x, float) and abs(x) == INF else Fraction(x) for x in (lo, hi))
    return Interval(low, high, "l" in open_, "h" in open_)
