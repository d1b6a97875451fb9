"""Is an update affine in the state, and with which coefficient? First by looking, then by asking.

What the written form shows is taken as written. Where it does not show, SymPy is asked whether the expression is
affine;
if it is, the coefficient is the derivative and the input is the value at zero, both built in the DAG.
"""

from __future__ import annotations

from ssmc.calculus.reverse import pull
from ssmc.ir import build as b
from ssmc.ir import linear
from ssmc.ir.expr import Node, Reduce, Ref, Relabel, walk


def affine(update: Node, symbol: Ref) -> tuple[Node, Node] | None:
    """(a, x) with update = a * symbol + x and neither depending on the symbol; None if it is not affine."""
    seen = linear.affine(update, symbol)
    if seen is not None:
        return seen[0], linear.total(seen[1])
    if update.dtype == "complex" or any(isinstance(n, Reduce | Relabel) for n in walk(update)):
        return None
    from ssmc.analysis.algebra import is_affine

    if not is_affine(update, (symbol,)):
        return None
    slope = linear.total([part for key, part in pull(update, b.ONE) if key == (symbol.name, symbol.offset)])
    return at_zero(slope, symbol), at_zero(update, symbol)


def at_zero(node: Node, symbol: Ref) -> Node:
    """The expression where the state is zero."""
    return b.substitute(node, lambda n: b.ZERO if n is symbol else None)
