"""Work is done once: subexpressions that a program uses twice get a name, and known values are read by theirs."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence

from ssmc.ir import build as b
from ssmc.ir.expr import Node, Pointwise, Reduce, Ref, fold, rebuild, walk
from ssmc.ir.program import Let

CHEAP = {"neg", "complex", "re", "im", "pi", "inf", "not"}


def share(sections: Sequence[Sequence[Let]], stem: str = "w:", summed: Collection[str] = ()) -> list[tuple[Let, ...]]:
    """The sections, evaluated one after another, with repeated subexpressions bound to `w:1, w:2, ...` before first
    use. Names in `summed` come to stand for sums over time of what is assigned to them: nothing reads them for it."""
    counts: dict[Node, int] = {}
    seen: set[Node] = set()
    for section in sections:
        for let in section:
            for use in _uses(let.node, seen):
                counts[use] = counts.get(use, 0) + 1
    taken = {let.name for section in sections for let in section}
    roots = {let.node for section in sections for let in section if let.name not in summed}
    names: dict[Node, Node] = {}
    number = 0
    result: list[tuple[Let, ...]] = []
    for section in sections:
        out: list[Let] = []
        for let in section:

            def step(node: Node, children: tuple[Node, ...], let: Let = let, out: list[Let] = out) -> Node:
                nonlocal number
                if node in names:
                    return names[node]
                new = rebuild(node, children, b.remake)
                if (
                    (node is let.node and let.name not in summed)
                    or node in roots
                    or counts.get(node, 0) < 2
                    or not _worth(node)
                ):
                    return new
                number += 1
                while f"{stem}{number}" in taken:
                    number += 1
                out.append(Let(f"{stem}{number}", node.axes, new, let.span))
                names[node] = b.ref(f"{stem}{number}", node.axes, node.dtype)
                return names[node]

            node: Node = names[let.node] if let.node in names else fold(let.node, step, {})
            out.append(Let(let.name, let.atoms, node, let.span))
            if _worth(let.node) and let.name not in summed:
                names.setdefault(let.node, b.ref(let.name, let.node.axes, let.node.dtype))
        result.append(tuple(out))
    return result


def _worth(node: Node) -> bool:
    """Whether evaluating the node again costs anything."""
    if isinstance(node, Reduce):
        return True
    return isinstance(node, Pointwise) and node.fn not in CHEAP and any(isinstance(n, Ref) for n in walk(node))


def _uses(root: Node, seen: set[Node]) -> Iterable[Node]:
    """Every use of a subexpression, one entry an edge; what was entered before is not entered again."""
    yield root
    stack = [root]
    while stack:
        node = stack.pop()
        if node in seen:
            continue
        seen.add(node)
        for child in node.children:
            yield child
            stack.append(child)


def slice_lets(lets: Iterable[Let], wanted: Iterable[str]) -> tuple[Let, ...]:
    """The assignments that the wanted names need at the same token, in order."""
    lets = list(lets)
    by_name = {let.name: let for let in lets}
    keep: set[str] = set()
    stack = [w for w in wanted if w in by_name]
    while stack:
        name = stack.pop()
        if name in keep:
            continue
        keep.add(name)
        stack.extend(
            n.name for n in walk(by_name[name].node) if isinstance(n, Ref) and n.offset == 0 and n.name in by_name
        )
    return tuple(let for let in lets if let.name in keep)
