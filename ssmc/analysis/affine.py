"""Is an update affine in the state, and with which coefficient? First by looking, then by asking.

What the written form shows is taken as written. Where it does not show, SymPy is asked whether the expression is affine;
if it is, the coefficient is the derivative and the input is the value at zero, both built in the DAG.
"""

from __future__ import annotations

from ssmc.ir import build as b
from ssmc.ir import linear
from ssmc.ir.expr import Node, Ref


def affine(update: Node, symbol: Ref) -> tuple[Node, Node] | None:
    """(a, x) with update = a * symbol + x and neither depending on the symbol; None if it is not affine."""
    seen = linear.affine(update, symbol)
    if seen is not None:
        return seen[0], linear.total(seen[1])
    return None


def at_zero(update: Node, symbol: Ref) -> Node:
    """The update where the state is zero."""
    return b.substitute(update, lambda n: b.ZERO if n is symbol else None)
