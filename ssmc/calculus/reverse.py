"""Reverse mode over straight-line assignments: cotangents of the assigned names become assignments of their own.

Broadcasting and summation are each other's adjoint: a cotangent that has axes its argument lacks is summed over
them, and
one that is the same along an axis that is summed counts the axis's size.
"""

from __future__ import annotations

from collections.abc import Iterable

from ssmc.calculus.derivatives import pullback
from ssmc.ir import build as b
from ssmc.ir.expr import Node, Pointwise, Reduce, Ref, Relabel, walk
from ssmc.ir.program import Let

Key = tuple[str, int]


def cotangent_name(name: str) -> str:
    """The name of the cotangent of a value."""
    return f"d:{name}"


class Tape:
    """Cotangents gathered so far, by (name, offset), as sums of expressions."""

    def __init__(self) -> None:
        self.sums: dict[Key, Node] = {}

    def add(self, key: Key, contribution: Node) -> None:
        """One more contribution."""
        self.sums[key] = b.add(self.sums[key], contribution) if key in self.sums else contribution

    def pop(self, key: Key) -> Node | None:
        """The sum of what a name has received, taken off the tape."""
        return self.sums.pop(key, None)

    def reverse(self, lets: Iterable[Let]) -> list[Let]:
        """Pull the cotangents of the assigned names back through their expressions, the last assignment first."""
        out: list[Let] = []
        for let in reversed(list(lets)):
            total = self.pop((let.name, 0))
            if total is None:
                continue
            if isinstance(total, Ref):
                seed = total
            else:
                name = cotangent_name(let.name)
                if any(isinstance(n, Ref) and n.name == name for n in walk(total)):
                    name += ":all"  # what was given for the name, and what later assignments add
                out.append(Let(name, total.axes, total, let.span))
                seed = b.ref(name, total.axes, "real")
            for key, contribution in pull(let.node, seed):
                self.add(key, contribution)
        return out


def pull(root: Node, seed: Node) -> list[tuple[Key, Node]]:
    """What the cotangent `seed` of an expression contributes to each reference in it."""
    cotangents: dict[Node, Node] = {root: seed}
    out: list[tuple[Key, Node]] = []
    for node in reversed(list(walk(root))):
        g = cotangents.get(node)
        if g is None:
            continue
        match node:
            case Ref():
                out.append(((node.name, node.offset), g))
            case Pointwise():
                for arg, part in zip(node.args, pullback(node, g), strict=True):
                    if part is not None and _moves(arg):
                        _gather(cotangents, arg, _unbroadcast(part, node.axes, arg.axes))
            case Reduce(op="sum"):
                _gather(cotangents, node.body, g)
            case Reduce():
                hit = b.apply("eq", node.body, node)
                ties = b.reduce("sum", node.over, b.apply("where", hit, b.ONE, b.ZERO))
                _gather(cotangents, node.body, b.apply("where", hit, b.div(g, ties), b.ZERO))
            case Relabel():
                back = tuple((new, old) for old, new in node.pairs)
                _gather(cotangents, node.body, b.relabel(back, g))
    return out


def _moves(node: Node) -> bool:
    return any(isinstance(n, Ref) for n in walk(node))


def _gather(cotangents: dict[Node, Node], node: Node, part: Node) -> None:
    cotangents[node] = b.add(cotangents[node], part) if node in cotangents else part


def _unbroadcast(g: Node, have: tuple[str, ...], want: tuple[str, ...]) -> Node:
    extra = tuple(a for a in have if a not in want)
    for axis in extra:
        if axis not in g.axes:
            g = b.mul(b.size(axis), g)
    return b.reduce("sum", tuple(a for a in extra if a in g.axes), g)
