"""Expressions of the syntax tree become nodes of the DAG: names resolved, broadcasting by axis name, types checked."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from typing import TYPE_CHECKING

from ssmc.diagnostics.suggest import did_you_mean
from ssmc.discretize import rules
from ssmc.ir import build as b
from ssmc.ir.expr import Node, const
from ssmc.ir.functions import BINARY, FUNCTIONS
from ssmc.ir.layer import LayerArg
from ssmc.sema import initial, over_axes
from ssmc.sema.context import Context, Refused
from ssmc.sema.scope import OutputOf, TargetOf
from ssmc.syntax import ast

if TYPE_CHECKING:
    from ssmc.sema.values import Resolver

PUBLIC = sorted(n for n, f in FUNCTIONS.items() if f.public)
MACRO_DEPTH = 50


def number(text: str) -> Fraction:
    """The exact value of a literal."""
    return Fraction(text.replace("_", ""))


def lower(r: Resolver, e: ast.Expr, ctx: Context) -> Node:
    """The node of an expression; raises Refused after reporting."""
    match e:
        case ast.Number():
            return const(number(e.text), e.span)
        case ast.Boolean():
            return const(e.value, e.span)
        case ast.Name():
            return _name(r, e, ctx)
        case ast.Unary():
            operand = lower(r, e.operand, ctx)
            return operand if e.op == "+" else _apply(r, "neg" if e.op == "-" else "not", (operand,), e)
        case ast.Binary():
            return _apply(r, BINARY[e.op], (lower(r, e.left, ctx), lower(r, e.right, ctx)), e)
        case ast.Conditional():
            decided = r.scope.test(e.test)
            if decided is None:
                raise Refused
            return lower(r, e.then if decided else e.orelse, ctx)
        case ast.Rename():
            return _rename(r, e, ctx)
        case ast.Call():
            return _call(r, e, ctx)
    r.sink.report("SSM0211", "a list of words is only the default of a layer argument", e.span, "used here")
    raise Refused


def _name(r: Resolver, e: ast.Name, ctx: Context) -> Node:
    for name, node in reversed(ctx.local):
        if name == e.id:
            return node
    if e.id == "t":
        return b.position(e.span)
    if e.id == "start":
        return b.apply("eq", b.position(), b.ZERO, span=e.span)
    if e.id in ("pi", "inf"):
        return b.apply(e.id, span=e.span)
    decl = r.scope.names.get(e.id)
    match decl:
        case None:
            r.scope.unknown(e)
            raise Refused
        case LayerArg():
            if decl.kind == "choice":
                r.sink.report(
                    "SSM0211", f"`{e.id}` is a named-list argument and has no number", e.span, "used as a value",
                    help=f"test it: `a if {e.id} == {decl.choices[0]} else b`",
                )  # fmt: skip
                raise Refused
            return b.arg(e.id, "bool" if decl.kind == "bool" else "real", e.span)
        case ast.AxisDef():
            return b.size(e.id, e.span)
        case ast.Def():
            r.sink.report("SSM0204", f"`{e.id}` is a function", e.span, "used as a value", help=f"call it: `{e.id}(...)`")
            raise Refused
    return r.reference(e, ctx)


def _apply(r: Resolver, fn: str, args: tuple[Node, ...], e: ast.Expr) -> Node:
    function = FUNCTIONS[fn]
    if not function.complex_ok and any(a.dtype == "complex" for a in args):
        what = {v: k for k, v in BINARY.items()}.get(fn, fn)
        r.sink.report(
            "SSM0206", f"`{what}` needs real values", e.span, "a complex value reaches it here",
            help="take `re(...)`, `im(...)` or `abs(...)` first",
        )  # fmt: skip
        raise Refused
    return b.apply(fn, *args, span=e.span)


def _rename(r: Resolver, e: ast.Rename, ctx: Context) -> Node:
    body = lower(r, e.value, ctx)
    pairs: list[tuple[str, str]] = []
    for old, new in e.pairs:
        a, z = r.axis(old), r.axis(new)
        if a not in body.axes:
            r.sink.report(
                "SSM0221", f"this value has no axis `{a}` to rename", old.span, f"its axes are {r.show(body.axes)}",
            )  # fmt: skip
            raise Refused
        if z in body.axes and z not in (o.id for o, _ in e.pairs):
            r.sink.report("SSM0221", f"this value already has an axis `{z}`", new.span, f"its axes are {r.show(body.axes)}")
            raise Refused
        if not r.same_size(a, z):
            r.sink.report(
                "SSM0221", f"`{a}` and `{z}` are not of the same size", e.span, "renamed here",
                notes=(f"{a} = {r.show_size(a)} and {z} = {r.show_size(z)}",),
                help=f"declare `axis {z} = {a}`: a second axis of the size of `{a}`",
            )  # fmt: skip
            raise Refused
        pairs.append((a, z))
    return b.relabel(tuple(pairs), body, e.span)


def _call(r: Resolver, e: ast.Call, ctx: Context) -> Node:
    name = e.func.id
    if e.axes is not None:
        return over_axes.lower_reduction(r, e, ctx)
    decl = r.scope.names.get(name)
    if isinstance(decl, ast.Def):
        return _expand(r, e, decl, ctx)
    if name in ("prev", "next"):
        return _offset(r, e, ctx)
    if name == "index":
        return over_axes.lower_index(r, e)
    if name in initial.INITIALISERS:
        return initial.lower_initialiser(r, e, ctx)
    if name in rules():
        r.sink.report(
            "SSM0204", f"`{name}` gives two values", e.span, "used as one",
            help=f"write `a_bar, b_bar = {name}(A, B, dt)` as an equation of its own",
        )  # fmt: skip
        raise Refused
    if name == "sqrt" and [k.name.id for k in e.keywords] == ["clip"] and len(e.args) == 1:
        args = (lower(r, e.args[0], ctx), lower(r, e.keywords[0].value, ctx))
        return _apply(r, "sqrt_clip", args, e)
    function = FUNCTIONS.get(name)
    if function is None or not function.public or name in ("pi", "inf"):
        _unknown_function(r, e, decl)
        raise Refused
    if e.keywords:
        r.sink.report("SSM0204", f"`{name}` takes no `{e.keywords[0].name.id} =`", e.keywords[0].span, "unexpected")
        raise Refused
    count = len(e.args)
    if count != function.arity and not (function.arity < 0 and count >= 2):
        wanted = "two or more arguments" if function.arity < 0 else f"{function.arity} argument" + "s" * (function.arity != 1)
        r.sink.report("SSM0204", f"`{name}` takes {wanted}, not {count}", e.span, "called here")
        raise Refused
    args = tuple(lower(r, a, ctx) for a in e.args)
    if function.arity < 0:
        out = args[0]
        for a in args[1:]:
            out = _apply(r, name, (out, a), e)
        return out
    return _apply(r, name, args, e)


def _unknown_function(r: Resolver, e: ast.Call, decl: object) -> None:
    name = e.func.id
    if name in over_axes.REDUCTIONS:
        r.sink.report(
            "SSM0205", f"`{name}` names the axis it works over", e.span, "no axis here",
            help=f"write `{name}[N](...)` with the axis in brackets",
        )  # fmt: skip
    elif decl is not None:
        r.sink.report("SSM0204", f"`{name}` is a value, not a function", e.func.span, "called here", help="write `*` to multiply")
    else:
        defs = [n for n, d in r.scope.names.items() if isinstance(d, ast.Def)]
        near = did_you_mean(name, [*PUBLIC, *over_axes.REDUCTIONS, *rules(), *initial.INITIALISERS, "prev", "next", "index", *defs])
        r.sink.report(
            "SSM0204", f"there is no function `{name}`", e.func.span, "called here",
            help=f"did you mean `{near}`?" if near else f"define it: `def {name}(x) = ...`",
        )  # fmt: skip


def _expand(r: Resolver, e: ast.Call, decl: ast.Def, ctx: Context) -> Node:
    if len(e.args) != len(decl.params) or e.keywords:
        r.sink.report("SSM0204", f"`{e.func.id}` takes {len(decl.params)} arguments, not {len(e.args)}", e.span, "called here")
        raise Refused
    if ctx.depth > MACRO_DEPTH:
        r.sink.report("SSM0226", f"`{e.func.id}` is defined in terms of itself", decl.span, "expands without end")
        raise Refused
    local = tuple((p.id, lower(r, a, ctx)) for p, a in zip(decl.params, e.args, strict=True))
    return lower(r, decl.body, replace(ctx, local=local, depth=ctx.depth + 1))


def _offset(r: Resolver, e: ast.Call, ctx: Context) -> Node:
    word, offset = e.func.id, -1 if e.func.id == "prev" else 1
    if e.keywords or not 1 <= len(e.args) <= 2:
        r.sink.report("SSM0204", f"`{word}` takes a value and, if wanted, what it starts from", e.span, "called here")
        raise Refused
    if ctx.kind != "value":
        r.sink.report("SSM0213", f"`{word}` needs a value that changes in time", e.span, "there is no time here")
        raise Refused
    init = None
    if len(e.args) == 2:
        init = lower(r, e.args[1], replace(ctx, own=None))
        r.check_timeless(init, e.args[1], f"what `{word}` starts from")
    target = e.args[0]
    decl = r.scope.names.get(target.id) if isinstance(target, ast.Name) else None
    if isinstance(target, ast.Name) and isinstance(decl, ast.State | ast.Input | OutputOf | TargetOf):
        local = any(name == target.id for name, _ in ctx.local)
        if not local:
            return r.offset_reference(target, offset, init, e.span)
    if isinstance(target, ast.Name) and isinstance(decl, ast.Param | LayerArg | ast.AxisDef):
        r.sink.report("SSM0213", f"`{target.id}` does not change in time", target.span, f"`{word}` of it is itself")
        raise Refused
    body = lower(r, target, replace(ctx, own=None) if ctx.own is None else ctx)
    return r.anonymous(body, offset, init, e.span)
