"""The invariants of a Layer."""

from __future__ import annotations

from ssmc.ir.expr import Draw, Position, Ref, Size, refs, walk
from ssmc.ir.layer import Layer, Time
from ssmc.ir.verify.nodes import Signature, check_node, check_refs, demand, once, time_of


def signatures(layer: Layer) -> dict[str, Signature]:
    """Atoms and type of every name that an equation may read."""
    atoms = layer.axes.atoms
    out: dict[str, Signature] = {n: (atoms(i.axes), "real") for n, i in layer.inputs.items()}
    out |= {n: (atoms(p.axes), p.dtype) for n, p in layer.params.items()}
    out |= {o.name: (atoms(o.axes), "real") for m in layer.modules for o in m.outputs}
    out |= {n: (atoms(v.axes), v.node.dtype) for n, v in layer.values.items()}
    out |= {n: (atoms(s.axes), s.dtype) for n, s in layer.states.items()}
    return out


def verify_layer(layer: Layer) -> None:
    """A checked layer: everything is bound once, has the axes and type it says, and is known when it says."""
    outputs = [o.name for m in layer.modules for o in m.outputs]
    once((*layer.inputs, *layer.params, *outputs, *layer.values, *layer.states), "in a layer")
    once((x.key for x in layer.owned), "in the state_dict")
    _axes(layer)
    bound = signatures(layer)
    demand(layer.result in bound, f"`{layer.result}`", "the result is a value of the layer")
    demand(bound[layer.result][1] != "complex", f"`{layer.result}`", "the result is real")
    for i in layer.inputs.values():
        if i.default is not None:
            check_node(i.default, f"the default of `{i.name}`", position=False)
            demand(not refs(i.default), f"the default of `{i.name}`", "a default reads no value")
    for p in layer.params.values():
        what = f"the initial value of `{p.name}`"
        check_node(p.init, what, draws=True, position=False)
        demand(set(p.init.axes) <= set(layer.axes.atoms(p.axes)), what, "it has no other axes than the parameter")
        demand(p.dtype == "complex" or p.init.dtype != "complex", what, "it is of the parameter's type")
        for r in refs(p.init):
            demand(r.name in layer.params and not r.offset, what, f"`{r.name}`, which it reads, is a parameter")
    for m in layer.modules:
        demand(m.input in bound, f"module `{m.name}`", f"its input `{m.input}` is a value of the layer")
        demand(bound[m.input][1] == "real", f"module `{m.name}`", "its input is real")
    for name, v in layer.values.items():
        check_node(v.node, f"`{name}`")
        check_refs(v.node, f"`{name}`", bound)
        demand(
            set(v.node.axes) <= set(bound[name][0]), f"`{name}`", f"its expression has no axes beside {bound[name][0]}"
        )
    for name, s in layer.states.items():
        check_node(s.update, f"state `{name}`")
        check_refs(s.update, f"state `{name}`", bound)
        demand(
            set(s.update.axes) <= set(bound[name][0]),
            f"state `{name}`",
            f"its update has no axes beside {bound[name][0]}",
        )
        demand(s.dtype == "complex" or s.update.dtype != "complex", f"state `{name}`", "its update is of its type")
    for g in layer.gauges:
        what = f"gauge `{g.scale}`"
        demand({g.scale, *g.written} <= set(layer.states), what, "it and what it scales are states")
        for n in g.written:
            demand(set(bound[g.scale][0]) <= set(bound[n][0]), what, f"it has no axes beside those of `{n}`")
        demand(bool(g.cancels), what, "it cancels somewhere")
    _times(layer)
    _no_cycle(layer)


def _axes(layer: Layer) -> None:
    table = layer.axes
    for name, axis in table.axes.items():
        what = f"axis `{name}`"
        check_node(axis.size, what, position=False)
        demand(axis.name == name, what, "it is listed under its name")
        demand(
            not any(isinstance(n, Ref | Draw | Position) for n in walk(axis.size)),
            what,
            "its size is known at construction",
        )
        for n in walk(axis.size):
            demand(not isinstance(n, Size) or n.axis in table.axes, what, "the axes its size is made of are declared")
        demand(set(axis.factors) <= set(table.axes), what, "its factors are axes")
        demand(name not in table.split or bool(axis.factors), what, "what is split has factors")


def _times(layer: Layer) -> None:
    times = layer.times
    for name in (*layer.inputs, *layer.params, *layer.values, *layer.states):
        demand(name in times, f"`{name}`", "it has a binding time")
    for name in layer.inputs:
        demand(times[name] == Time.TOKEN, f"`{name}`", "an input is known token by token")
    for name in layer.params:
        demand(times[name] == Time.PARAMETER, f"`{name}`", "a parameter is known before any call")
    for name in layer.states:
        demand(times[name] == Time.STATE, f"`{name}`", "a state is known last")
    for name, v in layer.values.items():
        wanted = time_of(v.node, times)
        demand(
            times[name] == wanted,
            f"`{name}`",
            f"it is known at {wanted.name}, with what it reads, not at {times[name].name}",
        )
    for m in layer.modules:
        for o in m.outputs:
            wanted = max(Time.TOKEN, times[m.input])
            demand(times[o.name] == wanted, f"`{o.name}`", f"an output is known with its input, at {wanted.name}")


def _no_cycle(layer: Layer) -> None:
    """No value depends on itself at the same token."""
    edges = {n: [r.name for r in refs(v.node) if not r.offset] for n, v in layer.values.items()}
    edges |= {n: [r.name for r in refs(s.update) if not r.offset] for n, s in layer.states.items()}
    edges |= {o.name: [m.input] for m in layer.modules for o in m.outputs}
    done: set[str] = set()
    for root in edges:
        stack: list[tuple[str, bool]] = [(root, False)]
        path: set[str] = set()
        while stack:
            name, leaving = stack.pop()
            if leaving:
                path.discard(name)
                done.add(name)
                continue
            demand(name not in path, f"`{name}`", "no value depends on itself at the same token")
            if name not in done:
                path.add(name)
                stack.append((name, True))
                stack.extend((n, False) for n in edges.get(name, ()))
