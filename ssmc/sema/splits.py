"""`x[I], B[N] = split[F](value)`: a value cut along an axis into parts that stand one after the other."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ssmc.diagnostics.sink import Label
from ssmc.ir.expr import Ref
from ssmc.ir.layer import Output, Split
from ssmc.sema import sizes
from ssmc.sema.context import VALUE, Refused
from ssmc.syntax import ast
from ssmc.syntax.unparse import expression

if TYPE_CHECKING:
    from ssmc.sema.values import Resolver


def is_split(e: ast.Expr) -> bool:
    """Whether the right side of an equation is a split."""
    return isinstance(e, ast.Call) and e.func.id == "split"


def declare_split(r: Resolver, e: ast.Equation) -> None:
    """Keep the split that an equation is."""
    call = e.value
    assert isinstance(call, ast.Call)
    if len(call.args) != 1 or call.keywords or len(call.axes or ()) != 1:
        r.sink.report(
            "SSM0204",
            "`split` names one axis and takes one value",
            call.span,
            "called here",
            help="write `x[I], z[J] = split[F](value)`",
        )
        raise Refused
    assert call.axes
    whole, axis = call.args[0], call.axes[0]
    bare = next((t for t in e.targets if t.axes is None), None)
    if bare is not None:
        name = bare.name.id if bare.name else "x"
        r.sink.report(
            "SSM0205",
            f"the part `{name}` of a split has no axes",
            bare.span,
            "how long is it?",
            help=f"write `{name}[N]`, the axes it stands on",
        )
        raise Refused
    node = r.lower(whole, VALUE)
    if node.dtype != "real" or r.timeless(node):
        known = node.dtype == "real"
        r.sink.report(
            "SSM0215",
            "what is split is real and changes in time",
            whole.span,
            "the same at every token" if known else f"this is {node.dtype}",
            help="declare a `param` for each part" if known else None,
        )
        raise Refused
    dims = r.dims_of(node)
    if not dims or dims[-1] != r.axis(axis):
        r.sink.report(
            "SSM0205",
            f"`{axis.id}` is not the last axis of what is split",
            axis.span,
            "cut along this axis",
            secondary=(Label(whole.span, f"this has axes {r.show(dims)}"),),
            help=f"did you mean `split[{dims[-1]}]`?" if dims else None,
        )
        raise Refused
    outputs = tuple(_part(r, t, dims[:-1], whole) for t in e.targets)
    _check_sizes(r, e, call, outputs)
    source = node.name if isinstance(node, Ref) and node.offset == 0 else None
    name = source or r.add_anonymous(f"{outputs[0].name}_whole", node, whole.span)
    for o in outputs:
        r.remember(o.name, o.axes)
    r.splits[outputs[0].name] = Split(outputs[0].name, name, outputs, e.span)


def _part(r: Resolver, target: ast.Typed, lead: tuple[str, ...], whole: ast.Expr) -> Output:
    assert target.name is not None
    axes = r.axes_of(target)
    if axes[: len(lead)] != lead:
        r.sink.report(
            "SSM0214",
            f"the part `{target.name.id}` has not the axes of what is split",
            target.span,
            f"declared {r.show(axes)}",
            secondary=(Label(whole.span, f"the axes before the last are {r.show(lead)}"),),
            help=f"write `{target.name.id}[{', '.join((*lead, *axes))}]`",
        )
        raise Refused
    return Output(target.name.id, axes)


def _check_sizes(r: Resolver, e: ast.Equation, call: ast.Call, outputs: tuple[Output, ...]) -> None:
    """Where the arguments' values are known; the layer checks the others when it is made."""
    assert call.axes
    lead = len(r.dims_of(r.lower(call.args[0], VALUE))) - 1
    want = sizes.value(r.table.axes[call.axes[0].id].size, r.scope, r.table)
    total = 0
    for o in outputs:
        rows = 1
        for a in o.axes[lead:]:
            size = sizes.value(r.table.axes[a].size, r.scope, r.table)
            if size is None:
                return
            rows *= size.numerator
        total += rows
    if want is not None and total != want:
        parts = " + ".join(r.show(o.axes[lead:]) for o in outputs)
        r.sink.report(
            "SSM0214",
            "the parts do not make up what is split",
            e.targets[0].span.to(e.targets[-1].span),
            f"{parts} is {total}",
            secondary=(Label(call.span, f"`{call.axes[0].id}` is {sizes.shown(want)} in `{expression(call)}`"),),
            help=f"declare `axis {call.axes[0].id}` as the sum of the parts' sizes",
        )
        raise Refused
