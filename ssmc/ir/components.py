"""Strongly connected components of the dependency graph, in topological order (Tarjan 1972, without recursion)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence


def components(edges: Mapping[str, Sequence[str]]) -> list[tuple[str, ...]]:
    """Components with every component after the ones it depends on; `edges[v]` lists what v depends on."""
    order: dict[str, int] = {}
    low: dict[str, int] = {}
    stack: list[str] = []
    on_stack: set[str] = set()
    found: list[tuple[str, ...]] = []
    for root in edges:
        if root in order:
            continue
        work = [(root, 0)]
        while work:
            v, i = work.pop()
            if i == 0:
                order[v] = low[v] = len(order)
                stack.append(v)
                on_stack.add(v)
            targets = [w for w in edges[v] if w in edges]
            advanced = False
            for j in range(i, len(targets)):
                w = targets[j]
                if w not in order:
                    work += [(v, j + 1), (w, 0)]
                    advanced = True
                    break
                if w in on_stack:
                    low[v] = min(low[v], order[w])
            if advanced:
                continue
            for w in targets:
                if w in on_stack:
                    low[v] = min(low[v], low[w])
            if low[v] == order[v]:
                members = []
                while True:
                    w = stack.pop()
                    on_stack.discard(w)
                    members.append(w)
                    if w == v:
                        break
                found.append(tuple(sorted(members, key=lambda m: order[m])))
    return found
