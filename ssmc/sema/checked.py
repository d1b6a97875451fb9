"""Pointwise functions of checked arguments: numbers, conditions and complex values where they belong."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from typing import TYPE_CHECKING

from ssmc.ir import build as b
from ssmc.ir.expr import Const, Node
from ssmc.ir.functions import BINARY, FUNCTIONS
from ssmc.sema.context import Refused
from ssmc.syntax import ast

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
                "SSM0228", f"`{what}` needs a condition, not a number", place.span, "a number",
                help="compare it: `... > 0`",
            )  # fmt: skip
            raise Refused
        if node.dtype == "bool" and not wants_truth and not either:
            r.sink.report(
                "SSM0228", f"`{what}` needs a number, not a condition", place.span, "true or false",
                help="write `where(condition, 1, 0)`",
            )  # fmt: skip
            raise Refused
        if not function.complex_ok and node.dtype == "complex":
            r.sink.report(
                "SSM0206", f"`{what}` needs real values", place.span, "this is complex",
                help="take `re(...)`, `im(...)` or `abs(...)` of it first",
            )  # fmt: skip
            raise Refused
    if fn in ("div", "floordiv", "mod") and args[1] is b.ZERO:
        r.sink.report("SSM0227", "a division by zero", written[1].span, "this is 0")
        raise Refused
    out = b.apply(fn, *args)
    if isinstance(out, Const) and not isinstance(out.value, bool) and not abs(out.value) < LARGEST:
        r.sink.report("SSM0227", "a number is out of range", e.span, "no number of double precision")
        raise Refused
    return out
