"""Components that walk through time side by side as one: states and the running maximum that scales them.

Each by itself would be an op that writes a value a token for the next to read; together they are one walk.
"""

from __future__ import annotations

from collections.abc import Sequence

from ssmc.ir.expr import Reduce, Relabel, refs
from ssmc.ir.layer import Gauge
from ssmc.partition.fuse import Graph, depends

Component = tuple[str, ...]


def join(
    found: list[Component],
    gauges: Sequence[Gauge],
    graph: Graph,
    module_of: dict[str, str],
    module_input: dict[str, str],
) -> list[Component]:
    """The components in their order, those of one gauge as one where they fit: at the place of the last."""
    for g in gauges:
        names = tuple(n for n in (*g.written, g.scale) if n in graph.definitions)
        parts = [c for c in found if set(c) & set(names)]
        if parts and all(len(c) == 1 for c in parts) and _abreast(names, graph, module_of, module_input):
            at = max(found.index(c) for c in parts)
            found = [names if i == at else c for i, c in enumerate(found) if i == at or c not in parts]
    return found


def _abreast(names: Component, graph: Graph, module_of: dict[str, str], module_input: dict[str, str]) -> bool:
    """Whether states have the same axes and reach each other through nothing but their own updates."""
    own = [graph.definitions[n] for n in names]
    if any(isinstance(d.node, Reduce | Relabel) for d in own) or len({frozenset(d.atoms) for d in own}) > 1:
        return False
    sources = {r.name for d in own for r in refs(d.node)} - set(names)
    return not any(depends(graph, s, set(names), module_of, module_input) for s in sources)
