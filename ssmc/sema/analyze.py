"""Spec -> Layer: the one entry of this room. All errors of the phase are reported before it gives up."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from typing import TypeVar

from ssmc.diagnostics.sink import Sink
from ssmc.diagnostics.span import Source, Span
from ssmc.ir.expr import Ref
from ssmc.ir.layer import Conv, Input, Layer, LayerArg, Linear, Param
from ssmc.sema import arguments, checks, conditions, growth, modules, parameters, states
from ssmc.sema.binding import binding_times
from ssmc.sema.context import VALUE, Refused
from ssmc.sema.scope import Scope, Setting, equation_order, nodes
from ssmc.sema.values import Resolver
from ssmc.sema.widths import check_widths
from ssmc.sema.words import SPECTRAL
from ssmc.syntax import ast

D = TypeVar("D")


def analyze(spec: ast.Spec, source: Source, settings: Mapping[str, Setting], sink: Sink) -> Layer | None:
    """The checked layer of a spec; None if the sink holds errors."""
    complex_values: set[str] = set()
    while True:
        attempt = Sink()
        layer, found = _attempt(spec, source, settings, attempt, complex_values)
        if found <= complex_values:
            break
        complex_values |= found
    sink.items.extend(attempt.items)
    return None if attempt.failed else layer


def _attempt(
    spec: ast.Spec, source: Source, settings: Mapping[str, Setting], sink: Sink, complex_values: set[str]
) -> tuple[Layer | None, set[str]]:
    """One pass, taking the values of the given names as complex; returns those that turned out to be."""
    r = Resolver(Scope(sink, dict(settings)), sink, complex_states=set(complex_values))
    arguments.unknown_settings(sink, spec, settings)
    args = arguments.declare(r, spec.args, settings)
    r.scope.collect(spec.body, partial(conditions.decide, r.scope))
    _axes_in_expressions(r, spec.body)
    r.declare_axes()
    checks.check_defs(r)
    for name in equation_order(r.scope):
        _attempted(partial(r.signature, name, r.scope.spans[name]))

    inputs: dict[str, Input] = {}
    params: dict[str, Param] = {}
    linears: dict[str, Linear] = {}
    convs: dict[str, Conv] = {}
    for name, d in r.scope.names.items():
        match d:
            case ast.Input():
                _keep(inputs, name, partial(modules.declare_input, r, d))
            case ast.Param():
                _keep(params, name, partial(parameters.declare_param, r, d))
            case ast.State():
                _attempted(partial(states.lower_state, r, d))
    for name, m in r.scope.modules.items():
        if m.kind == "linear":
            _keep(linears, name, partial(modules.declare_linear, r, m))
        else:
            _keep(convs, name, partial(modules.declare_conv, r, m))
    for name in r.scope.names:
        _attempted(partial(_touch, r, name))
    parameters.check_initial_circles(r, params)
    result = _result(r)
    checks.check_inputs(sink, spec, inputs, r)
    if sink.failed or result is None or not r.complex_states <= complex_values:  # the last: a guess was wrong
        return None, r.complex_states
    fixed = tuple(replace(a, fixed=_fixed(r.scope, a)) for a in args)
    order = {name: i for i, name in enumerate(r.scope.names)}
    values = dict(sorted(r.values.items(), key=lambda kv: (order.get(kv[0], len(order)), kv[1].span.start)))
    layer = Layer(
        spec.name.id,
        spec.doc,
        source,
        fixed,
        r.table,
        inputs,
        params,
        linears,
        convs,
        values,
        r.states,
        result,
        {},
        spec.span,
        r.splits,
    )
    growth.check_layer(sink, layer, r.scope.spans)
    if sink.failed:
        return None, r.complex_states
    layer = replace(layer, times=binding_times(layer))
    _check(sink, layer, r, spec)
    return layer, r.complex_states


def _check(sink: Sink, layer: Layer, r: Resolver, spec: ast.Spec) -> None:
    """What needs the whole layer."""
    checks.check_circles(sink, layer, r)
    checks.check_time(sink, layer, r)
    if not sink.failed:
        checks.check_result(sink, layer, r, r.scope.returns[-1])
    named = [d for d in r.scope.names.values() if isinstance(d, ast.Param) and d.target.name]
    owned: list[tuple[parameters.Owned, ast.Param | ast.Module]] = [
        (layer.params[d.target.name.id], d) for d in named if d.target.name and d.target.name.id in layer.params
    ]
    both: dict[str, Linear | Conv] = {**layer.linears, **layer.convs}
    owned += [(both[name], m) for name, m in r.scope.modules.items()]
    parameters.check_keys(sink, sorted(owned, key=lambda x: x[1].span.start), layer.source.text)
    if not sink.failed:
        checks.check_use(sink, layer, r, spec)
        check_widths(sink, layer, r, r.scope)


def _fixed(scope: Scope, a: LayerArg) -> Setting | None:
    if a.kind in ("bool", "choice"):
        return scope.structural.get(a.name)
    return a.fixed


def _keep(into: dict[str, D], name: str, make: Callable[[], D]) -> None:
    try:
        into[name] = make()
    except Refused:
        return


def _attempted(do: Callable[[], object]) -> None:
    try:
        do()
    except Refused:
        return


def _touch(r: Resolver, name: str) -> None:
    """Lower whatever nobody has asked for yet, so that its errors are reported too."""
    if not isinstance(r.scope.names[name], LayerArg | ast.AxisDef | ast.Def):
        r.signature(name, Span(0, 0))


def _result(r: Resolver) -> str | None:
    if not r.scope.returns:
        return None
    e = r.scope.returns[-1].value
    try:
        node = r.lower(e, VALUE)
    except Refused:
        return None
    if node.dtype == "complex":
        r.sink.report("SSM0206", "the layer returns a complex value", e.span, "complex", help="return `re(...)` of it")
        return None
    if node.dtype == "bool":
        r.sink.report(
            "SSM0228", "the layer returns a condition", e.span, "true or false", help="write `where(condition, 1, 0)`"
        )
        return None
    if isinstance(node, Ref) and node.offset == 0:
        return node.name
    return r.add_anonymous("result", node, e.span)


def _axes_in_expressions(r: Resolver, statements: tuple[ast.Statement, ...]) -> None:
    """Note every axis that an expression names, in a reduction, a renaming or an index: it is seen by itself."""
    for x in nodes(statements):
        match x:
            case ast.Call():
                r.scope.axes_used.update(a.id for a in x.axes or ())
                if x.func.id == "index" or x.func.id in SPECTRAL:
                    r.scope.axes_used.update(a.id for a in x.args if isinstance(a, ast.Name))
            case ast.Rename():
                r.scope.axes_used.update(n.id for pair in x.pairs for n in pair)
