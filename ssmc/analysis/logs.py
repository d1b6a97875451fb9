"""The logarithm of a value, taken where it keeps its digits: of what it is made of, else of the value itself."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction

from ssmc.ir import build as b
from ssmc.ir.expr import Node, Pointwise, Ref, const

HALF, MOST = const(Fraction(1, 2)), const(Fraction(3, 4))
TINY = const(Fraction(1, 10**37))  # what is positive may still underflow to 0, where a logarithm has no slope
THROUGH = ("exp", "sigmoid", "mul", "div")

Meaning = Callable[[Ref], Node | None]


def log_of(node: Node, meaning: Meaning, positive: Callable[[Node], bool]) -> Node | None:
    """log(node); None if the node is not known to be positive. `meaning` gives a name's equation."""
    match node:
        case Ref() if not node.offset:
            inner = meaning(node)
            if isinstance(inner, Pointwise) and inner.fn in THROUGH:
                return log_of(inner, meaning, positive)
        case Pointwise(fn="exp", args=(x,)):
            return x
        case Pointwise(fn="sigmoid", args=(x,)):
            return b.apply("log_sigmoid", x)
        case Pointwise(fn="mul" | "div", args=(x, y)):
            logs = [log_of(v, meaning, positive) for v in (x, y)]
            if logs[0] is not None and logs[1] is not None:
                return b.apply("add" if node.fn == "mul" else "sub", logs[0], logs[1])
    if node is b.ONE:
        return b.ZERO
    if not positive(node):
        return None
    rest = complement(node, meaning)
    if rest is None:
        return b.apply("log", b.apply("max", node, TINY))
    # near 1 from what is missing to 1, each side kept off where it has no slope
    near = b.apply("log1p", b.neg(b.apply("min", rest, MOST)))
    return b.apply("where", b.apply("lt", rest, HALF), near, b.apply("log", b.apply("max", node, TINY)))


def complement(node: Node, meaning: Meaning) -> Node | None:
    """1 - node without cancellation, for sigmoids, exponentials and mixtures c + (1 - c) * x of such; else None."""
    match node:
        case Ref() if not node.offset:
            inner = meaning(node)
            return None if inner is None else complement(inner, meaning)
        case Pointwise(fn="sigmoid", args=(x,)):
            return b.apply("sigmoid", b.neg(x))
        case Pointwise(fn="exp", args=(x,)):
            return b.neg(b.apply("expm1", x))
        case Pointwise(fn="add", args=(x, y)):
            for c, product in ((x, y), (y, x)):
                mixed = _mixed(c, product, meaning)
                if mixed is not None:
                    return mixed
    return None


def _mixed(c: Node, product: Node, meaning: Meaning) -> Node | None:
    """(1 - c) * (1 - x), where the product is (1 - c) * x."""
    match product:
        case Pointwise(fn="mul", args=(p, q)):
            for weight, x in ((p, q), (q, p)):
                if weight is b.sub(b.ONE, c):
                    rest = complement(x, meaning)
                    return None if rest is None else b.mul(weight, rest)
    return None
