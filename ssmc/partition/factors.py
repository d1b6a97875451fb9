"""The previous value of an outer product is the product of its factors' previous values: before the first token either
is 0, and what is carried, and kept of every token, is as large as the factors."""

from __future__ import annotations

from dataclasses import replace

from ssmc.ir import build as b
from ssmc.ir.components import components
from ssmc.ir.expr import Node, Ref, refs
from ssmc.ir.layer import Layer, Time, Value
from ssmc.ir.linear import product, signed_factors
from ssmc.sema.binding import node_time


def delay_factors(layer: Layer) -> Layer:
    """The layer with such references spread over the factors. Those inside a recurrence stay whole."""
    work = _Spreading(layer)
    values = {v.name: replace(v, node=work.spread(v.node)) for v in layer.values.values()}
    states = {s.name: replace(s, update=work.spread(s.update)) for s in layer.states.values()}
    if not work.made:
        return layer
    nodes = [*(v.node for v in values.values()), *(s.update for s in states.values())]
    read = {r.name for r in refs(*nodes)} | {m.input for m in layer.modules} | {layer.result}
    unread = {r.name for r in work.made} - read
    kept = {n: v for n, v in values.items() if n not in unread}
    return replace(layer, values={**kept, **work.parts}, states=states, times=work.times)


class _Spreading:
    """What was found on the way: the product that stands for a reference, and factors that had no name."""

    def __init__(self, layer: Layer) -> None:
        self.layer, self.times = layer, dict(layer.times)
        self.parts: dict[str, Value] = {}
        self.made: dict[Ref, Node] = {}
        self.whole = _in_circles(layer)

    def spread(self, node: Node) -> Node:
        """A node with every such reference replaced."""
        return b.substitute(node, lambda n: self._instead(n) if isinstance(n, Ref) and n.offset else None)

    def _instead(self, r: Ref) -> Node | None:
        v = self.layer.values.get(r.name)
        if v is None or r.init is not None or r.name in self.whole:
            return None
        if r not in self.made:
            factors = signed_factors(v.node)
            moving = [x for x in factors if node_time(x, self.times) > Time.PARAMETER]
            small = all(len(x.axes) < len(v.node.axes) and not any(y.offset for y in refs(x)) for x in moving)
            if not moving or not small:
                return None
            known = [x for x in factors if x not in moving]
            self.made[r] = product([*known, *(self._late(x, v, r.offset) for x in moving)])
        return self.made[r]

    def _late(self, factor: Node, owner: Value, offset: int) -> Node:
        """A factor at the other token."""
        if isinstance(factor, Ref):
            return b.ref(factor.name, factor.axes, factor.dtype, offset)
        same = [p.name for p in self.parts.values() if p.node is factor]
        if not same:
            stem = name = f"{owner.name}_part"
            i = 1
            while name in self.times or name in self.layer.axes.axes:
                i += 1
                name = f"{stem}_{i}"
            named = {v.name: v.axes for v in self.layer.values.values()}
            preferred = dict.fromkeys(a for x in refs(factor) for a in named.get(x.name, ()))
            axes = self.layer.axes.regroup(factor.axes, preferred)
            self.parts[name] = Value(name, axes, factor, owner.span, anonymous=True)
            self.times[name] = node_time(factor, self.times)
            same = [name]
        return b.ref(same[0], factor.axes, factor.dtype, offset)


def _in_circles(layer: Layer) -> set[str]:
    """The values that depend on themselves."""
    nodes = {**{v.name: v.node for v in layer.values.values()}, **{s.name: s.update for s in layer.states.values()}}
    edges = {name: [r.name for r in refs(node)] for name, node in nodes.items()}
    edges.update({o.name: [m.input] for m in layer.modules for o in m.outputs})
    return {name for c in components(edges) if len(c) > 1 for name in c}
