"""Equations: the values on the left of `=`, with the axes that were declared for them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ssmc.diagnostics.sink import Label
from ssmc.discretize import rules
from ssmc.ir.expr import Node
from ssmc.ir.layer import Value
from ssmc.sema import continuous, growth
from ssmc.sema.context import VALUE, Refused
from ssmc.sema.splits import declare_split, is_split
from ssmc.syntax import ast

if TYPE_CHECKING:
    from ssmc.sema.values import Resolver


def lower_equation(r: Resolver, e: ast.Equation) -> None:
    """The values of an equation: one for each name on its left."""
    if is_split(e.value):
        declare_split(r, e)
        return
    if len(e.targets) == 1:
        found: tuple[Node, ...] = (r.lower(e.value, VALUE),)
    else:
        found = _pair(r, e)
    for target, node in zip(e.targets, found, strict=True):
        assert target.name is not None
        growth.check_node(r, node, e.value.span)
        name = target.name.id
        if node.dtype == "complex":
            r.complex_states.add(name)
        axes = _declared(r, target, node, e.value) if target.axes is not None else r.dims(node)
        r.values[name] = Value(name, r.remember(name, axes), node, e.span)


def _pair(r: Resolver, e: ast.Equation) -> tuple[Node, ...]:
    call = e.value
    rule = isinstance(call, ast.Call) and call.func.id in rules()
    if not rule or len(e.targets) != 2:
        names = ", ".join(t.name.id for t in e.targets[:2] if t.name)
        r.sink.report(
            "SSM0204",
            f"{len(e.targets)} names for {'two values' if rule else 'one value'}",
            e.targets[0].span.to(e.targets[-1].span),
            "several names",
            secondary=(Label(call.span, "two values" if rule else "one value"),),
            notes=("several values come from a discretization, the decay and the scaled input, or from a split",),
            help=f"write `{names} = zoh(A, B, dt)`",
        )
        raise Refused
    assert isinstance(call, ast.Call)
    return continuous.discretize_call(r, call)


def _declared(r: Resolver, target: ast.Typed, node: Node, value: ast.Expr) -> tuple[str, ...]:
    axes = r.axes_of(target)
    atoms, own = r.table.atoms(axes), r.dims(node)
    extra, missing = [a for a in node.axes if a not in atoms], [a for a in atoms if a not in node.axes]
    if extra or missing:
        notes = [r.different(x, m) for x, m in zip(extra, missing, strict=False)]
        advice = _advice(r, extra, missing)
        which = f"has an axis `{extra[0]}` that is not declared" if extra else f"has no axis `{missing[0]}`"
        r.sink.report(
            "SSM0214",
            f"the value of `{target.name.id if target.name else ''}` {which}",
            target.span,
            f"declared {r.show(axes)}",
            secondary=(Label(value.span, f"this has axes {r.show(own)}"),),
            notes=tuple(notes),
            help=advice,
        )
        raise Refused
    return axes


def _advice(r: Resolver, extra: list[str], missing: list[str]) -> str:
    """What to do about axes that are not declared, or about those that are not there."""
    if not extra:
        return f"remove it, or multiply by a value on `{missing[0]}`"
    over, twin = extra[0], next((m for m in missing if r.same_size(extra[0], m)), None)
    if twin:
        return f"rename it, `(...)[{over} as {twin}]`, or sum over it, `sum[{over}](...)`"
    if len(extra) == 1 and len(missing) > 1:
        whole = f"axis {''.join(missing)} = {' * '.join(missing)}"
        return f"declare `{whole}` and use it in place of `{over}`, or sum over it, `sum[{over}](...)`"
    return f"sum over it, `sum[{over}](...)`, or declare it"
