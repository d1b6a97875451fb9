"""Calls: functions of the language, the spec's own definitions, and `prev` and `next`."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from typing import TYPE_CHECKING

from ssmc.diagnostics.sink import Edit, Label
from ssmc.diagnostics.suggest import did_you_mean
from ssmc.discretize import rules
from ssmc.ir import build as b
from ssmc.ir.expr import Node, const
from ssmc.ir.functions import FUNCTIONS
from ssmc.ir.layer import LayerArg
from ssmc.sema import initial, over_axes
from ssmc.sema.checked import apply
from ssmc.sema.context import Context, Refused
from ssmc.sema.scope import OutputOf, TargetOf
from ssmc.sema.words import CONSTANTS, DRAWS, FUNCTION_NAMES, INITIALISERS, REDUCTIONS, RESERVED
from ssmc.syntax import ast
from ssmc.syntax.unparse import expression

if TYPE_CHECKING:
    from ssmc.sema.values import Resolver

MACRO_DEPTH = 50
ARGUMENTS = {"clip": "clip(x, lo, hi)", "where": "where(condition, a, b)", "complex": "complex(re, im)"}


def lower_call(r: Resolver, e: ast.Call, ctx: Context) -> Node:
    """The node of a call."""
    name = e.func.id
    if e.axes is not None and name not in DRAWS:
        return over_axes.lower_reduction(r, e, ctx)
    decl = r.scope.names.get(name)
    if isinstance(decl, ast.Def):
        return _expand(r, e, decl, ctx)
    if name in ("prev", "next"):
        return _offset(r, e, ctx)
    if name == "index":
        return over_axes.lower_index(r, e)
    if name in INITIALISERS:
        return initial.lower_initialiser(r, e, ctx)
    if name in rules():
        r.sink.report(
            "SSM0204",
            f"`{name}` gives two values",
            e.span,
            "used as one",
            help=f"write `a_bar, b_bar = {name}(A, B, dt)` as an equation of its own",
        )
        raise Refused
    if name == "sqrt" and [k.name.id for k in e.keywords] == ["clip"] and len(e.args) == 1:
        written = (e.args[0], e.keywords[0].value)
        pair = (r.lower(written[0], ctx), r.lower(written[1], ctx))
        return apply(r, "sqrt_clip", pair, written, e)
    function = FUNCTIONS.get(name)
    count = len(e.args)
    if (
        function is None
        or not function.public
        or name in CONSTANTS
        or (count == 1 and not e.keywords and name in ("max", "min"))
    ):
        _unknown_function(r, e, decl)
        raise Refused
    if e.keywords:
        k = e.keywords[0]
        r.sink.report(
            "SSM0204",
            f"`{name}` takes no `{k.name.id} =`",
            k.span,
            "unexpected",
            help=f"write `{ARGUMENTS[name]}`" if name in ARGUMENTS else None,
        )
        raise Refused
    if count != function.arity and not (function.arity < 0 and count >= 2):
        wanted = (
            "two or more arguments"
            if function.arity < 0
            else f"{function.arity} argument" + "s" * (function.arity != 1)
        )
        r.sink.report(
            "SSM0204",
            f"`{name}` takes {wanted}, not {count}",
            e.span,
            "called here",
            help=f"write `{ARGUMENTS[name]}`" if name in ARGUMENTS else None,
        )
        raise Refused
    args = tuple(r.lower(a, ctx) for a in e.args)
    if function.arity < 0:
        out = args[0]
        for i, a in enumerate(args[1:]):
            out = apply(r, name, (out, a), e.args[i : i + 2], e)
        return out
    return apply(r, name, args, e.args, e)


def _unknown_function(r: Resolver, e: ast.Call, decl: object) -> None:
    name = e.func.id
    inner = expression(e.args[0]) if len(e.args) == 1 else "..."
    if name in REDUCTIONS:
        axes = over_axes.candidates(r, e)
        r.sink.report(
            "SSM0205",
            f"`{name}` names the axis it works over",
            e.func.span,
            "no axis here",
            secondary=(Label(e.args[0].span, f"this has axes {r.show(axes)}"),) if axes else (),
            help="write " + " or ".join(f"`{name}[{a}]({inner})`" for a in axes or ("N",)),
        )
    elif name in RESERVED:
        r.sink.report("SSM0204", f"`{name}` is {RESERVED[name]}, not a function", e.func.span, "called here")
    elif decl is not None or name in r.scope.modules:
        called = name in r.scope.modules
        module = r.scope.modules.get(name)
        kind = (
            "a module, which its declaration applies once"
            if module
            else "an axis, not a function"
            if isinstance(decl, ast.AxisDef)
            else "an argument of the layer, not a function"
            if isinstance(decl, LayerArg)
            else "a value, not a function"
        )
        outputs = [o.name.id for o in module.outputs if o.name] if module else []
        advice = (
            "write `*` to multiply"
            if not called
            else "use its value: " + " or ".join(f"`{n}`" for n in outputs or [name])
        )
        where = r.scope.spans.get(name) or (module.name.span if module else e.func.span)
        r.sink.report(
            "SSM0204",
            f"`{name}` is {kind}",
            e.func.span,
            "called here",
            secondary=(Label(where, "declared here"),),
            help=advice,
        )
    else:
        defs = [n for n, d in r.scope.names.items() if isinstance(d, ast.Def)]
        near = did_you_mean(name, [*sorted(FUNCTION_NAMES), *defs])
        r.sink.report(
            "SSM0204",
            f"there is no function `{name}`",
            e.func.span,
            "called here",
            help=f"did you mean `{near}`?" if near else f"define it: `def {name}(x) = ...`",
        )


def _expand(r: Resolver, e: ast.Call, decl: ast.Def, ctx: Context) -> Node:
    if len(e.args) != len(decl.params) or e.keywords:
        count = len(decl.params)
        wanted = f"{count} argument" + "s" * (count != 1)
        r.sink.report(
            "SSM0204",
            f"`{e.func.id}` takes {wanted}, not {len(e.args) + len(e.keywords)}",
            e.span,
            "called here",
            secondary=(Label(decl.name.span, "defined here"),),
        )
        raise Refused
    if ctx.depth > MACRO_DEPTH:
        r.sink.report(
            "SSM0226",
            f"`{e.func.id}` expands without end",
            decl.name.span,
            "defined in terms of itself",
            notes=(f"definitions are written out where they are called, at most {MACRO_DEPTH} deep",),
        )
        raise Refused
    local = tuple((p.id, r.lower(a, ctx)) for p, a in zip(decl.params, e.args, strict=True))
    before = len(r.sink.items)
    try:
        return r.lower(decl.body, replace(ctx, local=local, depth=ctx.depth + 1))
    except Refused:
        for i in range(before, len(r.sink.items)):
            d = r.sink.items[i]
            if not any(s.text == "expanded here" for s in d.secondary) and d.code != "SSM0226":
                r.sink.items[i] = replace(d, secondary=(*d.secondary, Label(e.span, "expanded here")))
        raise


def _offset(r: Resolver, e: ast.Call, ctx: Context) -> Node:
    word, offset = e.func.id, -1 if e.func.id == "prev" else 1
    if e.keywords or not 1 <= len(e.args) <= 2:
        r.sink.report(
            "SSM0204",
            f"`{word}` takes a value and, if wanted, what it starts from",
            e.span,
            "called here",
            help=f"write `{word}(x)` or `{word}(x, 0)`",
        )
        raise Refused
    if ctx.kind != "value":
        r.sink.report("SSM0213", f"`{word}` needs a value that changes in time", e.span, "there is no time here")
        raise Refused
    init: tuple[Node, ast.Expr] | None = None
    if len(e.args) == 2:
        node = r.lower(e.args[1], replace(ctx, own=None))
        r.check_timeless(node, e.args[1], f"what `{word}` starts from")
        init = (node, e.args[1])
    target = e.args[0]
    name = target.id if isinstance(target, ast.Name) and not any(n == target.id for n, _ in ctx.local) else None
    if name is not None and name == ctx.own and ctx.continuous:
        r.sink.report(
            "SSM0209",
            f"`{word}({name})` stands in the continuous equation of `{name}`",
            e.span,
            "has no previous token",
            notes=("the equation is in continuous time; its discretization takes the step from one token to the next",),
            help=f"write `{name}`",
            edit=Edit(e.span, name),
        )
        raise Refused
    if name is not None and isinstance(r.scope.names.get(name), ast.State | ast.Input | OutputOf | TargetOf):
        assert isinstance(target, ast.Name)
        if not _is_condition(r, target):
            return r.offset_reference(target, offset, init, e.span)
    r.behind += 1
    try:
        body = r.lower(target, replace(ctx, own=None))
    finally:
        r.behind -= 1
    if r.timeless(body):
        r.sink.report(
            "SSM0213",
            f"`{expression(target)}` does not change in time",
            target.span,
            "the same at every token",
            help=f"write `{expression(target)}`, or `where(start, 0, {expression(target)})`",
        )
        raise Refused
    if body.dtype == "bool":  # carried as 1 or 0, and told apart in the middle
        r.check_start(init, body, target)
        start = (_number(init[0]), init[1]) if init else None
        return b.apply("gt", r.anonymous(_number(body), target, offset, start, e.span), const(Fraction(1, 2)))
    return r.anonymous(body, target, offset, init, e.span)


def _is_condition(r: Resolver, name: ast.Name) -> bool:
    r.behind += 1
    try:
        return r.signature(name.id, name.span)[1] == "bool"
    finally:
        r.behind -= 1


def _number(condition: Node) -> Node:
    return b.apply("where", condition, b.ONE, b.ZERO)
