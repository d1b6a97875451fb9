"""Spec -> Layer: the one entry of this room. All errors of the phase are reported before it gives up."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import TypeVar

from ssmc.diagnostics.sink import Sink
from ssmc.diagnostics.span import Source, Span
from ssmc.ir.expr import Ref
from ssmc.ir.layer import Conv, Input, Layer, LayerArg, Linear, Param
from ssmc.sema import arguments, checks, modules
from ssmc.sema.binding import binding_times
from ssmc.sema.context import VALUE, Refused
from ssmc.sema.scope import Scope, Setting
from ssmc.sema.values import Resolver
from ssmc.syntax import ast

D = TypeVar("D")


def analyze(spec: ast.Spec, source: Source, settings: Mapping[str, Setting], sink: Sink) -> Layer | None:
    """The checked layer of a spec; None if the sink holds errors."""
    complex_states: set[str] = set()
    while True:
        attempt = Sink()
        layer, found = _attempt(spec, source, settings, attempt, complex_states)
        if found == complex_states:
            break
        complex_states = found
    sink.items.extend(attempt.items)
    return None if attempt.failed else layer


def _attempt(
    spec: ast.Spec, source: Source, settings: Mapping[str, Setting], sink: Sink, complex_states: set[str]
) -> tuple[Layer | None, set[str]]:
    """One pass, taking the states of the given names as complex; returns those that turned out to be."""
    r = Resolver(Scope(sink, dict(settings)), sink, complex_states=set(complex_states))
    arguments.unknown_settings(sink, spec, settings)
    args = arguments.declare(r, spec.args, settings)
    r.scope.collect(spec.body)
    _axes_in_expressions(r, spec.body)
    r.declare_axes()

    inputs: dict[str, Input] = {}
    params: dict[str, Param] = {}
    linears: dict[str, Linear] = {}
    convs: dict[str, Conv] = {}
    for name, d in r.scope.names.items():
        match d:
            case ast.Input():
                _keep(inputs, name, lambda d=d: modules.declare_input(r, d))  # type: ignore[misc]
            case ast.Param():
                _keep(params, name, lambda d=d: modules.declare_param(r, d))  # type: ignore[misc]
            case ast.State():
                _attempted(lambda d=d: r.lower_state(d))  # type: ignore[misc]
    for name, m in r.scope.modules.items():
        if m.kind == "linear":
            _keep(linears, name, lambda m=m: modules.declare_linear(r, m))  # type: ignore[misc]
        else:
            _keep(convs, name, lambda m=m: modules.declare_conv(r, m))  # type: ignore[misc]
    for name in r.scope.names:
        _attempted(lambda name=name: _touch(r, name))  # type: ignore[misc]
    result = _result(r)
    checks.check_inputs(sink, spec, inputs)
    if sink.failed or result is None:
        return None, r.complex_states
    fixed = tuple(replace(a, fixed=_fixed(r.scope, a)) for a in args)
    doc, layer_name = spec.doc, spec.name.id
    order = {name: i for i, name in enumerate(r.scope.names)}
    values = dict(sorted(r.values.items(), key=lambda kv: (order.get(kv[0], len(order)), kv[1].span.start)))
    layer = Layer(
        layer_name, doc, source, fixed, r.table, inputs, params, linears, convs, values, r.states, result, {}, spec.span
    )  # fmt: skip
    layer = replace(layer, times=binding_times(layer))
    checks.check_layer(sink, layer, r)
    return layer, r.complex_states


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
        if node.dtype == "complex":
            r.sink.report("SSM0206", "the layer returns a complex value", e.span, "complex", help="return `re(...)` of it")
            return None
    except Refused:
        return None
    if isinstance(node, Ref) and node.offset == 0:
        return node.name
    return r.add_anonymous("result", node, e.span)


def _axes_in_expressions(r: Resolver, statements: tuple[ast.Statement, ...]) -> None:
    """Note every axis that an expression names, in a reduction, a renaming or an index: such an axis is seen by itself."""

    def visit(x: object) -> None:
        match x:
            case ast.Call():
                r.scope.axes_used.update(a.id for a in x.axes or ())
                if x.func.id in ("index", "hippo_diagonal"):
                    r.scope.axes_used.update(a.id for a in x.args if isinstance(a, ast.Name))
            case ast.Rename():
                r.scope.axes_used.update(n.id for pair in x.pairs for n in pair)
        if hasattr(x, "__dataclass_fields__"):
            for f in x.__dataclass_fields__:
                visit(getattr(x, f))
        elif isinstance(x, tuple):
            for y in x:
                visit(y)

    visit(statements)
