"""What one op takes in around a recurrent component: the frontier rule of the design.

Forward from the component, local reads of its states join, and pointwise values as long as nobody else reads what they
are made of: one after the other, and several at once that read the same. Backward, pointwise values join that only the
op reads. The frontier depends on the spec alone.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from ssmc.ir.expr import Reduce, Ref, Relabel, refs
from ssmc.ir.regions import Definition


@dataclass(frozen=True, slots=True)
class Fused:
    """The members of an op, and why each value at its frontier stays outside or is the result."""

    component: tuple[str, ...]
    prologue: tuple[str, ...]
    epilogue: tuple[str, ...]
    results: tuple[str, ...]
    inner: tuple[str, ...]
    reasons: tuple[tuple[str, str], ...]


class Graph:
    """Definitions with who reads them; `outside` are the readers that are no definitions (modules, the result)."""

    def __init__(self, definitions: dict[str, Definition], module_reads: dict[str, list[str]], result: str) -> None:
        self.definitions = definitions
        self.consumers: dict[str, list[str]] = {}
        for d in definitions.values():
            for r in refs(d.node):
                self.consumers.setdefault(r.name, []).append(d.name)
        for module, sources in module_reads.items():
            for s in sources:
                self.consumers.setdefault(s, []).append(f"module {module}")
        self.consumers.setdefault(result, []).append("the result")
        self._reach: dict[str, frozenset[str]] = {}
        self._module_reads = module_reads

    def readers(self, name: str) -> list[str]:
        """Who reads a value, each once."""
        return list(dict.fromkeys(self.consumers.get(name, [])))

    def pointwise(self, d: Definition) -> bool:
        """Whether a definition is pointwise: no reduction, no renaming, no delay."""
        return not isinstance(d.node, Reduce | Relabel) and not (isinstance(d.node, Ref) and d.node.offset)


def depends(graph: Graph, name: str, on: set[str], module_of: dict[str, str], module_input: dict[str, str]) -> bool:
    """Whether a value depends, at any offset and through modules, on one of a set."""
    seen: set[str] = set()
    stack = [name]
    while stack:
        v = stack.pop()
        if v in on:
            return True
        if v in seen:
            continue
        seen.add(v)
        if v in graph.definitions:
            stack.extend(r.name for r in refs(graph.definitions[v].node))
        elif v in module_of:
            stack.append(module_input[module_of[v]])
    return False


def fuse(
    graph: Graph,
    component: tuple[str, ...],
    taken: set[str],
    module_of: dict[str, str],
    module_input: dict[str, str],
) -> Fused:
    """The op around a component. `taken` are values that belong to earlier ops. Where channels cannot be told apart (a
    class that no kernel evaluates by channels) no reads are fused."""
    definitions = graph.definitions
    members = set(component)
    carried = {r.name for m in component for r in refs(definitions[m].node) if r.offset and r.name in members}
    state_atoms = {a for c in carried for a in definitions[c].atoms}
    summed = _summed([definitions[m] for m in component], [definitions[c].atoms for c in sorted(carried)])
    local, inner = summed is not None, list(summed or ())
    epilogue: list[str] = []
    reasons: dict[str, str] = {}

    def read(d: Definition) -> bool:
        node = d.node
        return (
            local
            and isinstance(node, Reduce)
            and node.op == "sum"
            and any(r.name in members and r.name in carried for r in refs(node.body))
            and set(node.body.axes) <= state_atoms
            and bool(state_atoms - set(inner) - set(node.over))
        )

    def fits(d: Definition, inside: set[str]) -> bool:
        """Whether a value is of the op's shape and reads of the op what it may, and nothing else that depends on it."""
        touched = [r for r in refs(d.node) if r.name in inside]
        if not touched or not (read(d) or (graph.pointwise(d) and set(d.atoms) <= state_atoms)):
            if local and isinstance(d.node, Reduce) and any(r.name in carried for r in touched):
                more = ", ".join(f"`{a}`" for a in d.node.body.axes if a not in state_atoms)
                why = f"it sums over what has {more} too, which the state has not: the state of every token is written"
                reasons.update({d.name: why} if more else {})
            return False
        if any(r.offset and r.name not in carried for r in touched):
            return False
        others = [r.name for r in refs(d.node) if r.name not in inside]
        if any(depends(graph, o, members, module_of, module_input) for o in others):
            reasons[d.name] = "it also reads a value that depends on this op through another region"
            return False
        reasons.pop(d.name, None)
        return True

    def join(group: list[Definition]) -> None:
        for d in group:
            if isinstance(d.node, Reduce):
                inner.extend(a for a in d.node.over if a not in inner)
            members.add(d.name)
            epilogue.append(d.name)

    changed = True
    while changed:
        changed = False
        waiting = [d for d in definitions.values() if not (d.name in members or d.name in taken or d.state)]
        for d in waiting:
            touched = [r for r in refs(d.node) if r.name in members]
            if all(_free(graph, r.name, d, members, component, read) for r in touched) and fits(d, members):
                join([d])
                changed = True
        if not changed:
            group = _together(graph, members, [d for d in waiting if not read(d)], fits)
            join(group)
            changed = bool(group)

    results = [m for m in (*component, *epilogue) if any(c not in members for c in graph.readers(m))]
    prologue = _prologue(graph, members, taken, reasons)
    for m in results:
        outside = [c for c in graph.readers(m) if c not in members]
        reasons[m] = "result: read by " + ", ".join(outside)
    order = {name: i for i, name in enumerate(definitions)}
    return Fused(
        component,
        tuple(sorted(prologue, key=order.__getitem__)),
        tuple(epilogue),
        tuple(results),
        tuple(inner),
        tuple(sorted(reasons.items())),
    )


def _summed(component: list[Definition], states: list[tuple[str, ...]]) -> tuple[str, ...] | None:
    """The axes that sums in the update itself remove; None if states meet at indices that differ in another way, or in
    all axes."""
    atoms = set(states[0])
    nodes = [d.node for d in component]
    sums = [n for n in nodes if isinstance(n, Reduce)]
    over = tuple(dict.fromkeys(a for n in sums for a in n.over))
    if any(isinstance(n, Relabel) for n in nodes) or any(n.op != "sum" or set(n.body.axes) - atoms for n in sums):
        return None
    alike = all(set(x) == atoms for x in states) and all(set(d.atoms) <= atoms for d in component)
    return (over if atoms - set(over) and alike else None) if sums else ()


def _together(
    graph: Graph, members: set[str], waiting: list[Definition], fits: Callable[[Definition, set[str]], bool]
) -> list[Definition]:
    """The values that may follow only as one: each reads what others of them read too, and nobody else does."""
    group: list[Definition] = []
    while True:
        inside = {*members, *(d.name for d in group)}
        found = next((d for d in waiting if d.name not in inside and fits(d, inside)), None)
        if found is None:
            break
        group.append(found)
    while True:
        inside = {*members, *(d.name for d in group)}
        kept = [
            d
            for d in group
            if all(set(graph.readers(r.name)) <= inside for r in refs(d.node) if r.name in inside) and fits(d, inside)
        ]
        if len(kept) == len(group):
            return kept
        group = kept


def _free(
    graph: Graph,
    name: str,
    d: Definition,
    members: set[str],
    component: tuple[str, ...],
    read: Callable[[Definition], bool],
) -> bool:
    """Whether `d` may follow the member `name` into the op: a local read always, else if only such read it too."""
    if name in component and read(d):
        return True
    others = [c for c in graph.readers(name) if c not in members and c != d.name]
    return all(name in component and c in graph.definitions and read(graph.definitions[c]) for c in others)


def _prologue(graph: Graph, members: set[str], taken: set[str], reasons: dict[str, str]) -> set[str]:
    """The pointwise values that only the op reads, at this token."""
    definitions = graph.definitions
    inside: set[str] = set()
    starts = {r.name for m in members for x in refs(definitions[m].node) if x.init is not None for r in refs(x.init)}
    changed = True
    while changed:
        changed = False
        wanted = [r.name for m in (*members, *inside) for r in refs(definitions[m].node)]
        for name in dict.fromkeys(wanted):
            d = definitions.get(name)
            if d is None or name in members or name in inside or name in taken:
                continue
            if name in starts:
                reasons[name] = "operand: a state starts from it"
                continue
            if not graph.pointwise(d) or d.state:
                reasons.setdefault(name, "operand: the result of another region")
                continue
            outside = [c for c in graph.readers(name) if c not in members and c not in inside]
            if outside:
                reasons[name] = "operand: also read by " + ", ".join(outside)
                continue
            inside.add(name)
            reasons.pop(name, None)
            changed = True
    return inside
