"""How large expressions are once they are written out, and the limit of it.

Nodes are shared, so a few definitions can stand for an expression that no memory holds; printing, analysis and
derivatives would write it out. The limits are far above any layer that was ever published.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from ssmc.diagnostics.sink import Sink
from ssmc.diagnostics.span import Span
from ssmc.ir.components import components
from ssmc.ir.expr import Node, Ref, fold, refs
from ssmc.ir.layer import Layer
from ssmc.sema.context import Refused

if TYPE_CHECKING:
    from ssmc.sema.values import Resolver

MAX_PARTS = 5_000
MAX_DEPTH = 200

Size = tuple[int, int]


def written_out(node: Node, known: Mapping[str, Size]) -> Size:
    """Parts and depth of an expression without sharing, values of the `known` names written out too."""

    def step(n: Node, children: tuple[Size, ...]) -> Size:
        parts = 1 + sum(c[0] for c in children)
        depth = 1 + max((c[1] for c in children), default=0)
        if isinstance(n, Ref) and not n.offset and n.name in known:
            parts, depth = parts + known[n.name][0], depth + known[n.name][1]
        return min(parts, 10**9), depth

    found: Size = fold(node, step)
    return found


def check(sink: Sink, size: Size, place: Span, what: str) -> None:
    """Refuse what is beyond the limits."""
    parts, depth = size
    if parts > MAX_PARTS or depth > MAX_DEPTH:
        limit = f"has more than {MAX_PARTS:,} parts" if parts > MAX_PARTS else f"nests more than {MAX_DEPTH} deep"
        sink.report(
            "SSM0226",
            "an expression grows too large",
            place,
            f"{what} it {limit}",
            notes=("the size is that of the expression with nothing shared: doubled ten times is a thousand times",),
        )
        raise Refused


def check_node(r: Resolver, node: Node, place: Span) -> None:
    """Refuse a single expression beyond the limits."""
    check(r.sink, written_out(node, {}), place, "with every `def` written out")


def check_layer(sink: Sink, layer: Layer, spans: Mapping[str, Span]) -> None:
    """Refuse equations that are beyond the limits once the values they name are written out."""
    trees = {v.name: v.node for v in layer.values.values()} | {s.name: s.update for s in layer.states.values()}
    edges = {n: [x.name for x in refs(node) if not x.offset and x.name in trees] for n, node in trees.items()}
    known: dict[str, Size] = {}
    for group in components(edges):
        for name in group:
            known[name] = written_out(trees[name], known)
            try:
                place = spans.get(name) or layer.values[name].span
                check(sink, known[name], place, "with the equations it names written out")
            except Refused:
                return
