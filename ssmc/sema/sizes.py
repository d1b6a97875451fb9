"""What is known of sizes before the layer is constructed: exact values, where arguments are fixed or have defaults."""

from __future__ import annotations

import math
from fractions import Fraction

from ssmc.ir.axes import AxisTable
from ssmc.ir.expr import Arg, Const, Node, Pointwise, Size, fold
from ssmc.ir.layer import LayerArg
from ssmc.sema.scope import Scope

LARGEST = 2**63


def shown(x: Fraction) -> str:
    """A number as text."""
    return str(x.numerator) if x.denominator == 1 else f"{float(x):g}"


def value(node: Node, scope: Scope, table: AxisTable) -> Fraction | None:
    """The size under the arguments' settings and defaults; None if one is required, or the size is no exact number."""

    def step(n: Node, children: tuple[Fraction | None, ...]) -> Fraction | None:
        match n:
            case Const():
                return None if isinstance(n.value, bool) else n.value
            case Arg():
                return _argument(n.name, scope, table)
            case Size():
                return value(table.axes[n.axis].size, scope, table) if n.axis in table.axes else None
            case Pointwise() if children and None not in children:
                return _apply(n.fn, [c for c in children if c is not None])
        return None

    found: Fraction | None = fold(node, step)
    return found


def _argument(name: str, scope: Scope, table: AxisTable) -> Fraction | None:
    arg = scope.names.get(name)
    if not isinstance(arg, LayerArg) or arg.kind not in ("int", "float"):
        return None
    if isinstance(arg.fixed, int | float):
        return Fraction(arg.fixed)
    return None if arg.default is None else value(arg.default, scope, table)


def _apply(fn: str, x: list[Fraction]) -> Fraction | None:
    match fn, x:
        case "add", [a, b]:
            return a + b
        case "sub", [a, b]:
            return a - b
        case "mul", [a, b]:
            return a * b if abs(a * b) < LARGEST else None
        case "div", [a, b] if b:
            return a / b
        case "floordiv", [a, b] if b:
            return Fraction(a // b)
        case "mod", [a, b] if b:
            return a % b
        case "neg", [a]:
            return -a
        case "pow", [a, b] if (
            a > 0 and b.denominator == 1 and abs(b) * math.log2(max(float(a), float(1 / a), 2.0)) < 63
        ):
            return Fraction(a ** int(b))
        case "ceil", [a]:
            return Fraction(math.ceil(a))
        case "floor", [a]:
            return Fraction(math.floor(a))
        case "round", [a]:
            return Fraction(round(a))
        case (("min" | "max"), _):
            return min(x) if fn == "min" else max(x)
    return None
