"""Checks of the whole layer: what no single statement can show."""

from __future__ import annotations

from ssmc.diagnostics.sink import Label, Sink
from ssmc.diagnostics.span import Span
from ssmc.ir.components import components
from ssmc.ir.expr import Ref, refs
from ssmc.ir.layer import Input, Layer, LayerArg, Time
from ssmc.sema.scope import nodes
from ssmc.sema.values import Offset, Resolver
from ssmc.syntax import ast


def check_inputs(sink: Sink, spec: ast.Spec, inputs: dict[str, Input], r: Resolver) -> None:
    """There is a first input, and it is required."""
    declared = [d for d in r.scope.names.values() if isinstance(d, ast.Input)]
    if not any(isinstance(n, ast.Input) for n in nodes(spec.body)):
        sink.report(
            "SSM0216", "the layer has no input", spec.name.span, "this layer", help="declare one: `input u[d_model]`"
        )
        return
    first = inputs.get(declared[0].target.name.id if declared and declared[0].target.name else "")
    if first is not None and first.default is not None:
        default = declared[0].default
        required = next((i.name for i in inputs.values() if i.default is None), None)
        sink.report(
            "SSM0216",
            f"the first input, `{first.name}`, has a default",
            default.span if default else first.span,
            "forward's positional argument",
            help=f"declare `{required}` before it"
            if required
            else "declare the layer's main input first, without a default",
        )


def check_defs(r: Resolver) -> None:
    """Definitions have parameters of their own, and do not expand without end."""
    defs = {n: d for n, d in r.scope.names.items() if isinstance(d, ast.Def)}
    edges: dict[str, list[str]] = {}
    for name, d in defs.items():
        _check_parameters(r, d)
        called = [n.func.id for n in nodes(d.body) if isinstance(n, ast.Call) and n.func.id in defs]
        edges[name] = sorted(set(called))
    for group in components(edges):
        if len(group) > 1 or group[0] in edges[group[0]]:
            circle = " -> ".join([*group, group[0]])
            r.sink.report(
                "SSM0226",
                f"`{group[0]}` is defined in terms of itself",
                defs[group[0]].name.span,
                "expands without end",
                secondary=tuple(Label(defs[n].name.span, "through this") for n in group[1:]),
                notes=(f"the circle is {circle}",),
                help="what depends on the value before is written with `prev(...)`, in an equation or a state",
            )
            r.scope.refused.update(group)


def _check_parameters(r: Resolver, d: ast.Def) -> None:
    if not d.params:
        r.sink.report(
            "SSM0204",
            f"`{d.name.id}` is defined without parameters",
            d.name.span,
            "no parameters",
            help=f"write an equation: `{d.name.id} = ...`",
        )
    seen: dict[str, Span] = {}
    read = {n.id for n in nodes(d.body) if isinstance(n, ast.Name)}
    for p in d.params:
        taken = r.scope.spans.get(p.id)
        if p.id in seen:
            r.sink.report(
                "SSM0202",
                f"`{d.name.id}` has two parameters `{p.id}`",
                p.span,
                "again here",
                secondary=(Label(seen[p.id], "first here"),),
                help="give each a name of its own",
            )
        elif p.id in ("t", "start", "pi", "inf"):
            r.sink.report(
                "SSM0202",
                f"`{p.id}` is reserved and no name for a parameter",
                p.span,
                "bound here",
                help=f"choose another name, such as `{p.id}_`",
            )
        elif taken is not None:
            r.sink.report(
                "SSM0202",
                f"the parameter `{p.id}` hides the layer's `{p.id}`",
                p.span,
                "bound again here",
                secondary=(Label(taken, "first bound here"),),
                notes=("a name stands for one value everywhere",),
                help=f"give the parameter another name, such as `{_other(r, p.id)}`",
            )
        elif p.id not in read:
            r.sink.report(
                "SSM0219",
                f"the parameter `{p.id}` of `{d.name.id}` is never used",
                p.span,
                "not read",
                help="delete it",
            )
        seen.setdefault(p.id, p.span)


def _other(r: Resolver, name: str) -> str:
    return next(
        c for c in ("v", "w", "z", *(f"{name}_{i}" for i in range(1, len(r.scope.names) + 2))) if c not in r.scope.names
    )


def _edges(layer: Layer) -> dict[str, list[Ref]]:
    edges: dict[str, list[Ref]] = {}
    for v in layer.values.values():
        edges[v.name] = refs(v.node)
    for s in layer.states.values():
        edges[s.name] = refs(s.update)
    return edges


def _sources(layer: Layer) -> dict[str, str]:
    """The value each module's output is computed from."""
    return {o.name: m.input for m in layer.modules for o in m.outputs}


def check_circles(sink: Sink, layer: Layer, r: Resolver) -> None:
    """No value is defined in terms of itself at one token."""
    edges = {n: [x.name for x in rs if not x.offset] for n, rs in _edges(layer).items()}
    edges.update({n: [s] for n, s in _sources(layer).items()})
    for group in components(edges):
        if len(group) == 1 and group[0] not in edges[group[0]]:
            continue
        circle = _around(edges, group)
        named = [n for n in circle if n in r.scope.spans]
        if not named:
            continue
        first = min(named, key=lambda n: r.scope.spans[n].start)
        at = circle.index(first)
        turned = [*circle[at:], *circle[:at]]
        sink.report(
            "SSM0210",
            f"`{first}` is defined in terms of itself at the same token",
            r.scope.spans[first],
            "in a circle",
            secondary=tuple(Label(r.scope.spans[n], "through this") for n in turned[1:] if n in r.scope.spans),
            notes=("the circle is " + " -> ".join(n for n in [*turned, first] if n in r.scope.spans),),
            help="one of the references must be to the previous token: `prev(...)`",
        )


def _around(edges: dict[str, list[str]], group: tuple[str, ...]) -> list[str]:
    """One circle through a component."""
    inside = set(group)
    path = [min(group)]
    while True:
        following = next(n for n in edges[path[-1]] if n in inside)
        if following in path:
            return path[path.index(following) :]
        path.append(following)


def check_time(sink: Sink, layer: Layer, r: Resolver) -> None:
    """`prev` and `next` are of values that change in time, and each starts from one value."""
    first: dict[tuple[str, str], Offset] = {}
    for o in r.offsets:
        other = first.setdefault((o.name, o.word), o)
        if other.init is not o.init:
            starts = [x.span for x in (other, o)]
            sink.report(
                "SSM0222",
                f"`{o.name}` starts from two different values",
                max(starts),
                "another start",
                secondary=(Label(min(starts), "one start"),),
                notes=("without a second argument it starts from 0",),
                help=f"write the same starting value in every `{o.word}({o.name}, ...)`",
            )
        if layer.times[o.name] <= Time.PARAMETER and o.name in r.scope.spans:
            sink.report(
                "SSM0213",
                f"`{o.name}` does not change in time",
                o.target,
                "the same at every token",
                secondary=(Label(r.scope.spans[o.name], "defined here"),),
                help=f"write `{o.name}`, or `where(start, 0, {o.name})`",
            )


def check_result(sink: Sink, layer: Layer, r: Resolver, returned: ast.Return) -> None:
    """What the layer returns is computed from its input."""
    place = returned.value.span
    if layer.result in layer.inputs:
        sink.report(
            "SSM0229",
            f"the layer returns its input `{layer.result}` as it is",
            place,
            "computed from nothing else",
            help="return what the layer computes",
        )
        return
    reached = _reached(layer, [layer.result])
    if not any(n in layer.inputs for n in reached):
        first = next(iter(layer.inputs))
        known = layer.times[layer.result] <= Time.PARAMETER
        sink.report(
            "SSM0229",
            "the result does not depend on the layer's input",
            place,
            "the same for every input" if known else "no input reaches it",
            secondary=(Label(r.scope.spans[first], "the input"),),
            notes=("a layer returns a value for every token of every sequence in the batch",),
            help="return what the layer computes from its input",
        )


def _reached(layer: Layer, roots: list[str]) -> set[str]:
    edges, sources = _edges(layer), _sources(layer)
    reached: set[str] = set()
    pending = list(roots)
    while pending:
        name = pending.pop()
        if name not in reached:
            reached.add(name)
            pending.extend(x.name for x in edges.get(name, []))
            pending.extend(x.name for y in edges.get(name, []) if y.init is not None for x in refs(y.init))
            pending += [sources[name]] if name in sources else []
    return reached


def check_use(sink: Sink, layer: Layer, r: Resolver, spec: ast.Spec) -> None:
    """What is declared and never used: values, arguments, axes and definitions."""
    used = _reached(layer, [layer.result])
    for s in layer.splits.values():  # a part that nobody reads is still in the way
        names = {o.name for o in s.outputs}
        used |= names if names & used else set()
    inits = [p.init for p in layer.params.values()]
    used |= {x.name for i in inits for x in refs(i)}
    spelled = [n.id for n in nodes((spec.body, tuple(a.default for a in spec.args))) if isinstance(n, ast.Name)]
    counts: dict[str, int] = {}
    for n in spelled:
        counts[n] = counts.get(n, 0) + 1
    outputs = _sources(layer)
    for name, d in r.scope.names.items():
        if name in r.scope.mentioned:
            continue
        kind, help_ = _unused(name, d, used, counts, outputs)
        if kind is not None:
            sink.report(
                "SSM0219",
                f"{kind} `{name}` is never used" if kind != "`" else f"`{name}` does not reach the result",
                r.scope.spans[name],
                "never read" if kind != "`" else "computed and never used",
                notes=("a parameter without a gradient stops some trainers",) if name in layer.params else (),
                help=help_,
            )


def _unused(
    name: str, d: object, used: set[str], counts: dict[str, int], outputs: dict[str, str]
) -> tuple[str | None, str]:
    match d:
        case LayerArg():
            return ("the argument", "use it or delete it") if not counts.get(name) else (None, "")
        case ast.AxisDef():
            return ("the axis", "use it or delete it") if counts.get(name, 0) < 2 else (None, "")
        case ast.Def():
            return ("the definition", "call it or delete it") if counts.get(name, 0) < 2 else (None, "")
    if name in used:
        return None, ""
    return "`", "use it, or take it out of the module's outputs" if name in outputs else "use it or delete it"
