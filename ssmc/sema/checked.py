"""Pointwise functions of checked arguments: numbers, conditions and complex values where they belong."""

from __future__ import annotations

import math
import operator
from collections.abc import Callable, Sequence
from fractions import Fraction
from typing import TYPE_CHECKING

from ssmc.ir import build as b
from ssmc.ir.expr import Const, Node, Pointwise, const
from ssmc.ir.functions import BINARY, FUNCTIONS
from ssmc.sema.context import Refused
from ssmc.syntax import ast
from ssmc.syntax.unparse import expression

if TYPE_CHECKING:
    from ssmc.sema.values import Resolver

LARGEST = Fraction(2) ** 1024
_SIGN = {v: k for k, v in BINARY.items()} | {"neg": "-"}


def apply(r: Resolver, fn: str, args: tuple[Node, ...], written: Sequence[ast.Expr], e: ast.Expr) -> Node:
    """A pointwise function of checked arguments."""
    function = FUNCTIONS[fn]
    what = _SIGN.get(fn, "sqrt" if fn == "sqrt_clip" else fn)
    for i, (node, place) in enumerate(zip(args, written, strict=True)):
        wants_truth = fn in ("and", "or", "not") or (fn == "where" and i == 0)
        either = fn in ("eq", "ne", "where") and i > 0 and all(a.dtype == "bool" for a in args[fn == "where" :])
        either = either or (fn in ("eq", "ne") and all(a.dtype == "bool" for a in args))
        if wants_truth and node.dtype != "bool":
            r.sink.report(
                "SSM0228",
                f"`{what}` needs a condition, not a number",
                place.span,
                "a number",
                help=f"compare it: `{expression(place)} > 0`",
            )
            raise Refused
        if node.dtype == "bool" and not wants_truth and not either:
            r.sink.report(
                "SSM0228",
                f"`{what}` needs a number, not a condition",
                place.span,
                "true or false",
                help=f"write `where({expression(place)}, 1, 0)`",
            )
            raise Refused
        if not function.complex_ok and node.dtype == "complex":
            r.sink.report(
                "SSM0206",
                f"`{what}` needs real values",
                place.span,
                "this is complex",
                help="take `re(...)`, `im(...)` or `abs(...)` of it first",
            )
            raise Refused
    if fn in ("div", "floordiv", "mod") and args[1] is b.ZERO:
        r.sink.report("SSM0227", "a division by zero", written[1].span, "this is 0")
        raise Refused
    out = _power(*args) if fn == "pow" else b.apply(fn, *args)
    if isinstance(out, Const) and not isinstance(out.value, bool) and not abs(out.value) < LARGEST:
        out = None
    if out is None or (not out.axes and not isinstance(out, Const) and not _has_value(out)):
        r.sink.report("SSM0227", "an expression has no value in double precision", e.span, "out of range")
        raise Refused
    return out


def _power(a: Node, x: Node) -> Node | None:
    """a ** x; exact where that is a small number, None where it is far too large."""
    if isinstance(a, Const) and isinstance(x, Const) and x.value.denominator == 1 and a.value:
        base, power = Fraction(a.value), int(x.value)
        if abs(power) * max(base.numerator.bit_length(), base.denominator.bit_length()) <= 64:
            return const(base**power)
        if abs(power) * abs(math.log2(abs(base))) > 1022:
            return None
    return b.apply("pow", a, x)


def _has_value(node: Node) -> bool:
    """Whether an expression of numbers alone, printed as Python, has a value; True if it is not of numbers alone."""
    try:
        value = _literal(node, 0)
    except (ValueError, OverflowError, ZeroDivisionError):
        return False
    return value is None or (isinstance(value, float) and math.isfinite(value))


def _literal(node: Node, depth: int) -> float | None:
    if isinstance(node, Const):
        return None if isinstance(node.value, bool) else float(node.value)
    if not isinstance(node, Pointwise) or node.fn not in _PYTHON or node.axes or depth > 4:
        return None
    args = [_literal(a, depth + 1) for a in node.args]
    if None in args:
        return None
    value = _PYTHON[node.fn](*args)
    if isinstance(value, complex):
        raise ValueError
    return float(value)


_PYTHON: dict[str, Callable[..., float]] = {
    "add": operator.add,
    "sub": operator.sub,
    "mul": operator.mul,
    "div": operator.truediv,
    "neg": operator.neg,
    "pow": operator.pow,
    "exp": math.exp,
    "expm1": math.expm1,
    "log": math.log,
    "log1p": math.log1p,
    "sqrt": math.sqrt,
    "square": lambda x: x * x,
    "rsqrt": lambda x: 1 / math.sqrt(x),
    "inv_softplus": lambda x: math.log(math.expm1(x)),
}
