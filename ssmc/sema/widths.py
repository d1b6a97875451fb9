"""Values that grew an axis unnoticed: `a + b` with a[E] and b[d_model] is [E, d_model], and a linear takes it all.

Where such a value leaves the equations (into a linear or a convolution, or as the result) and its numbers a token grow
with the square of an argument without a default, this is said, unless its axes were written down.
"""

from __future__ import annotations

from ssmc.diagnostics.sink import Sink
from ssmc.ir.expr import Arg, Const, Node, Pointwise, Size
from ssmc.ir.layer import Layer
from ssmc.sema.axes import Axes
from ssmc.sema.scope import Scope
from ssmc.syntax import ast


def check_widths(sink: Sink, layer: Layer, axes: Axes, scope: Scope) -> None:
    """Warn of every such value, once."""
    leaves: dict[str, str] = {}
    for m in layer.children:
        leaves.setdefault(m.input, f"`{m.name}` takes")
    leaves.setdefault(layer.result, "the layer returns")
    required = [a.name for a in layer.args if a.kind == "int" and a.default is None and a.fixed is None]
    for name, what in leaves.items():
        v = layer.values.get(name)
        equation = scope.names.get(name)
        if v is None or (isinstance(equation, ast.Equation) and any(t.axes is not None for t in equation.targets)):
            continue
        for argument in required:
            wide = [a for a in v.axes if _degree(layer, layer.axes.axes[a].size, argument) > 0]
            if sum(_degree(layer, layer.axes.axes[a].size, argument) for a in v.axes) <= 1 or len(wide) < 2:
                continue
            shown = "`" + "`, `".join(wide[:-1]) + f"` and `{wide[-1]}`"
            own = f"`{name}`" if not v.anonymous else "this value"
            sink.report(
                "SSM0230",
                f"{own} varies along {shown}, which {'both' if len(wide) == 2 else 'all'} grow with `{argument}`",
                v.span,
                f"this has axes {axes.show(v.axes)}",
                notes=(f"{what} all of it", axes.different(wide[0], wide[1])),
                help=f"use one of the two, or rename, `x[{wide[1]} as {wide[0]}]`; if it is meant, write the axes: "
                f"`{'y' if v.anonymous else name}{axes.show(v.axes)} = ...`",
            )


def _degree(layer: Layer, size: Node, argument: str) -> float:
    """How a size grows with an argument: as which power of it."""
    match size:
        case Arg():
            return float(size.name == argument)
        case Size():
            return _degree(layer, layer.axes.axes[size.axis].size, argument)
        case Pointwise(fn="mul", args=(x, y)):
            return _degree(layer, x, argument) + _degree(layer, y, argument)
        case Pointwise(fn="div" | "floordiv", args=(x, y)):
            return _degree(layer, x, argument) - _degree(layer, y, argument)
        case Pointwise(fn="pow", args=(x, Const(value=n))):
            return _degree(layer, x, argument) * float(n)
        case Pointwise(fn="add" | "sub" | "max" | "ceil" | "floor" | "round", args=args):
            return max(_degree(layer, x, argument) for x in args)
    return 0.0
