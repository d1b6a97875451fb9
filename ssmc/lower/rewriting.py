"""Named rewrites that keep a value's digits: what cancels or overflows as written is written otherwise."""

from __future__ import annotations

from collections.abc import Callable

from ssmc.ir import build as b
from ssmc.ir.expr import Node, Pointwise, const, fold, rebuild

Rule = Callable[[Pointwise], Node | None]


def one_minus_exp(node: Pointwise) -> Node | None:
    """1 - exp(x) = -expm1(x), exp(x) - 1 = expm1(x)."""
    match node.fn, node.args:
        case "sub", (one, Pointwise(fn="exp", args=(x,))) if one is b.ONE:
            return b.neg(b.apply("expm1", x))
        case "sub", (Pointwise(fn="exp", args=(x,)), one) if one is b.ONE:
            return b.apply("expm1", x)
    return None


def one_minus_sigmoid(node: Pointwise) -> Node | None:
    """1 - sigmoid(x) = sigmoid(-x)."""
    match node.fn, node.args:
        case "sub", (one, Pointwise(fn="sigmoid", args=(x,))) if one is b.ONE:
            return b.apply("sigmoid", b.neg(x))
    return None


def log_one_plus(node: Pointwise) -> Node | None:
    """log(1 + x) = log1p(x), with log(1 + exp(x)) = softplus(x); real arguments."""
    match node.fn, node.args:
        case "log", (Pointwise(fn="add", args=(p, q)),) if p is b.ONE or q is b.ONE:
            x = q if p is b.ONE else p
            if isinstance(x, Pointwise) and x.fn == "exp":
                return b.apply("softplus", x.args[0])
            return b.apply("log1p", x)
    return None


def log_of_exp_family(node: Pointwise) -> Node | None:
    """log(sigmoid(x)) = log_sigmoid(x), log(exp(x)) = x for real x."""
    match node.fn, node.args:
        case "log", (Pointwise(fn="sigmoid", args=(x,)),):
            return b.apply("log_sigmoid", x)
        case "log", (Pointwise(fn="exp", args=(x,)),) if x.dtype == "real":
            return x
    return None


def square_of_sqrt(node: Pointwise) -> Node | None:
    """sqrt(1 - exp(x)**2) = sqrt(-expm1(2*x)), also with a clipped slope."""
    if node.fn not in ("sqrt", "sqrt_clip") or not isinstance(node.args[0], Pointwise):
        return None
    inner = node.args[0]
    match inner.fn, inner.args:
        case "sub", (one, Pointwise(fn=("square" | "pow" | "mul") as fn, args=args)) if one is b.ONE:
            base = args[0]
            squared = fn == "square" or (fn == "mul" and args[0] is args[1]) or (fn == "pow" and args[1] is const(2))
            if squared and isinstance(base, Pointwise) and base.fn == "exp" and base.dtype == "real":
                doubled = b.neg(b.apply("expm1", b.mul(const(2), base.args[0])))
                return b.apply(node.fn, doubled, *node.args[1:])
    return None


RULES: tuple[Rule, ...] = (square_of_sqrt, one_minus_exp, one_minus_sigmoid, log_one_plus, log_of_exp_family)


def rewrite(root: Node) -> Node:
    """The expression with every rule applied, from the leaves up, once."""

    def visit(node: Node, children: tuple[Node, ...]) -> Node:
        new = rebuild(node, children, b.remake)
        better = (rule(new) for rule in RULES) if isinstance(new, Pointwise) else ()
        return next((n for n in better if n is not None), new)

    out: Node = fold(root, visit)
    return out
