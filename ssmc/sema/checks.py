"""Checks of the whole layer: what no single statement can show."""

from __future__ import annotations

from ssmc.diagnostics.sink import Label, Sink
from ssmc.ir.expr import Ref, walk
from ssmc.ir.layer import Input, Layer
from ssmc.sema.values import Resolver
from ssmc.syntax import ast


def check_inputs(sink: Sink, spec: ast.Spec, inputs: dict[str, Input]) -> None:
    """There is a first input, and it is required."""
    declared = any(isinstance(s, ast.Input) for s in spec.body)
    if not declared:
        sink.report("SSM0216", "the layer has no input", spec.name.span, "this layer", help="declare one: `input u[d_model]`")
        return
    first = next(iter(inputs.values()), None)
    if first is not None and first.default is not None:
        sink.report(
            "SSM0216", f"the first input, `{first.name}`, has a default", first.span, "forward's positional argument",
            help="declare the layer's main input first, without a default",
        )  # fmt: skip


def _edges(layer: Layer) -> dict[str, list[Ref]]:
    edges: dict[str, list[Ref]] = {}
    for v in layer.values.values():
        edges[v.name] = [n for n in walk(v.node) if isinstance(n, Ref)]
    for s in layer.states.values():
        edges[s.name] = [n for n in walk(s.update) if isinstance(n, Ref)]
    return edges


def check_layer(sink: Sink, layer: Layer, r: Resolver) -> None:
    """Circles within a token, keys used twice, and what is declared and never used."""
    _check_circles(sink, layer, r)
    _check_keys(sink, layer)
    _check_use(sink, layer, r)


def _check_circles(sink: Sink, layer: Layer, r: Resolver) -> None:
    edges = _edges(layer)
    inputs_of = {o.name: m.input for m in layer.linears.values() for o in m.outputs}
    inputs_of.update({c.output.name: c.input for c in layer.convs.values()})
    done: set[str] = set()
    path: list[str] = []

    def visit(name: str) -> None:
        if name in path:
            circle = [*path[path.index(name) :], name]
            if len(circle) > 1 and circle[0] in r.scope.spans:
                sink.report(
                    "SSM0210", f"`{name}` is defined in terms of itself at the same token", r.scope.spans[name], "in a circle",
                    secondary=tuple(Label(r.scope.spans[n], "through this") for n in circle[1:-1] if n in r.scope.spans),
                    notes=("the circle is " + " -> ".join(circle),),
                    help="one of the references must be to the previous token: `prev(...)`",
                )  # fmt: skip
            return
        if name in done:
            return
        path.append(name)
        following = [x.name for x in edges.get(name, []) if x.offset == 0]
        for n in following + ([inputs_of[name]] if name in inputs_of else []):
            visit(n)
        path.pop()
        done.add(name)

    for name in [*edges, *inputs_of]:
        visit(name)


def _check_keys(sink: Sink, layer: Layer) -> None:
    keys: dict[str, Label] = {}
    for item in layer.owned:
        if item.key in keys:
            sink.report(
                "SSM0202", f"the state_dict key `{item.key}` is used twice", item.span, "used again here",
                secondary=(Label(keys[item.key].span, "first used here"),), help="give one of them another key with `as`",
            )  # fmt: skip
        keys[item.key] = Label(item.span, item.key)


def _check_use(sink: Sink, layer: Layer, r: Resolver) -> None:
    used: set[str] = set()
    pending = [layer.result]
    edges = _edges(layer)
    sources: dict[str, list[str]] = {}
    siblings: dict[str, list[str]] = {}
    for m in layer.linears.values():
        for o in m.outputs:
            sources[o.name] = [m.input]
            siblings[o.name] = [x.name for x in m.outputs]
    for c in layer.convs.values():
        sources[c.output.name] = [c.input]
    while pending:
        name = pending.pop()
        if name in used:
            continue
        used.add(name)
        pending.extend(x.name for x in edges.get(name, []))
        pending.extend(sources.get(name, []))
    for name in [*layer.params, *layer.inputs, *sources, *layer.states, *layer.values]:
        anonymous = name in layer.values and layer.values[name].anonymous
        if name not in used and not anonymous and not any(s in used for s in siblings.get(name, [])):
            sink.report(
                "SSM0219", f"`{name}` does not reach the result", r.scope.spans[name], "computed and never used",
                notes=("a parameter without a gradient stops some trainers",) if name in layer.params else (),
                help="use it or delete it",
            )  # fmt: skip
