"""What values an expression can take, from what is known of its leaves: interval arithmetic and a few lemmas.

Three views of one expression are met: bottom-up intervals; the expanded polynomial, where terms cancel (`expand.py`);
and lemmas for quotients and extrema. Complex values are pairs of polynomials, and their
modulus is bounded along products, quotients and |exp z| = exp(re z).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from fractions import Fraction

from ssmc.analysis.expand import Expansion
from ssmc.analysis.interval import INF, NATURAL, ONE, POSITIVE, TOP, ZERO, Interval, between, exactly
from ssmc.analysis.monotone import bounds_of, constant, power_of
from ssmc.analysis.polynomial import Poly, range_of
from ssmc.ir import build as b
from ssmc.ir.expr import Arg, Const, Draw, Index, Node, Pointwise, Position, Reduce, Ref, Relabel, Size, walk

NOT_NEGATIVE = Interval(Fraction(0), INF)
MAYBE = between(0, 1)
PARTIAL = {"div", "mod", "floordiv", "pow", "log", "log1p", "sqrt", "sqrt_clip", "rsqrt", "inv_softplus"}
DEPTH = 2


def bounds(node: Node, known: Mapping[Node, Interval]) -> Interval:
    """The values a real expression can take; of a complex one, its modulus squared. `known`: facts, of any node."""
    prover = Prover(known)
    return prover.modulus_squared(node) if node.dtype == "complex" else prover.real(node)


class Prover:
    """Bounds under one set of facts, worked out once a node."""

    def __init__(self, known: Mapping[Node, Interval]) -> None:
        self.known = known
        self.expansion = Expansion({n: Fraction(i.lo) for n, i in known.items() if isinstance(n, Arg) and i.point})
        self._real: dict[Node, Interval] = {}
        self._square: dict[Node, Interval] = {}

    # --- real values ---

    def real(self, node: Node) -> Interval:
        """The values of a real or boolean expression (true is 1)."""
        if node not in self._real:
            for n in walk(node):
                if n not in self._real and n.dtype != "complex":
                    found = self._bound(n)
                    self._real[n] = found.meet(self.known[n]) if n in self.known else found
        return self._real[node]

    def _bound(self, n: Node) -> Interval:
        match n:
            case Const():
                return exactly(int(n.value) if isinstance(n.value, bool) else n.value)
            case Size():
                return NATURAL
            case Index():
                size = self.known.get(b.size(n.axis), NATURAL)
                return Interval(Fraction(0), size.hi if size.hi == INF else size.hi - 1)
            case Position():
                return NOT_NEGATIVE
            case Draw(kind="uniform"):
                return self.real(n.args[0]).hull(self.real(n.args[1]))
            case Relabel():
                return self.real(n.body)
            case Reduce():
                return self._reduced(n)
            case Pointwise():
                return self._pointwise(n)
        return MAYBE if n.dtype == "bool" else TOP

    def _reduced(self, n: Reduce) -> Interval:
        body = self.real(n.body)
        if n.op != "sum":
            return body
        picked = self._picked(n)
        if picked is not None:
            return self.real(picked)
        if self._share(n.body, n.over):
            return MAYBE
        for axis in n.over:
            body = body * self.known.get(b.size(axis), NATURAL)
        p = self.expansion.poly(n)
        return body if p.terms == self.expansion.atom(n).terms else body.meet(self.range(p))

    def _share(self, part: Node, over: tuple[str, ...]) -> bool:
        """Whether a sum adds parts of a whole: of x / sum(x) with x >= 0, each left out or weighed by at most 1."""
        match part:
            case Pointwise(fn="where", args=(_, x, zero)) if zero is b.ZERO:
                return self._share(x, over)
            case Pointwise(fn="mul", args=(x, y)) if self.real(y).lo >= 0 and self.real(y).hi <= 1:
                return self._share(x, over)
            case Pointwise(fn="div", args=(x, Reduce(op="sum", over=axes, body=whole))):
                return x is whole and set(over) <= set(axes) and self.real(x).lo >= 0 and self.defined(part)
        return False

    def _picked(self, n: Reduce) -> Node | None:
        """The v of sum[A](where(index(A) == k, v, 0)): of such a sum one term is not zero, if A is larger than k."""
        match n.body:
            case Pointwise(fn="where", args=(Pointwise(fn="eq", args=(Index(axis=axis), Const(value=k))), v, z)):
                larger = self.known.get(b.size(axis), NATURAL).lo > k >= 0 and k == int(k)
                return v if z is b.ZERO and larger and n.over == (axis,) else None
        return None

    def _pointwise(self, n: Pointwise) -> Interval:
        if any(a.dtype == "complex" for a in n.args):
            return self._of_complex(n)
        x = [self.real(a) for a in n.args]
        match n.fn:
            case "add" | "sub":
                total = x[0] + x[1] if n.fn == "add" else x[0] - x[1]
                return total.meet(self.range(self.expansion.poly(n)))
            case "mul":
                same = n.args[0] is n.args[1]
                return x[0].power(2) if same else x[0] * x[1]
            case "div":
                top, bottom = (self.expansion.poly(a) for a in n.args)
                return self._quotient(top, bottom, x[0] * x[1].inverse())
            case "pow":
                return power_of(x[0], x[1])
            case "mod":
                return Interval(Fraction(0), x[1].hi, False, True) if x[1].positive else TOP
            case "floordiv":
                return bounds_of("floor", x[0] * x[1].inverse()) or TOP
            case "lt" | "gt" | "le" | "ge" | "eq" | "ne" if not all(self.defined(a) for a in n.args):
                return MAYBE  # a comparison with what is no number is false
            case "lt" | "gt" | "le" | "ge":
                return _compared(n.fn, self.range(self.expansion.poly(n.args[0]) - self.expansion.poly(n.args[1])))
            case "eq" | "ne":
                apart = not self.range(self.expansion.poly(n.args[0]) - self.expansion.poly(n.args[1])).contains(0)
                same = x[0].point and x[1].point and x[0].lo == x[1].lo
                return exactly(int((n.fn == "ne") == apart)) if apart or same else MAYBE
            case "and":
                return x[0] * x[1]
            case "or":
                return ONE - (ONE - x[0]) * (ONE - x[1])
            case "not":
                return ONE - x[0]
            case "where":
                return x[1] if x[0].lo > 0 else x[2] if x[0].hi < 1 else x[1].hull(x[2])
            case "max":
                return _largest(x)
            case "min":
                return -_largest([-v for v in x])
            case "clip":
                return -_largest([-_largest(x[:2]), -x[2]])
            case "sqrt_clip":
                return bounds_of("sqrt", x[0]) or TOP
            case "pi" | "inf":
                return constant(n.fn)
        return (bounds_of(n.fn, x[0]) if len(x) == 1 else None) or TOP

    def defined(self, node: Node) -> bool:
        """Whether the expression is a number for all values of its leaves."""
        return not any(isinstance(n, Pointwise) and self._partial(n) for n in walk(node))

    def _partial(self, n: Pointwise) -> bool:
        if n.fn not in PARTIAL:
            return False
        last = n.args[-1 if n.fn in ("div", "mod", "floordiv") else 0]
        if last.dtype == "complex":
            return True
        x = self.real(last)
        if n.fn in ("div", "mod", "floordiv"):
            return not (x.positive or x.negative)
        if n.fn == "pow":
            power = n.args[1]
            return not (x.positive or (isinstance(power, Const) and power.value in (1, 2, 3, 4)))
        return not (x.lo >= 0 if n.fn in ("sqrt", "sqrt_clip") else x.lo > -1 if n.fn == "log1p" else x.positive)

    def _quotient(self, top: Poly, bottom: Poly, found: Interval) -> Interval:
        """n/d is c + (n - c*d)/d for c = -1, 0 and 1, where terms of n and c*d cancel."""
        sign = self.range(bottom)
        if not (sign.positive or sign.negative):
            return found
        for c in (-1, 0, 1):
            rest = self.range(top - bottom.scaled(Fraction(c)))
            found = found.meet(exactly(c) + rest * sign.inverse())
        return found

    # --- polynomials ---

    def range(self, p: Poly, depth: int = DEPTH) -> Interval:
        """The values of a polynomial in atoms, with max(a, b) >= a and its kin used where they help."""
        found = range_of(p, self._box)
        if depth == 0:
            return found
        for m, c in p.terms.items():
            if len(m) != 1 or m[0][1] != 1:
                continue
            rest = p - Poly({m: c})
            for other, below in self._related(self.expansion.atoms[m[0][0]]):
                value = self.range(rest + self.expansion.poly(other).scaled(c), depth - 1)
                if below == (c > 0):  # p is at least the polynomial with the smaller expression
                    found = found.meet(Interval(value.lo, INF, value.lo_open, True))
                else:
                    found = found.meet(Interval(-INF, value.hi, True, value.hi_open))
        return found

    def _related(self, n: Node) -> Iterable[tuple[Node, bool]]:
        """Expressions known to be below (True) or above (False) an atom."""
        match n:
            case Pointwise(fn="max"):
                return [(a, True) for a in n.args]
            case Pointwise(fn="min"):
                return [(a, False) for a in n.args]
            case Pointwise(fn="softplus" | "relu"):
                return [(n.args[0], True)]
            case Pointwise(fn="log_sigmoid"):
                return [(n.args[0], False)]
            case Pointwise(fn="abs") if n.args[0].dtype == "real":
                return [(n.args[0], True), (b.neg(n.args[0]), True)]
            case Reduce(op="max"):
                return [(n.body, True)]
            case Reduce(op="min"):
                return [(n.body, False)]
            case Reduce(op="sum") if n.dtype == "real" and self.real(n.body).lo >= 0:
                return [(n.body, True)]
        return []

    def _box(self, i: int) -> Interval:
        return self.real(self.expansion.atoms[i])

    # --- complex values ---

    def _of_complex(self, n: Pointwise) -> Interval:
        match n.fn:
            case "abs":
                return bounds_of("sqrt", self.modulus_squared(n.args[0])) or NOT_NEGATIVE
            case "re" | "im":
                p = self.expansion.poly(n)
                if p.terms != self.expansion.atom(n).terms:
                    return self.range(p)
                if isinstance(n.args[0], Ref | Draw):
                    return TOP
                modulus = bounds_of("sqrt", self._along(n.args[0])) or NOT_NEGATIVE
                return Interval(-modulus.hi, modulus.hi, modulus.hi_open, modulus.hi_open)
        return MAYBE if n.dtype == "bool" else TOP

    def modulus_squared(self, n: Node) -> Interval:
        """The values of |z|**2."""
        if n.dtype != "complex":
            return self.real(n).power(2)
        if n not in self._square:
            found = self._along(n)
            square = self.expansion.modulus_poly(n)
            if square is not None:
                found = found.meet(self.range(square).meet(NOT_NEGATIVE))
            self._square[n] = found
        return self._square[n]

    def _along(self, n: Node) -> Interval:
        """The modulus squared by the structure of the expression."""
        if n.dtype != "complex":
            return self.real(n).power(2)
        if isinstance(n, Relabel):
            return self._along(n.body)
        if not isinstance(n, Pointwise):
            return NOT_NEGATIVE
        match n.fn, n.args:
            case (("neg" | "conj"), (x,)):
                return self.modulus_squared(x)
            case "mul", (x, y):
                return self.modulus_squared(x) * self.modulus_squared(y)
            case "square", (x,):
                return self.modulus_squared(x).power(2)
            case "exp", (x,):
                return self.real(b.apply("exp", b.apply("re", x))).power(2).meet(POSITIVE)
            case "phi1", (x,):  # the mean of exp(s*z) over s in [0, 1]
                largest = self.real(b.apply("phi1", b.apply("re", x)))
                return Interval(Fraction(0), largest.power(2).hi)
            case "where", (_, x, y):
                return self.modulus_squared(x).hull(self.modulus_squared(y))
            case "pow", (x, Const(value=k)) if isinstance(k, Fraction) and k.denominator == 1 and 0 <= k <= 64:
                return self.modulus_squared(x).power(int(k))
            case (("add" | "sub"), (x, y)):
                reach = [bounds_of("sqrt", self.modulus_squared(v)) or NOT_NEGATIVE for v in (x, y)]
                return Interval(Fraction(0), (reach[0] + reach[1]).power(2).hi)
            case "div", (x, y):
                found = self.modulus_squared(x) * self.modulus_squared(y).inverse()
                top, bottom = self.expansion.modulus_poly(x), self.expansion.modulus_poly(y)
                return found if top is None or bottom is None else self._quotient(top, bottom, found)
        return NOT_NEGATIVE


def _compared(fn: str, difference: Interval) -> Interval:
    """Whether x < y and so on, from the values of x - y."""
    d = -difference if fn in ("gt", "ge") else difference
    if fn in ("lt", "gt"):
        return ONE if d.negative else ZERO if d.lo >= 0 else MAYBE
    return ONE if d.hi <= 0 else ZERO if d.positive else MAYBE


def _largest(xs: list[Interval]) -> Interval:
    lo, lo_open = max((x.lo, not x.lo_open) for x in xs)
    hi, shut = max((x.hi, not x.hi_open) for x in xs)
    return Interval(lo, hi, not lo_open, not shut)
