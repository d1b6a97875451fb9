"""One value of an expression in floating point: a quick look before interval arithmetic is asked for a proof."""

from __future__ import annotations

import cmath
import math
from collections.abc import Callable, Mapping

from ssmc.analysis.monotone import GROWS
from ssmc.ir.expr import Const, Node, Pointwise, Reduce, Relabel, fold

_TWO: dict[str, Callable[[complex, complex], complex]] = {
    "add": lambda x, y: x + y,
    "sub": lambda x, y: x - y,
    "mul": lambda x, y: x * y,
    "div": lambda x, y: x / y,
    "pow": lambda x, y: x**y,
    "complex": lambda x, y: x + 1j * y,
}
_ONE: dict[str, Callable[[complex], complex]] = {
    "neg": lambda x: -x,
    "exp": cmath.exp,
    "sin": cmath.sin,
    "cos": cmath.cos,
    "tanh": cmath.tanh,
    "square": lambda x: x * x,
    "abs": abs,
    "re": lambda x: x.real,
    "im": lambda x: x.imag,
    "conj": lambda x: x.conjugate(),
    "relu": lambda x: max(x.real, 0.0),
    "rsqrt": lambda x: 1 / cmath.sqrt(x),
}


def sample(node: Node, at: Mapping[Node, float]) -> complex | None:
    """The value, reductions taken over equal entries of one index; None if it is not known how, or undefined."""

    def step(n: Node, children: tuple[complex | None, ...]) -> complex | None:
        if n in at:
            return at[n]
        if any(c is None for c in children):
            return None
        args = [c for c in children if c is not None]
        match n:
            case Const():
                return float(n.value)
            case Reduce() | Relabel():
                return args[0]
            case Pointwise():
                return _apply(n.fn, args)
        return None

    result: complex | None = fold(node, step)
    return result


def _apply(fn: str, args: list[complex]) -> complex | None:
    try:
        if len(args) == 2 and fn in _TWO:
            return _TWO[fn](*args)
        if len(args) == 1 and fn in _ONE:
            return _ONE[fn](args[0])
        if fn in GROWS and args[0].imag == 0:
            return GROWS[fn].value(args[0].real)
        if fn in ("max", "min"):
            values = [x.real for x in args]
            return max(values) if fn == "max" else min(values)
        if fn == "clip":
            return min(max(args[0].real, args[1].real), args[2].real)
    except (ArithmeticError, ValueError):
        return None
    return math.pi if fn == "pi" else None
