"""Binding times: literal < parameter < sequence < token < state. One lattice answers what is selective, what is
time-invariant, what may be hoisted out of the time loop, and what is known when."""

from __future__ import annotations

from ssmc.ir.components import components
from ssmc.ir.expr import Arg, Const, Draw, Index, Node, Position, Ref, Size, refs, walk
from ssmc.ir.layer import Layer, Time


def node_time(node: Node, times: dict[str, Time]) -> Time:
    """When an expression is known."""
    time = Time.LITERAL
    for n in walk(node):
        match n:
            case Ref():
                # Even of a timeless value, an offset reference differs at the edge of a sequence.
                at = times[n.name] if n.offset == 0 else max(times[n.name], Time.TOKEN)
            case Position():
                at = Time.TOKEN
            case Const() | Size() | Index() | Arg() | Draw():
                at = Time.LITERAL
            case _:
                continue
        time = max(time, at)
    return time


def binding_times(layer: Layer) -> dict[str, Time]:
    """The binding time of every name, as the least fixed point."""
    times: dict[str, Time] = {}
    times.update(dict.fromkeys(layer.inputs, Time.TOKEN))
    times.update(dict.fromkeys(layer.params, Time.PARAMETER))
    times.update(dict.fromkeys(layer.values, Time.LITERAL))
    times.update(dict.fromkeys(layer.states, Time.STATE))
    outputs = {o.name: m.input for m in layer.modules for o in m.outputs}
    times.update(dict.fromkeys(outputs, Time.TOKEN))
    edges = {name: [r.name for r in refs(v.node)] for name, v in layer.values.items()}
    edges.update({name: [source] for name, source in outputs.items()})
    for group in components(edges):  # every group after those it depends on; within a group until nothing changes
        changed = True
        while changed:
            changed = False
            for name in group:
                now = node_time(layer.values[name].node, times) if name in layer.values else times[outputs[name]]
                changed |= now > times[name]
                times[name] = max(times[name], now)
    return times
