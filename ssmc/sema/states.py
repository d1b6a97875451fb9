"""States: the discrete update of each, and what is wrong with one whose terms do not fit."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ssmc.diagnostics.sink import Edit, Label
from ssmc.diagnostics.span import Span
from ssmc.ir import build as b
from ssmc.ir.expr import Arg, Node, Size
from ssmc.ir.layer import State
from ssmc.sema import continuous, growth
from ssmc.sema.context import Context, Refused
from ssmc.sema.scope import OutputOf, nodes
from ssmc.syntax import ast

if TYPE_CHECKING:
    from ssmc.sema.values import Resolver


def lower_state(r: Resolver, d: ast.State) -> None:
    """The discrete update of a state."""
    assert d.target.name is not None
    name = d.target.name.id
    if d.updated.id != name:
        written = f"{d.updated.id}'" if d.continuous else d.updated.id
        r.sink.report(
            "SSM0209",
            f"the state `{name}` is updated under another name, `{d.updated.id}`",
            d.updated.span,
            "not the state's name",
            secondary=(Label(d.target.name.span, "the state"),),
            help=f"write `{written.replace(d.updated.id, name)} = ...`",
            edit=Edit(_word(d.updated), name),
        )
        raise Refused
    axes, dtype = r.signature(name, d.span)
    own = b.ref(name, r.table.atoms(axes), dtype)
    origin = None
    if d.continuous:
        update, origin = continuous.discretize_state(r, d, own)
    else:
        update = r.lower(d.value, Context("value", own=name))
    growth.check_node(r, update, d.value.span)
    if update.dtype == "complex" and dtype == "real":
        r.complex_states.add(name)
    if update.dtype == "bool":
        r.sink.report(
            "SSM0228",
            f"the update of `{name}` is true or false",
            d.value.span,
            "not a number",
            help="write `where(condition, 1, 0)`",
        )
        raise Refused
    if sorted(update.axes) != sorted(own.axes):
        _report_shapes(r, d, update, axes)
        raise Refused
    r.states[name] = State(name, axes, dtype, update, origin, d.allow_unstable, d.span)


def _word(name: ast.Name) -> Span:
    """The name without the sign of a derivative."""
    return Span(name.span.start, name.span.start + len(name.id))


def _report_shapes(r: Resolver, d: ast.State, update: Node, axes: tuple[str, ...]) -> None:
    own = r.table.atoms(axes)
    culprit = d.value
    for part in [*continuous.summands(d.value), *([d.step] if d.step else [])]:
        node = r.lower(
            part, Context("value", own=d.updated.id if part is not d.step else None, continuous=d.continuous)
        )
        if not set(node.axes) <= set(own):
            culprit, update = part, node
            break
    extra = [a for a in update.axes if a not in own]
    missing = [a for a in own if a not in update.axes]
    if extra:
        notes = [r.different(extra[0], missing[0])] if missing else [f"the state has no axis {r.describe(extra[0])}"]
        advice = _replacement(r, culprit, extra, missing) or f"sum over `{extra[0]}`, or give the state that axis"
    else:
        notes = [f"nothing in the update varies along {r.describe(missing[0])}"]
        advice = "use `prev(...)` of the state, or drop the axis from the state"
    message = (
        "terms of the state update have different shapes"
        if extra
        else "the state update has not the shape of the state"
    )
    what = "the step" if culprit is d.step else "this term" if extra else "this"
    r.sink.report(
        "SSM0203",
        message,
        culprit.span,
        f"{what} has shape {r.show(r.dims(update))}",
        secondary=(Label(d.target.span, f"the state has shape {r.show(axes)}"),),
        notes=tuple(notes),
        help=advice,
    )


def _replacement(r: Resolver, culprit: ast.Expr, extra: list[str], missing: list[str]) -> str | None:
    """The renaming of a factor of the culprit whose axis is as large as the missing one, or an output of a module that
    has the missing axis where a factor has the extra one."""
    if len(extra) != 1 or len(missing) != 1:
        return None
    for n in nodes(culprit):
        if not isinstance(n, ast.Name) or n.id not in r._axes or extra[0] not in r._axes[n.id]:
            continue
        own = r.table.axes[missing[0]].size
        if isinstance(own, Arg | Size) and r.same_size(extra[0], missing[0]):
            return f"declare `{n.id}` with the axis `{missing[0]}`, or rename it: `{n.id}[{extra[0]} as {missing[0]}]`"
        wanted = tuple(missing[0] if a == extra[0] else a for a in r._axes[n.id])
        for name, decl in r.scope.names.items():
            if isinstance(decl, OutputOf) and r._axes.get(name) == wanted:
                module = f", an output of `{decl.module.name.id}`," if decl.module.name.id != name else ""
                return f"`{name}{r.show(wanted)}`{module} has the state's axes where `{n.id}` has not"
    return None
