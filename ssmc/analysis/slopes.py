"""How fast an expression changes with one reference: an interval that holds every difference quotient.

Not the derivative table of `lower`: a bound must also hold across kinks, and needs no expression of the derivative.
"""

from __future__ import annotations

from fractions import Fraction

from ssmc.analysis.bounds import Prover
from ssmc.analysis.interval import ONE, TOP, UNIT, ZERO, Interval, between, exactly
from ssmc.ir import build as b
from ssmc.ir.expr import Const, Node, Pointwise, Ref, Relabel, fold

GATE = between(0, Fraction(1, 4))
TWO = exactly(2)


def slope(node: Node, symbol: Ref, prover: Prover) -> Interval | None:
    """The values of (f(x) - f(y)) / (x - y) for real f; None if the symbol is also met at other indices."""

    def step(n: Node, children: tuple[Interval | None, ...]) -> Interval | None:
        if n is symbol:
            return ONE
        if all(c is not None and c == ZERO for c in children):
            return ZERO
        if not isinstance(n, Pointwise) or any(c is None for c in children) or n.dtype == "complex":
            return None if isinstance(n, Relabel) or not isinstance(n, Pointwise) else TOP
        return _chain(n, tuple(c for c in children if c is not None), prover)

    result: Interval | None = fold(node, step)
    return result


def _chain(n: Pointwise, d: tuple[Interval, ...], prover: Prover) -> Interval:
    if any(a.dtype == "complex" for a in n.args):
        return TOP
    x = [prover.real(a) for a in n.args]
    match n.fn:
        case "add":
            return d[0] + d[1]
        case "sub":
            return d[0] - d[1]
        case "neg":
            return -d[0]
        case "mul":
            return d[0] * x[1] + x[0] * d[1]
        case "div":
            if not (x[1].positive or x[1].negative):
                return TOP
            return (d[0] - prover.real(n) * d[1]) * x[1].inverse()
        case "max" | "min" | "clip":
            out = d[0]
            for other in d[1:]:
                out = out.hull(other)
            return out
        case "where":
            if d[0] != ZERO:
                return TOP
            return d[1] if x[0].lo > 0 else d[2] if x[0].hi < 1 else d[1].hull(d[2])
        case "square":
            return TWO * x[0] * d[0]
        case "pow":
            power = n.args[1]
            if isinstance(power, Const) and Fraction(power.value).denominator == 1 and power.value >= 1:
                return exactly(Fraction(power.value)) * x[0].power(int(power.value) - 1) * d[0]
            return TOP
    return _factor(n, x[0], prover) * d[0] if len(x) == 1 else TOP


def _factor(n: Pointwise, x: Interval, prover: Prover) -> Interval:
    """The slope of a function of one argument."""

    def of(fn: str, arg: Node) -> Interval:
        return prover.real(b.apply(fn, arg))

    match n.fn:
        case "tanh":
            return (ONE - prover.real(n).power(2)).meet(between(0, 1))
        case "sigmoid":
            value = prover.real(n)
            return (value * (ONE - value)).meet(GATE)
        case "exp" | "expm1":
            return of("exp", n.args[0])
        case "softplus":
            return of("sigmoid", n.args[0])
        case "log_sigmoid":
            return of("sigmoid", b.neg(n.args[0]))
        case "phi1":
            return of("phi1_slope", n.args[0])
        case "log" if x.positive:
            return x.inverse()
        case "log1p" if (ONE + x).positive:
            return (ONE + x).inverse()
        case "sqrt" if x.positive:
            return (TWO * prover.real(n)).inverse()
        case "relu":
            return ONE if x.lo >= 0 else ZERO if x.hi <= 0 else between(0, 1)
        case "abs":
            return ONE if x.lo >= 0 else -ONE if x.hi <= 0 else UNIT
        case "elu":
            return between(0, 1)
        case "sin" | "cos":
            return UNIT
        case "erf":
            return between(0, Fraction(113, 100))
        case "silu":
            return between(Fraction(-1, 10), Fraction(11, 10))
        case "gelu" | "gelu_tanh":
            return between(Fraction(-14, 100), Fraction(114, 100))
    return TOP
