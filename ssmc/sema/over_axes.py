"""Functions over named axes: sums and extrema are nodes, the others are written with them."""

from __future__ import annotations

from fractions import Fraction
from typing import TYPE_CHECKING

from ssmc.diagnostics.sink import Edit, Label
from ssmc.diagnostics.suggest import did_you_mean
from ssmc.ir import build as b
from ssmc.ir.expr import Node, const
from ssmc.ir.layer import LayerArg
from ssmc.sema.context import Context, Refused
from ssmc.sema.words import REDUCTIONS
from ssmc.syntax import ast
from ssmc.syntax.unparse import expression

if TYPE_CHECKING:
    from ssmc.sema.values import Resolver

EPS = {"rms": Fraction(1, 10**5), "layernorm": Fraction(1, 10**5), "l2norm": Fraction(1, 10**6)}


def lower_reduction(r: Resolver, e: ast.Call, ctx: Context) -> Node:
    """`sum[N](x)` and its kin."""
    name = e.func.id
    assert e.axes is not None
    if name == "split":
        r.sink.report(
            "SSM0204",
            "`split` gives several values",
            e.span,
            "used as one",
            help="write `x[I], z[J] = split[F](value)` as an equation of its own",
        )
        raise Refused
    if name not in REDUCTIONS:
        near = did_you_mean(name, REDUCTIONS)
        r.sink.report(
            "SSM0204",
            f"`{name}` does not work over an axis",
            e.func.span,
            "called with axes",
            notes=("over named axes work " + ", ".join(f"`{n}`" for n in REDUCTIONS),),
            help=f"did you mean `{near}`?" if near else None,
        )
        raise Refused
    if len(e.args) != 1:
        r.sink.report("SSM0204", f"`{name}` over an axis takes one argument, not {len(e.args)}", e.span, "called here")
        raise Refused
    x = r.lower(e.args[0], ctx)
    eps: Node | None = const(EPS[name]) if name in EPS else None
    for k in e.keywords:
        if k.name.id != "eps" or eps is None:
            r.sink.report(
                "SSM0204",
                f"`{name}` takes no `{k.name.id} =`",
                k.span,
                "unexpected",
                help=f"write `eps = {expression(k.value)}`" if eps is not None else None,
                edit=Edit(k.name.span, "eps")
                if eps is not None and did_you_mean(k.name.id, ("eps", "epsilon"))
                else None,
            )
            raise Refused
        eps = r.lower(k.value, ctx)
        r.check_timeless(eps, k.value, "`eps`")
    axes = _over(r, e, x)
    if x.dtype == "complex" and name not in ("sum", "mean"):
        r.sink.report(
            "SSM0206",
            f"`{name}` needs real values",
            e.args[0].span,
            "this is complex",
            help="take `re(...)`, `im(...)` or `abs(...)` of it first",
        )
        raise Refused
    if x.dtype == "bool":
        r.sink.report(
            "SSM0228",
            f"`{name}` needs a number, not a condition",
            e.args[0].span,
            "true or false",
            help="write `where(condition, 1, 0)`",
        )
        raise Refused
    return _expand(name, axes, x, eps)


def _over(r: Resolver, e: ast.Call, x: Node) -> tuple[str, ...]:
    """The atoms of the axes in brackets, each an axis of the argument."""
    over: list[str] = []
    shown = Label(e.args[0].span, f"this has axes {r.show(r.dims(x))}")
    for a in e.axes or ():
        axis = r.axis(a)
        atoms = r.table.atoms((axis,))
        lacking = [atom for atom in atoms if atom not in x.axes]
        if lacking:
            same = [z for z in x.axes if z not in atoms and r.same_size(lacking[0], z)]
            only = same or (list(x.axes) if len(x.axes) == 1 else [])
            note = r.different(axis, only[0]) if only else r.describe(axis) if axis != r.show_size(axis) else None
            r.sink.report(
                "SSM0205",
                f"`{e.func.id}` is over `{a.id}`, an axis that its argument does not have",
                a.span,
                "not an axis of the argument",
                secondary=(shown,),
                notes=(note,) if note else (),
                help="did you mean " + " or ".join(f"`{e.func.id}[{z}]`" for z in r.dims(x)) + "?" if x.axes else None,
            )
            raise Refused
        if set(atoms) & set(over):
            r.sink.report("SSM0205", f"axis `{a.id}` is reduced twice", a.span, "again here", help="remove it")
            raise Refused
        over.extend(atoms)
    return tuple(over)


def candidates(r: Resolver, e: ast.Call) -> tuple[str, ...]:
    """The axes a reduction without brackets may have meant: those of its argument, if that can be lowered."""
    from ssmc.sema.context import VALUE

    before = len(r.sink.items)
    try:
        return r.dims(r.lower(e.args[0], VALUE)) if len(e.args) == 1 else ()
    except Refused:
        del r.sink.items[before:]
        return ()


def _mean(axes: tuple[str, ...], x: Node) -> Node:
    count: Node = b.ONE
    for a in axes:
        count = b.mul(count, b.size(a))
    return b.div(b.reduce("sum", axes, x), count)


def _expand(name: str, axes: tuple[str, ...], x: Node, eps: Node | None) -> Node:
    match name:
        case "sum" | "max" | "min":
            return b.reduce(name, axes, x)
        case "mean":
            return _mean(axes, x)
        case "softmax":
            p = b.apply("exp", b.sub(x, b.reduce("max", axes, x)))
            return b.div(p, b.reduce("sum", axes, p))
        case "rms":
            assert eps is not None
            return b.mul(x, b.apply("rsqrt", b.add(_mean(axes, b.apply("square", x)), eps)))
        case "layernorm":
            assert eps is not None
            centred = b.sub(x, _mean(axes, x))
            return b.mul(centred, b.apply("rsqrt", b.add(_mean(axes, b.apply("square", centred)), eps)))
        case _:
            assert eps is not None
            return b.mul(x, b.apply("rsqrt", b.add(b.reduce("sum", axes, b.apply("square", x)), eps)))


def lower_index(r: Resolver, e: ast.Call) -> Node:
    """`index(N)`; of a composite axis, its place in memory order."""
    if len(e.args) != 1 or not isinstance(e.args[0], ast.Name) or e.keywords:
        r.sink.report("SSM0204", "`index` takes the name of an axis", e.span, "called here", help="write `index(N)`")
        raise Refused
    name = e.args[0]
    if not isinstance(r.scope.names.get(name.id), ast.AxisDef | LayerArg | None):
        r.sink.report(
            "SSM0204",
            f"`index` takes an axis, and `{name.id}` is a value",
            name.span,
            "not an axis",
            secondary=(Label(r.scope.spans[name.id], "declared here"),),
        )
        raise Refused
    first, *rest = r.table.atoms((r.axis(name),))
    out: Node = b.index(first)
    for atom in rest:
        out = b.add(b.mul(out, b.size(atom)), b.index(atom))
    return out
