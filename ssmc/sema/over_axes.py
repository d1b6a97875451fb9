"""Functions over named axes: sums and extrema are nodes, the others are written with them."""

from __future__ import annotations

from fractions import Fraction
from typing import TYPE_CHECKING

from ssmc.diagnostics.span import Span
from ssmc.ir import build as b
from ssmc.ir.expr import Node, const
from ssmc.ir.layer import LayerArg
from ssmc.sema.context import Context, Refused
from ssmc.syntax import ast

if TYPE_CHECKING:
    from ssmc.sema.values import Resolver

REDUCTIONS = ("sum", "mean", "max", "min", "softmax", "rms", "layernorm", "l2norm")
EPS = {"rms": Fraction(1, 10**5), "layernorm": Fraction(1, 10**5), "l2norm": Fraction(1, 10**6)}


def lower_reduction(r: Resolver, e: ast.Call, ctx: Context) -> Node:
    """`sum[N](x)` and its kin."""
    name = e.func.id
    assert e.axes is not None
    if name not in REDUCTIONS:
        r.sink.report(
            "SSM0204", f"`{name}` does not work over an axis", e.func.span, "called with axes",
            notes=("over named axes work " + ", ".join(f"`{n}`" for n in REDUCTIONS),),
        )  # fmt: skip
        raise Refused
    if len(e.args) != 1:
        r.sink.report("SSM0204", f"`{name}` takes one argument, not {len(e.args)}", e.span, "called here")
        raise Refused
    x = r.lower(e.args[0], ctx)
    eps: Node | None = const(EPS[name]) if name in EPS else None
    for k in e.keywords:
        if k.name.id != "eps" or eps is None:
            r.sink.report("SSM0204", f"`{name}` takes no `{k.name.id} =`", k.span, "unexpected")
            raise Refused
        eps = r.lower(k.value, ctx)
    over: list[str] = []
    for a in e.axes:
        for atom in r.table.atoms((r.axis(a),)):
            if atom not in x.axes:
                r.sink.report(
                    "SSM0205", f"`{name}` is over `{a.id}`, an axis that its argument does not have", a.span, "not an axis of the argument",
                    notes=(f"the argument has axes {r.show(x.axes)}",),
                )  # fmt: skip
                raise Refused
            over.append(atom)
    axes = tuple(over)
    if x.dtype == "complex" and name not in ("sum", "mean"):
        r.sink.report("SSM0206", f"`{name}` needs real values", e.span, "a complex value reaches it here", help="take `re(...)` or `abs(...)` first")
        raise Refused
    return _expand(r, name, axes, x, eps, e)


def _mean(axes: tuple[str, ...], x: Node, span: Span) -> Node:
    count: Node = b.ONE
    for a in axes:
        count = b.mul(count, b.size(a))
    return b.div(b.reduce("sum", axes, x, span), count)


def _expand(r: Resolver, name: str, axes: tuple[str, ...], x: Node, eps: Node | None, e: ast.Call) -> Node:
    match name:
        case "sum" | "max" | "min":
            return b.reduce(name, axes, x, e.span)
        case "mean":
            return _mean(axes, x, e.span)
        case "softmax":
            p = b.apply("exp", b.sub(x, b.reduce("max", axes, x, e.span)))
            return b.div(p, b.reduce("sum", axes, p, e.span))
        case "rms":
            assert eps is not None
            return b.mul(x, b.apply("rsqrt", b.add(_mean(axes, b.apply("square", x), e.span), eps)))
        case "layernorm":
            assert eps is not None
            centred = b.sub(x, _mean(axes, x, e.span))
            return b.mul(centred, b.apply("rsqrt", b.add(_mean(axes, b.apply("square", centred), e.span), eps)))
        case _:
            assert eps is not None
            return b.mul(x, b.apply("rsqrt", b.add(b.reduce("sum", axes, b.apply("square", x), e.span), eps)))


def lower_index(r: Resolver, e: ast.Call) -> Node:
    """`index(N)`; of a composite axis, its place in memory order."""
    if len(e.args) != 1 or not isinstance(e.args[0], ast.Name) or e.keywords:
        r.sink.report("SSM0204", "`index` takes the name of an axis", e.span, "called here")
        raise Refused
    name = e.args[0]
    if not isinstance(r.scope.names.get(name.id), ast.AxisDef | LayerArg):
        r.scope.unknown(name, "an axis")
        raise Refused
    first, *rest = r.table.atoms((r.axis(name),))
    out: Node = b.index(first, e.span)
    for atom in rest:
        out = b.add(b.mul(out, b.size(atom)), b.index(atom, e.span))
    return out
