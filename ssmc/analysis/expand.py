"""Expressions as polynomials in opaque atoms, complex ones as pairs: the view in which terms cancel.

An atom is a node that no ring operation made: a leaf, a function's value, a reduction. The expansion is only asked
questions; nothing of it goes back into the program.
"""

from __future__ import annotations

from collections.abc import Mapping
from fractions import Fraction

from ssmc.analysis import polynomial as pl
from ssmc.analysis.polynomial import MAX_TERMS, Monomial, Poly, atom, number
from ssmc.ir import build as b
from ssmc.ir.expr import Const, Node, Pointwise, Reduce, Relabel

MAX_DEGREE = 8


class Expansion:
    """The atoms met so far and the polynomials worked out, once a node; `numbers` are leaves of a known value."""

    def __init__(self, numbers: Mapping[Node, Fraction] | None = None) -> None:
        self._numbers = numbers or {}
        self.atoms: list[Node] = []
        self._index: dict[Node, int] = {}
        self._sines: dict[int, int] = {}
        self._poly: dict[Node, Poly] = {}
        self._pair: dict[Node, tuple[Poly, Poly]] = {}

    def atom(self, n: Node) -> Poly:
        """The node as an opaque atom; a sine brings its cosine along."""
        if n not in self._index:
            self._index[n] = len(self.atoms)
            self.atoms.append(n)
            if isinstance(n, Pointwise) and n.fn == "sin" and n.dtype == "real":
                cosine = b.apply("cos", n.args[0])
                self.atom(cosine)
                self._sines[self._index[n]] = self._index[cosine]
        return atom(self._index[n])

    def poly(self, n: Node) -> Poly:
        """A real expression as a polynomial in its opaque parts."""
        if n not in self._poly:
            p = self._expanded(n)
            self._poly[n] = p if p is not None and self._small(p) else self.atom(n)
        return self._poly[n]

    def _small(self, *ps: Poly) -> bool:
        return all(len(p.terms) <= MAX_TERMS and p.degree() <= MAX_DEGREE for p in ps)

    def _product(self, p: Poly, q: Poly) -> Poly | None:
        if len(p.terms) * len(q.terms) > MAX_TERMS * 4:
            return None
        return self._tidy(p * q)

    def _expanded(self, n: Node) -> Poly | None:
        if n in self._numbers:
            return number(self._numbers[n])
        if isinstance(n, Const) and not isinstance(n.value, bool):
            return number(n.value)
        if isinstance(n, Relabel):
            return self._renamed(n, self.poly(n.body))
        if isinstance(n, Reduce) and n.op == "sum" and n.dtype == "real":
            return self._summed(n)
        if not isinstance(n, Pointwise) or n.dtype == "bool":
            return None
        match n.fn, n.args:
            case "add", (x, y):
                return self.poly(x) + self.poly(y)
            case "sub", (x, y):
                return self.poly(x) - self.poly(y)
            case "neg", (x,):
                return -self.poly(x)
            case "mul", (x, y):
                return self._product(self.poly(x), self.poly(y))
            case "square", (x,):
                return self._product(self.poly(x), self.poly(x))
            case "pow", (x, Const(value=k)) if k in (2, 3, 4):
                p = self._product(self.poly(x), self.poly(x))
                return p if k == 2 or p is None else self._product(p, self.poly(x) if k == 3 else p)
            case "div", (x, y):
                by = self.poly(y).constant
                return self.poly(x).scaled(1 / by) if by else None
            case "exp", (x,) if n.dtype == "real" and self.poly(x).constant == 0:
                return number(1)
            case "re", (x,):
                return self.pair(x)[0]
            case "im", (x,):
                return self.pair(x)[1]
        return None

    def _tidy(self, p: Poly) -> Poly:
        """sin**2 becomes 1 - cos**2, and rsqrt(d)**2 * s becomes the quotient s/d where s is a term of d."""
        p = pl.square_of(self._sines, p)
        terms: list[tuple[Monomial, Fraction]] = []
        for m, c in p.terms.items():
            powers = dict(m)
            for i in [i for i, k in m if k >= 2]:
                root = self.atoms[i]
                if not (isinstance(root, Pointwise) and root.fn == "rsqrt"):
                    continue
                inside = self.poly(root.args[0]).terms
                for j in [j for j in powers if ((j, 1),) in inside]:
                    while powers.get(i, 0) >= 2 and powers.get(j, 0) >= 1:
                        powers[i], powers[j] = powers[i] - 2, powers[j] - 1
                        ratio = self.atom(b.div(self.atoms[j], root.args[0]))
                        at = next(iter(ratio.terms))[0][0]
                        powers[at] = powers.get(at, 0) + 1
            terms.append((tuple(sorted((i, k) for i, k in powers.items() if k)), c))
        return pl.collect(terms)

    def _summed(self, n: Reduce) -> Poly | None:
        """Factors without the summed axes leave the sum, which then is an atom for each monomial."""
        total = number(0)
        for m, c in self.poly(n.body).terms.items():
            outer = number(c)
            inner: Node = b.ONE
            left = set(n.over)
            for i, k in m:
                node = self.atoms[i]
                if set(node.axes) & set(n.over):
                    left -= set(node.axes)
                    inner = b.mul(inner, _raised(node, k))
                else:
                    outer = outer * Poly({((i, k),): Fraction(1)})
            for axis in sorted(left):
                outer = outer * self.atom(b.size(axis))
            over = tuple(a for a in n.over if a not in left)
            if over:
                whole = b.reduce("sum", over, inner)
                if whole is n:
                    return None
                outer = outer * self.atom(whole)
            total = total + outer
        return self._tidy(total)

    def _renamed(self, n: Relabel, p: Poly) -> Poly:
        """The atoms seen at the other index: another value, within the same bounds."""
        total = number(0)
        for m, c in p.terms.items():
            term = number(c)
            for i, k in m:
                for _ in range(k):
                    term = term * self.atom(b.relabel(n.pairs, self.atoms[i]))
            total = total + term
        return total

    def pair(self, n: Node) -> tuple[Poly, Poly]:
        """Real and imaginary part as polynomials."""
        if n.dtype != "complex":
            return self.poly(n), number(0)
        if n not in self._pair:
            found = self._split(n)
            opaque = found is None or not self._small(*found)
            self._pair[n] = (self.atom(b.apply("re", n)), self.atom(b.apply("im", n))) if opaque else found  # type: ignore[assignment]
        return self._pair[n]

    def _split(self, n: Node) -> tuple[Poly, Poly] | None:
        if isinstance(n, Relabel):
            re, im = self.pair(n.body)
            return self._renamed(n, re), self._renamed(n, im)
        if not isinstance(n, Pointwise):
            return None
        match n.fn, n.args:
            case "complex", (x, y):
                return self.poly(x), self.poly(y)
            case (("add" | "sub"), (x, y)):
                (a, c), (d, e) = self.pair(x), self.pair(y)
                return (a + d, c + e) if n.fn == "add" else (a - d, c - e)
            case "neg", (x,):
                a, c = self.pair(x)
                return -a, -c
            case "conj", (x,):
                a, c = self.pair(x)
                return a, -c
            case "mul", (x, y):
                return self._complex_product(self.pair(x), self.pair(y))
            case "square", (x,):
                return self._complex_product(self.pair(x), self.pair(x))
            case "div", (x, y):
                by = self.poly(y).constant if y.dtype == "real" else None
                a, c = self.pair(x)
                return (a.scaled(1 / by), c.scaled(1 / by)) if by else None
            case (("exp" | "expm1"), (x,)):
                radius, angle = self.poly(b.apply("exp", b.apply("re", x))), b.apply("im", x)
                turned = [self._product(radius, self._turn(f, angle)) for f in ("cos", "sin")]
                if turned[0] is None or turned[1] is None:
                    return None
                return turned[0] - number(1 if n.fn == "expm1" else 0), turned[1]
        return None

    def _turn(self, fn: str, angle: Node) -> Poly:
        if self.poly(angle).constant == 0:
            return number(1 if fn == "cos" else 0)
        return self.atom(b.apply(fn, angle))

    def _complex_product(self, x: tuple[Poly, Poly], y: tuple[Poly, Poly]) -> tuple[Poly, Poly] | None:
        parts = [self._product(p, q) for p, q in ((x[0], y[0]), (x[1], y[1]), (x[0], y[1]), (x[1], y[0]))]
        if any(p is None for p in parts):
            return None
        rr, ii, ri, ir = (p for p in parts if p is not None)
        return rr - ii, ri + ir

    def modulus_poly(self, n: Node) -> Poly | None:
        """|z|**2 as a polynomial; None if it is too large."""
        re, im = self.pair(n)
        squares = self._product(re, re), self._product(im, im)
        if squares[0] is None or squares[1] is None:
            return None
        return self._tidy(squares[0] + squares[1])


def _raised(node: Node, k: int) -> Node:
    """node**k, an even power as a square, so that it is seen not to be negative."""
    if k == 1:
        return node
    half = b.apply("square", _raised(node, k // 2))
    return half if k % 2 == 0 else b.mul(half, node)
