"""References to other tokens that are no recurrence become values of their own: `v_prev`, a field of the state."""

from __future__ import annotations

from collections.abc import Callable

from ssmc.ir import build as b
from ssmc.ir.expr import Node, Ref, refs
from ssmc.ir.layer import Time
from ssmc.ir.regions import Definition


def split_delays(
    definitions: dict[str, Definition],
    taken: set[str],
    dims: Callable[[str], tuple[str, ...]],
    time: Callable[[str], Time],
    keep: Callable[[Definition, Ref], bool],
) -> dict[str, Definition]:
    """The definitions with every offset reference that `keep` refuses replaced by a delay."""
    made: dict[Node, Definition] = {d.node: d for d in definitions.values() if is_delay(d) and d.anonymous}
    out: dict[str, Definition] = {}

    def delay(r: Ref, d: Definition) -> Node:
        if r not in made:
            stem = name = f"{r.name}_{'prev' if r.offset < 0 else 'next'}"
            i = 1
            while name in taken:
                i += 1
                name = f"{stem}_{i}"
            taken.add(name)
            known = max(Time.TOKEN, time(r.name))
            made[r] = Definition(name, dims(r.name), r.axes, r.dtype, r, known, False, True, d.span)
        m = made[r]
        return b.ref(m.name, m.atoms, m.dtype)

    for d in definitions.values():
        if made.get(d.node) is d:
            out[d.name] = d
            continue

        def replaced(n: Node, d: Definition = d) -> Node | None:
            return delay(n, d) if isinstance(n, Ref) and n.offset and not keep(d, n) else None

        node = b.substitute(d.node, replaced)
        out[d.name] = (
            d
            if node is d.node
            else Definition(d.name, d.axes, d.atoms, d.dtype, node, d.time, d.state, d.anonymous, d.span)
        )
    return {**{m.name: m for m in made.values()}, **out}


def is_delay(d: Definition) -> bool:
    """Whether a definition is a delay."""
    return isinstance(d.node, Ref) and d.node.offset != 0


def offsets(definition: Definition) -> list[Ref]:
    """The references of a definition to other tokens."""
    return [r for r in refs(definition.node) if r.offset]
