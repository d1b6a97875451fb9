"""Expressions of the syntax tree become nodes of the DAG: names resolved, broadcasting by axis name, types checked."""

from __future__ import annotations

from fractions import Fraction
from typing import TYPE_CHECKING

from ssmc.diagnostics.sink import Label
from ssmc.ir import build as b
from ssmc.ir.expr import Node, const
from ssmc.ir.functions import BINARY
from ssmc.ir.layer import LayerArg
from ssmc.sema import calls, conditions
from ssmc.sema.checked import LARGEST, apply
from ssmc.sema.context import Context, Refused
from ssmc.syntax import ast

if TYPE_CHECKING:
    from ssmc.sema.values import Resolver

MAX_DEPTH = 120
MAX_WORK = 50_000
SMALLEST = Fraction(1, 2**1022)


def number(text: str) -> Fraction | None:
    """The exact value of a literal; None where double precision has none."""
    mantissa, _, exponent = text.lower().partition("e")
    if len(mantissa) > 400 or len(exponent) > 5 or not -400 <= int(exponent or 0) <= 400:
        return None
    value = Fraction(text)
    return value if not value or SMALLEST <= value < LARGEST else None


def lower(r: Resolver, e: ast.Expr, ctx: Context) -> Node:
    """The node of an expression; raises Refused after reporting."""
    r.work += 1
    r.depth += 1
    try:
        if r.depth > MAX_DEPTH or r.work > MAX_WORK:
            limit = f"nests more than {MAX_DEPTH} deep" if r.depth > MAX_DEPTH else f"has more than {MAX_WORK:,} parts"
            r.sink.report(
                "SSM0226",
                "an expression grows too large",
                e.span,
                f"with every `def` written out it {limit}",
                help="give a part of it a name of its own",
            )
            raise Refused
        return _lower(r, e, ctx)
    finally:
        r.depth -= 1


def _lower(r: Resolver, e: ast.Expr, ctx: Context) -> Node:
    match e:
        case ast.Number():
            value = number(e.text)
            if value is None:
                r.sink.report("SSM0227", "a number is out of range", e.span, "no number of double precision")
                raise Refused
            return const(value)
        case ast.Boolean():
            return const(e.value)
        case ast.Name():
            return _name(r, e, ctx)
        case ast.Unary():
            operand = lower(r, e.operand, ctx)
            node = apply(r, "not" if e.op == "not" else "neg", (operand,), (e.operand,), e)
            return operand if e.op == "+" else node
        case ast.Binary():
            pair = (lower(r, e.left, ctx), lower(r, e.right, ctx))
            return apply(r, BINARY[e.op], pair, (e.left, e.right), e)
        case ast.Conditional():
            decided = conditions.decide(r.scope, e.test)
            if decided is None:
                raise Refused
            return lower(r, e.then if decided else e.orelse, ctx)
        case ast.Rename():
            return _rename(r, e, ctx)
        case ast.Call():
            return calls.lower_call(r, e, ctx)
    r.sink.report("SSM0211", "a list of words is only the default of a layer argument", e.span, "used here")
    raise Refused


def _name(r: Resolver, e: ast.Name, ctx: Context) -> Node:
    for name, node in ctx.local:
        if name == e.id:
            return node
    if e.id in ("t", "start"):
        if ctx.kind != "value":
            where = "a size" if ctx.kind == "size" else "an initial value"
            r.sink.report("SSM0213", f"`{e.id}` changes in time, {where} does not", e.span, "there is no time here")
            raise Refused
        return b.position() if e.id == "t" else b.apply("eq", b.position(), b.ZERO)
    if e.id in ("pi", "inf"):
        return b.apply(e.id)
    decl = r.scope.names.get(e.id)
    match decl:
        case None:
            r.scope.unknown(e)
            raise Refused
        case LayerArg():
            if decl.kind == "choice":
                r.sink.report(
                    "SSM0211",
                    f"`{e.id}` is one of a named list and has no number",
                    e.span,
                    "used as a value",
                    secondary=(Label(r.scope.spans[e.id], "declared here"),),
                    help=f"test it: `a if {e.id} == {decl.choices[0]} else b`",
                )
                raise Refused
            return b.arg(e.id, "bool" if decl.kind == "bool" else "real")
        case ast.AxisDef():
            return b.size(e.id)
        case ast.Def():
            r.sink.report(
                "SSM0204", f"`{e.id}` is a function", e.span, "used as a value", help=f"call it: `{e.id}(...)`"
            )
            raise Refused
    return r.reference(e, ctx)


def _rename(r: Resolver, e: ast.Rename, ctx: Context) -> Node:
    body = lower(r, e.value, ctx)
    shown = f"its axes are {r.show(r.dims(body))}"
    pairs: list[tuple[str, str]] = []
    for old, new in e.pairs:
        a, z = r.axis(old), r.axis(new)
        if a not in body.axes:
            parts = [x for x in r.table.atoms((a,)) if x in body.axes]
            r.sink.report(
                "SSM0221",
                f"this value has no axis `{a}` to rename",
                old.span,
                shown,
                notes=(f"{r.describe(a)} is a product: rename its factors",) if parts else (),
            )
            raise Refused
        if a in (o for o, _ in pairs) or z in (n for _, n in pairs):
            twice = old if a in (o for o, _ in pairs) else new
            r.sink.report("SSM0221", f"`{twice.id}` is renamed twice", twice.span, "again here")
            raise Refused
        if z in body.axes and z not in (o.id for o, _ in e.pairs):
            r.sink.report("SSM0221", f"this value already has an axis `{z}`", new.span, shown)
            raise Refused
        if not r.same_size(a, z):
            r.sink.report(
                "SSM0221",
                f"`{a}` and `{z}` are not of the same size",
                old.span.to(new.span),
                "renamed here",
                secondary=r.declared((a, z), "{0} is declared here"),
                notes=(r.different(a, z),),
                help="declare a second axis of the size of the first: `axis M = " + f"{a}`",
            )
            raise Refused
        if len(r.table.atoms((z,))) > 1:
            r.sink.report(
                "SSM0221",
                f"`{z}` is a product of axes",
                new.span,
                r.describe(z),
                help="rename to an axis that is no product",
            )
            raise Refused
        pairs.append((a, z))
    return b.relabel(tuple(pairs), body)
