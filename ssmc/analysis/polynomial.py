"""Polynomials with rational coefficients over opaque atoms, and their range on a box.

Expanding lets terms cancel that interval arithmetic alone would count twice: 1 - (lb + (1 - lb)*s) is (1 - lb)*(1 - s).
A polynomial in which every atom occurs with one power takes its extremes at the corners of the box, which is exact.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from fractions import Fraction
from itertools import product

from ssmc.analysis.interval import ZERO, Interval, exactly

Monomial = tuple[tuple[int, int], ...]  # (atom, power), sorted by atom
_CORNER_ATOMS = 7
MAX_TERMS = 60


@dataclass(frozen=True, slots=True)
class Poly:
    """A sum of monomials; no coefficient is zero."""

    terms: Mapping[Monomial, Fraction]

    def __add__(self, other: Poly) -> Poly:
        return collect([*self.terms.items(), *other.terms.items()])

    def __neg__(self) -> Poly:
        return self.scaled(Fraction(-1))

    def __sub__(self, other: Poly) -> Poly:
        return self + -other

    def __mul__(self, other: Poly) -> Poly:
        return collect((_times(m, n), a * c) for m, a in self.terms.items() for n, c in other.terms.items())

    def scaled(self, by: Fraction) -> Poly:
        """The polynomial times a number."""
        return Poly({m: c * by for m, c in self.terms.items() if by})

    @property
    def constant(self) -> Fraction | None:
        """Its value, if it has no atom."""
        if not self.terms:
            return Fraction(0)
        return self.terms.get(()) if len(self.terms) == 1 else None

    def degree(self) -> int:
        """The largest total degree."""
        return max((sum(p for _, p in m) for m in self.terms), default=0)


def collect(terms: Iterable[tuple[Monomial, Fraction]]) -> Poly:
    """The sum of the terms."""
    found: dict[Monomial, Fraction] = {}
    for m, c in terms:
        found[m] = found.get(m, Fraction(0)) + c
    return Poly({m: c for m, c in found.items() if c})


def number(x: Fraction | int) -> Poly:
    """A constant."""
    return Poly({(): Fraction(x)} if x else {})


def atom(i: int) -> Poly:
    """An atom by itself."""
    return Poly({((i, 1),): Fraction(1)})


def _times(m: Monomial, n: Monomial) -> Monomial:
    powers = dict(m)
    for a, p in n:
        powers[a] = powers.get(a, 0) + p
    return tuple(sorted(powers.items()))


def square_of(sines: Mapping[int, int], p: Poly) -> Poly:
    """The polynomial with sin**2 written as 1 - cos**2; `sines` gives each sine's cosine."""
    while True:
        hit = next(((m, a) for m in p.terms for a, k in m if a in sines and k >= 2), None)
        if hit is None:
            return p
        m, a = hit
        rest = tuple((b, k - 2 if b == a else k) for b, k in m if b != a or k > 2)
        c = p.terms[m]
        cosine = sines[a]
        others = [(n, d) for n, d in p.terms.items() if n != m]
        p = collect([*others, (rest, c), (_times(rest, ((cosine, 2),)), -c)])


# --- ranges ---


def range_of(p: Poly, box: Callable[[int], Interval]) -> Interval:
    """What the polynomial can be when each atom is in its interval, by two methods that both hold."""
    total = ZERO
    for m, c in p.terms.items():
        value = exactly(c)
        for a, k in m:
            value = value * box(a).power(k)
        total = total + value
    exact = _at_corners(p, box)
    return total if exact is None else total.meet(exact)


def _at_corners(p: Poly, box: Callable[[int], Interval]) -> Interval | None:
    """The exact range, if every atom occurs with one power only and is bounded, and there are few of them."""
    powers: dict[int, int] = {}
    for m in p.terms:
        for a, k in m:
            if powers.setdefault(a, k) != k:
                return None
    if len(p.terms) < 2 or len(powers) > _CORNER_ATOMS:
        return None
    names = list(powers)
    sides = [box(a).power(powers[a]) for a in names]
    if not all(s.finite for s in sides):
        return None
    values: dict[tuple[int, ...], Fraction] = {}
    for corner in product((0, 1), repeat=len(names)):
        at = {a: Fraction(s.hi if up else s.lo) for a, s, up in zip(names, sides, corner, strict=True)}
        values[corner] = sum((_value(m, c, at) for m, c in p.terms.items()), Fraction(0))
    lo, hi = min(values.values()), max(values.values())
    reached = [_reached({c for c, v in values.items() if v == end}, sides) for end in (lo, hi)]
    return Interval(lo, hi, not reached[0], not reached[1])


def _value(m: Monomial, c: Fraction, at: Mapping[int, Fraction]) -> Fraction:
    for a, _ in m:
        c = c * at[a]
    return c


def _reached(corners: set[tuple[int, ...]], sides: list[Interval]) -> bool:
    """Whether some point of the box attains a value that is attained exactly at these corners.

    The points that attain it are faces of the box all of whose corners do. A face holds a point of the box unless it is
    fixed at an end that is open.
    """

    def face(prefix: tuple[int, ...], faces: list[tuple[int, ...]]) -> bool:
        i = len(prefix)
        if i == len(sides):
            return all(f in corners for f in faces)
        side = sides[i]
        for up in (0, 1):
            if not (side.hi_open if up else side.lo_open):
                narrowed = [(*f, up) for f in faces]
                if all(any(c[: i + 1] == f for c in corners) for f in narrowed) and face((*prefix, up), narrowed):
                    return True
        both = [(*f, up) for f in faces for up in (0, 1)]
        return all(any(c[: i + 1] == f for c in corners) for f in both) and face((*prefix, 2), both)

    return face((), [()])
