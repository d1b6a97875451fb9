"""The one table of local derivatives: reverse mode over the DAG takes every slope from here, so each is checked once.

The forms are the ones a kernel should compute: they reuse the value where that is cheap and right, stay finite for
large arguments, and take torch's side at kinks. Arguments are real: complex values are pairs before differentiation.
"""

from __future__ import annotations

import math
from fractions import Fraction

from ssmc.ir import build as b
from ssmc.ir.expr import Arg, Const, Index, Node, Pointwise, Position, Size, const

TWO, HALF, HUNDRED = const(2), const(Fraction(1, 2)), const(100)
RSQRT_2 = const(Fraction(math.sqrt(0.5)))  # the density of a Gaussian, and erf's argument in gelu
RSQRT_2PI = const(Fraction(1 / math.sqrt(2 * math.pi)))
TWO_RSQRT_PI = const(Fraction(2 / math.sqrt(math.pi)))
# gelu_tanh(x) = x * sigmoid(GELU_SCALE * (x + GELU_CUBE * x**3))
GELU_SCALE = const(Fraction(2 * math.sqrt(2 / math.pi)))
GELU_CUBE = const(Fraction(44715, 1000000))

Slopes = tuple[Node | None, ...]


def pullback(node: Pointwise, cotangent: Node) -> Slopes:
    """For each argument what `cotangent` contributes to it, None where the function does not depend on it.

    A contribution has the axes of the node; summing over those the argument lacks is the caller's business.
    """
    slopes = _pullback(node, cotangent)
    return tuple(None if _fixed(arg) else slope for arg, slope in zip(node.args, slopes, strict=True))


def _fixed(arg: Node) -> bool:
    return arg.dtype == "bool" or isinstance(arg, (Const, Arg, Size, Index, Position))


def _pullback(node: Pointwise, g: Node) -> Slopes:
    match node.fn, node.args:
        case "add", _:
            return (g, g)
        case "sub", _:
            return (g, b.neg(g))
        case "mul", (x, y):
            return (b.mul(g, y), b.mul(g, x))
        case "div", (_, y):
            scaled = b.div(g, y)
            return (scaled, b.neg(b.mul(scaled, node)))
        case "pow", (x, y):
            return _power(node, x, y, g)
        case "mod", (x, y):
            return (g, b.neg(b.mul(g, b.apply("floordiv", x, y))))
        case (("lt" | "le" | "gt" | "ge" | "eq" | "ne" | "and" | "or" | "floordiv"), _):
            return (None, None)
        case (("not" | "sign" | "floor" | "ceil" | "round"), _):
            return (None,)
        case (("pi" | "inf"), _):
            return ()
        case "where", (c, _, _):
            return (None, b.apply("where", c, g, b.ZERO), b.apply("where", c, b.ZERO, g))
        case "clip", (x, lo, hi):
            return _clip(x, lo, hi, g)
        case (("min" | "max"), _):
            return _extremum(node.fn, node.args, g)
        case "sqrt_clip", (x, c):
            return (b.mul(g, b.apply("rsqrt", b.apply("max", b.mul(const(4), x), c))), None)
        case _, (x,):
            return (_unary(node, x, g),)
    raise KeyError(f"no derivative for {node.fn}")


def _unary(node: Node, x: Node, g: Node) -> Node:
    assert isinstance(node, Pointwise)
    match node.fn:
        case "neg":
            return b.neg(g)
        case "exp":
            return b.mul(g, node)
        case "expm1":  # not node + 1, which loses exp(x) where x is very negative
            return b.mul(g, b.apply("exp", x))
        case "log":
            return b.div(g, x)
        case "log1p":
            return b.div(g, b.add(b.ONE, x))
        case "sin":
            return b.mul(g, b.apply("cos", x))
        case "cos":
            return b.neg(b.mul(g, b.apply("sin", x)))
        case "tanh":
            return b.mul(g, b.sub(b.ONE, b.mul(node, node)))
        case "square":
            return b.mul(g, b.mul(TWO, x))
        case "phi1":
            return b.mul(g, b.apply("phi1_slope", x))
        case "sqrt":
            return b.div(g, b.mul(TWO, node))
        case "rsqrt":
            return b.mul(g, b.mul(b.neg(HALF), b.mul(node, b.mul(node, node))))
        case "abs":
            return b.mul(g, b.apply("sign", x))
        case "sigmoid":
            return b.mul(g, b.mul(node, b.sub(b.ONE, node)))
        case "log_sigmoid":
            return b.mul(g, b.apply("sigmoid", b.neg(x)))
        case "softplus":
            return b.mul(g, b.apply("sigmoid", x))
        case "inv_softplus":  # 1 / (1 - exp(-x))
            return b.div(g, b.neg(b.apply("expm1", b.neg(x))))
        case "silu":
            gate = b.apply("sigmoid", x)
            return b.mul(g, b.add(gate, b.mul(node, b.sub(b.ONE, gate))))
        case "gelu":
            below = b.mul(HALF, b.add(b.ONE, b.apply("erf", b.mul(RSQRT_2, x))))
            density = b.mul(RSQRT_2PI, b.apply("exp", b.mul(b.neg(HALF), b.mul(x, x))))
            return b.mul(g, b.add(below, b.mul(x, density)))
        case "gelu_tanh":
            return b.mul(g, _gelu_tanh_slope(node, x))
        case "relu":
            return b.apply("where", b.apply("gt", x, b.ZERO), g, b.ZERO)
        case "elu":
            return b.mul(g, b.apply("exp", b.apply("min", x, b.ZERO)))
        case "erf":
            return b.mul(g, b.mul(TWO_RSQRT_PI, b.apply("exp", b.neg(b.mul(x, x)))))
    raise KeyError(f"no derivative for {node.fn}")


def _gelu_tanh_slope(node: Node, x: Node) -> Node:
    """gate + node * (1 - gate) * inner', with x**2 capped in the last factor: beyond it 0 would meet infinity."""
    square = b.mul(x, x)
    inner = b.mul(b.mul(GELU_SCALE, x), b.add(b.ONE, b.mul(GELU_CUBE, square)))
    gate = b.apply("sigmoid", inner)
    capped = b.apply("min", square, HUNDRED)
    slope = b.mul(GELU_SCALE, b.add(b.ONE, b.mul(b.mul(const(3), GELU_CUBE), capped)))
    return b.add(gate, b.mul(b.mul(node, b.sub(b.ONE, gate)), slope))


def _power(node: Node, x: Node, y: Node, g: Node) -> Slopes:
    if isinstance(y, Const):
        return (_constant_power(node, x, Fraction(y.value), g), None)
    below = b.mul(y, b.apply("pow", x, b.sub(y, b.ONE)))
    by_base = b.mul(g, b.apply("where", b.apply("eq", y, b.ZERO), b.ZERO, below))
    if isinstance(x, Const) and x.value > 0:
        return (by_base, b.mul(g, b.mul(node, b.apply("log", x))))
    logarithm = b.apply("log", b.apply("where", b.apply("eq", x, b.ZERO), b.ONE, x))  # 0**y * log 1 is torch's 0
    return (by_base, b.mul(g, b.mul(node, logarithm)))


def _constant_power(node: Node, x: Node, n: Fraction, g: Node) -> Node | None:
    if n == 0:
        return None
    if n == Fraction(1, 2):
        return b.div(g, b.mul(TWO, node))
    if n == -1:
        return b.neg(b.mul(g, b.mul(node, node)))
    if n == 3:
        return b.mul(g, b.mul(const(3), b.mul(x, x)))
    return b.mul(g, b.mul(const(n), x if n == 2 else b.apply("pow", x, const(n - 1))))


def _clip(x: Node, lo: Node, hi: Node, g: Node) -> Slopes:
    """As torch.clamp: the bounds belong to the inside, and the upper one wins if they cross."""
    inside = b.apply("and", b.apply("ge", x, lo), b.apply("le", x, hi))
    below = b.apply("and", b.apply("lt", x, lo), b.apply("lt", lo, hi))
    above = b.apply("or", b.apply("gt", x, hi), b.apply("lt", hi, lo))
    inner, lower, upper = (b.apply("where", c, g, b.ZERO) for c in (inside, below, above))
    return (inner, lower, upper)


def _extremum(fn: str, args: tuple[Node, ...], g: Node) -> Slopes:
    """Two arguments share a tie by halves; more are taken from the left, as nested calls of torch.maximum."""
    if len(args) == 1:
        return (g,)
    rest = b.apply(fn, *args[:-1]) if len(args) > 2 else args[0]
    last = args[-1]
    wins = "gt" if fn == "max" else "lt"
    tie = b.apply("where", b.apply("eq", rest, last), b.mul(HALF, g), b.ZERO)
    to_rest = b.apply("where", b.apply(wins, rest, last), g, tie)
    to_last = b.apply("where", b.apply(wins, last, rest), g, tie)
    return (*_extremum(fn, args[:-1], to_rest), to_last)
