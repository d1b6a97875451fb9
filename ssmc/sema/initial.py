"""Functions that only initial values may use: random draws here, the spectra of the HiPPO theory in `spectra.py`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ssmc.diagnostics.sink import Edit, Label
from ssmc.diagnostics.span import Span
from ssmc.ir import build as b
from ssmc.ir.expr import Const, Node
from ssmc.sema import growth, spectra
from ssmc.sema.context import INIT, Context, Refused
from ssmc.sema.words import INITIALISERS, SPECTRAL
from ssmc.syntax import ast
from ssmc.syntax.unparse import expression

if TYPE_CHECKING:
    from ssmc.sema.values import Resolver

USAGE = {
    "uniform": "uniform(low, high)",
    "normal": "normal(mean, deviation)",
    "log_uniform": "log_uniform(low, high)",
    **spectra.USAGE,
}


def lower_initialiser(r: Resolver, e: ast.Call, ctx: Context) -> Node:
    """A draw, on the axes of the value it starts or on those in brackets; or a function of the HiPPO theory."""
    name = e.func.id
    if ctx.kind != "init":
        r.sink.report(
            "SSM0213",
            f"`{name}` is an initial value, not a value of the layer",
            e.span,
            "used in a size" if ctx.kind == "size" else "used in an equation",
            help=None if ctx.kind == "size" else f"declare a parameter: `param p[...] = {name}(...)`",
        )
        raise Refused
    if len(e.args) != INITIALISERS[name] or e.keywords:
        r.sink.report(
            "SSM0204",
            f"`{name}` takes {INITIALISERS[name]} arguments, not {len(e.args) + len(e.keywords)}",
            e.span,
            "called here",
            help=f"write `{USAGE[name]}`",
        )
        raise Refused
    if name in SPECTRAL:
        return spectra.lower_spectral(r, e)
    lo, hi = (r.lower(a, ctx) for a in e.args)
    _check_draw(r, e, lo, hi)
    axes = r.table.atoms(r.draw_axes if e.axes is None else tuple(r.axis(a) for a in e.axes))
    if name == "log_uniform":
        low, high = b.apply("log", lo), b.apply("log", hi)
        return b.apply("exp", b.draw("uniform", (low, high), axes, "real", r.next_uid()))
    return b.draw(name, (lo, hi), axes, "real", r.next_uid())


def _check_draw(r: Resolver, e: ast.Call, lo: Node, hi: Node) -> None:
    """The bounds of a draw are real numbers in order."""
    name = e.func.id
    for node, written in zip((lo, hi), e.args, strict=True):
        if node.dtype != "real":
            r.sink.report(
                "SSM0206",
                f"`{name}` needs real values",
                written.span,
                f"this is {node.dtype}",
                help="draw two: `complex(normal(0, 1), normal(0, 1))`",
            )
            raise Refused
    low, high = (n.value if isinstance(n, Const) else None for n in (lo, hi))
    message = None
    if name == "normal":
        message = ("the deviation of a draw is negative", e.args[1]) if high is not None and high < 0 else None
    elif low is not None and high is not None and low > high:
        message = ("the bounds of a draw are reversed", e)
    elif name == "log_uniform" and low is not None and low <= 0:
        message = ("the lower bound of `log_uniform` is not positive", e.args[0])
    if message is not None:
        text, place = message
        swapped = f"{name}({expression(e.args[1])}, {expression(e.args[0])})"
        r.sink.report(
            "SSM0224",
            text,
            place.span,
            "the first is above the second" if place is e else "here",
            help=f"write `{swapped}`" if place is e else None,
            edit=Edit(e.span, swapped) if place is e else None,
        )
        raise Refused


def lower_init(
    r: Resolver, e: ast.Expr | None, axes: tuple[str, ...], default: Node | None, what: str, target: Span
) -> Node | None:
    """An initial value on the given axes."""
    if e is None:
        return default
    r.draw_axes = axes
    node = r.lower(e, INIT)
    growth.check_node(r, node, e.span)
    extra = [a for a in node.axes if a not in r.table.atoms(axes)]
    if extra:
        others = [a for a in r.table.atoms(axes) if a not in node.axes]
        r.sink.report(
            "SSM0214",
            f"the initial value has an axis `{extra[0]}` that {what} does not have",
            e.span,
            f"this has axes {r.show(node.axes)}",
            secondary=(Label(target, f"this has axes {r.show(axes)}"),) if axes else (),
            notes=(r.different(extra[0], others[0]),) if others else (),
        )
        raise Refused
    return node
