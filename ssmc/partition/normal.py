"""Normal form: every reduction and renaming becomes a value of its own, so that a region is a set of whole values."""

from __future__ import annotations

from ssmc.diagnostics.span import Span
from ssmc.ir import build as b
from ssmc.ir.axes import AxisTable
from ssmc.ir.expr import Node, Position, Reduce, Ref, Relabel, fold, rebuild, walk
from ssmc.ir.layer import Layer, Time
from ssmc.ir.regions import Definition
from ssmc.sema.binding import node_time

POSITION = "t"
SUFFIX = {"sum": "sum", "max": "max", "min": "min"}


def normalise(layer: Layer) -> dict[str, Definition]:
    """All equations and state updates in normal form, by name."""
    state = _Splitter(layer)
    for v in layer.values.values():
        state.add(v.name, v.axes, v.node, v.span, is_state=False, anonymous=v.anonymous)
    for s in layer.states.values():
        state.add(s.name, s.axes, s.update, s.span, is_state=True, anonymous=False)
    return state.done


def uses_position(layer: Layer) -> bool:
    """Whether any equation reads the token's position."""
    nodes = [v.node for v in layer.values.values()] + [s.update for s in layer.states.values()]
    return any(isinstance(n, Position) for n in walk(*nodes))


class _Splitter:
    """Collects definitions while splitting; one per layer."""

    def __init__(self, layer: Layer) -> None:
        self.layer = layer
        self.taken = {*layer.values, *layer.states, *layer.params, *layer.inputs, *layer.axes.axes, POSITION}
        self.done: dict[str, Definition] = {}
        self.split: dict[Node, str] = {}
        self.times: dict[str, Time] = {**layer.times, POSITION: Time.TOKEN}

    def add(self, name: str, axes: tuple[str, ...], node: Node, span: Span, is_state: bool, anonymous: bool) -> None:
        """Split a definition's inner reductions off, and keep it. Parts have their owner's place: equal ones are one
        node, so a node's own place may be another statement's."""
        root = self._rewrite(name, node, span)
        atoms = self.layer.axes.atoms(axes)
        time = Time.STATE if is_state else self.times[name]
        self.done[name] = Definition(name, axes, atoms, node.dtype, root, time, is_state, anonymous, span)

    def _rewrite(self, owner: str, root: Node, span: Span) -> Node:
        def step(node: Node, children: tuple[Node, ...]) -> Node:
            if isinstance(node, Position):
                return b.ref(POSITION, (), "real")
            new = rebuild(node, children, b.remake)
            if isinstance(new, Relabel) and not isinstance(new.body, Ref):
                new = b.relabel(new.pairs, self._name(owner, new.body, "part", span))
            if isinstance(new, Reduce | Relabel) and node is not root:
                return self._name(owner, new, SUFFIX[new.op] if isinstance(new, Reduce) else "as", span)
            return new

        out: Node = fold(root, step)
        return out

    def _name(self, owner: str, node: Node, suffix: str, span: Span) -> Node:
        if node not in self.split:
            stem = name = f"{owner}_{suffix}"
            i = 1
            while name in self.taken:
                i += 1
                name = f"{stem}_{i}"
            self.taken.add(name)
            self.split[node] = name
            self.times[name] = node_time(node, self.times)
            axes = _dims(self.layer.axes, node, self.done, self.layer)
            self.done[name] = Definition(name, axes, node.axes, node.dtype, node, self.times[name], False, True, span)
        return b.ref(self.split[node], node.axes, node.dtype)


def _dims(table: AxisTable, node: Node, done: dict[str, Definition], layer: Layer) -> tuple[str, ...]:
    preferred: dict[str, None] = {}
    declared = {**{v.name: v.axes for v in layer.values.values()}, **{s.name: s.axes for s in layer.states.values()}}
    for n in walk(node):
        if isinstance(n, Ref):
            axes = done[n.name].axes if n.name in done else declared.get(n.name, ())
            preferred.update(dict.fromkeys(axes))
    return table.regroup(node.axes, preferred)
