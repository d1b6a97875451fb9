"""Inputs, parameters, linears and convolutions: what the layer owns and is given."""

from __future__ import annotations

from ssmc.diagnostics.sink import Label
from ssmc.diagnostics.suggest import did_you_mean
from ssmc.ir import build as b
from ssmc.ir.expr import Const, Node, Ref
from ssmc.ir.layer import Conv, Input, LayerArg, Linear, Output, Param
from ssmc.sema.context import INIT, SIZE, VALUE, Refused
from ssmc.sema.scope import OutputOf
from ssmc.sema.values import Resolver
from ssmc.syntax import ast

OPTIONS = {"linear": ("bias", "weight"), "conv": ("width", "bias", "weight")}


def declare_input(r: Resolver, d: ast.Input) -> Input:
    """An `input`; its default is one number."""
    assert d.target.name is not None
    axes, _ = r.signature(d.target.name.id, d.span)
    default = None if d.default is None else r.lower(d.default, SIZE)
    if default is not None and not isinstance(default, Const):
        r.sink.report("SSM0216", "the default of an input is one number", d.default.span if d.default else d.span, "not a number")
        raise Refused
    return Input(d.target.name.id, axes, default, d.span)


def declare_param(r: Resolver, d: ast.Param) -> Param:
    """A `param`; without an initial value it starts at zero."""
    assert d.target.name is not None
    name = d.target.name.id
    axes, dtype = r.signature(name, d.span)
    init = r.lower_init(d.init, axes, b.ZERO, d.span) or b.ZERO
    if init.dtype == "complex" and dtype == "real":
        r.sink.report(
            "SSM0206", f"the initial value of `{name}` is complex, the parameter is real", d.init.span if d.init else d.span, "complex",
            secondary=(Label(d.target.span, "declared real"),), help=f"declare it complex: `param {name}[...] complex = ...`",
        )  # fmt: skip
        raise Refused
    bounds = None if d.range is None else (r.lower(d.range[0], SIZE), r.lower(d.range[1], SIZE))
    tags = {t.id for t in d.tags}
    return Param(name, axes, dtype, init, bounds, "no_decay" not in tags, "fixed" not in tags, d.alias or name, d.span)


def _options(r: Resolver, m: ast.Module) -> dict[str, ast.Option]:
    out: dict[str, ast.Option] = {}
    for o in m.options:
        if o.name.id not in OPTIONS[m.kind]:
            near = did_you_mean(o.name.id, OPTIONS[m.kind])
            r.sink.report(
                "SSM0215", f"a `{m.kind}` has no option `{o.name.id}`", o.span, "unexpected",
                help=f"did you mean `{near}`?" if near else "its options are " + ", ".join(f"`{k}`" for k in OPTIONS[m.kind]),
            )  # fmt: skip
            raise Refused
        out[o.name.id] = o
    return out


def _bias(r: Resolver, option: ast.Option | None, axes: tuple[str, ...]) -> tuple[bool | str, Node | None]:
    """Whether there is a bias (or the bool argument that says so), and its initial value."""
    if option is None:
        return False, None
    if option.value is None:
        return True, None
    decl = r.scope.names.get(option.value.id) if isinstance(option.value, ast.Name) else None
    if isinstance(decl, LayerArg) and decl.kind == "bool":
        return decl.name, None
    node = r.lower_init(option.value, axes, None, option.span)
    if isinstance(node, Const) and isinstance(node.value, bool):
        return node.value, None
    return True, node


def _weight(r: Resolver, option: ast.Option | None) -> Node | None:
    if option is None or option.value is None:
        return None
    r.draw_axes = ()
    node = r.lower(option.value, INIT)
    if node.axes:
        r.sink.report("SSM0215", "the initial weight is one expression for all entries", option.span, f"this has axes {r.show(node.axes)}")
        raise Refused
    return node


def _input_value(r: Resolver, m: ast.Module) -> str:
    """The name of the value a module reads; an expression becomes a value of its own."""
    if len(m.inputs) != 1:
        r.sink.report("SSM0215", f"a `{m.kind}` has one input, not {len(m.inputs)}", m.span, "declared here")
        raise Refused
    node = r.lower(m.inputs[0], VALUE)
    if node.dtype == "complex":
        r.sink.report("SSM0206", f"a `{m.kind}` needs real values", m.inputs[0].span, "this is complex", help="take `re(...)` first")
        raise Refused
    if not node.axes:
        r.sink.report("SSM0215", f"the input of a `{m.kind}` has no axis to work on", m.inputs[0].span, "a single number a token")
        raise Refused
    if isinstance(node, Ref) and node.offset == 0:
        return node.name
    return r.add_anonymous(f"{m.name.id}_in", node, m.inputs[0].span)


def declare_linear(r: Resolver, m: ast.Module) -> Linear:
    """A `linear`."""
    options = _options(r, m)
    outputs = []
    for o in m.outputs:
        name = o.name or m.name
        decl = r.scope.names.get(name.id)
        if not isinstance(decl, OutputOf) or decl.target is not o:
            raise Refused
        axes, _ = r.signature(name.id, o.span)
        outputs.append(Output(name.id, axes))
    if not outputs:
        r.sink.report("SSM0215", "a `linear` names its outputs", m.span, "no `->` here", help=f"write `linear {m.name.id}(x -> y[N])`")
        raise Refused
    one = outputs[0].axes if len(outputs) == 1 else ()
    bias, bias_init = _bias(r, options.get("bias"), one)
    weight = _weight(r, options.get("weight"))
    return Linear(m.name.id, _input_value(r, m), tuple(outputs), bias, weight, bias_init, m.alias or m.name.id, m.span)


def declare_conv(r: Resolver, m: ast.Module) -> Conv:
    """A `conv`: depthwise, causal, over time."""
    options = _options(r, m)
    if "width" not in options or options["width"].value is None:
        r.sink.report("SSM0215", "a `conv` needs its width", m.span, "no `width =` here", help="write `width = 4`")
        raise Refused
    width = r.lower(options["width"].value, SIZE)
    source = _input_value(r, m)
    out = m.outputs[0].name if m.outputs and m.outputs[0].name else m.name
    axes, _ = r.signature(out.id, m.span)
    node_axes = r.table.atoms(r.signature(source, m.span)[0]) if source in r.scope.names else r.values[source].node.axes
    if r.table.atoms(axes) != node_axes:
        r.sink.report(
            "SSM0214", "a `conv` is depthwise: its output has the axes of its input", m.span,
            f"the input has axes {r.show(node_axes)}, the output {r.show(axes)}",
        )  # fmt: skip
        raise Refused
    bias, bias_init = _bias(r, options.get("bias"), axes)
    return Conv(
        m.name.id, source, Output(out.id, axes), width, bias, _weight(r, options.get("weight")), bias_init, m.alias or m.name.id, m.span
    )
