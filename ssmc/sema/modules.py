"""Inputs, linears and convolutions: what the layer is given and what it calls."""

from __future__ import annotations

from ssmc.diagnostics.sink import Edit, Label
from ssmc.diagnostics.span import Span
from ssmc.diagnostics.suggest import did_you_mean
from ssmc.ir.expr import Const, Node, Ref
from ssmc.ir.keys import default_key
from ssmc.ir.layer import Conv, Input, LayerArg, Linear, Output
from ssmc.sema import sizes
from ssmc.sema.context import INIT, SIZE, VALUE, Refused
from ssmc.sema.initial import lower_init
from ssmc.sema.scope import OutputOf
from ssmc.sema.values import Resolver
from ssmc.syntax import ast
from ssmc.syntax.unparse import expression

OPTIONS = {"linear": ("bias", "weight"), "conv": ("width", "bias", "weight")}
USAGE = {"bias": "bias = true", "weight": "weight = uniform(-1, 1)", "width": "width = 4"}


def declare_input(r: Resolver, d: ast.Input) -> Input:
    """An `input`; its default is one number."""
    assert d.target.name is not None
    axes, _ = r.signature(d.target.name.id, d.span)
    default = None if d.default is None else r.lower(d.default, SIZE)
    if (
        default is not None
        and d.default is not None
        and (not isinstance(default, Const) or isinstance(default.value, bool))
    ):
        r.sink.report(
            "SSM0216",
            "the default of an input is one number",
            d.default.span,
            "not a number",
            help="write 0 for false and 1 for true"
            if default.dtype == "bool"
            else "write the number itself, such as `= 0`",
        )
        raise Refused
    return Input(d.target.name.id, axes, default, d.span)


def _options(r: Resolver, m: ast.Module) -> dict[str, ast.Option]:
    out: dict[str, ast.Option] = {}
    for o in m.options:
        if o.name.id not in OPTIONS[m.kind]:
            near = did_you_mean(o.name.id, OPTIONS[m.kind])
            r.sink.report(
                "SSM0215",
                f"a `{m.kind}` has no option `{o.name.id}`",
                o.name.span,
                "unexpected",
                help=f"did you mean `{near}`?"
                if near
                else "its options are " + ", ".join(f"`{k}`" for k in OPTIONS[m.kind]),
                edit=Edit(o.name.span, near) if near else None,
            )
            raise Refused
        if o.name.id in out:
            r.sink.report(
                "SSM0215",
                f"the option `{o.name.id}` is given twice",
                o.span,
                "again here",
                secondary=(Label(out[o.name.id].span, "first here"),),
                help="remove one of them",
            )
            raise Refused
        if o.value is None and o.name.id != "bias":
            r.sink.report(
                "SSM0215",
                f"the option `{o.name.id}` has no value",
                o.span,
                "no value",
                help=f"write `{USAGE[o.name.id]}`",
            )
            raise Refused
        out[o.name.id] = o
    return out


def _bias(
    r: Resolver, option: ast.Option | None, outputs: tuple[ast.Typed, ...], axes: tuple[str, ...]
) -> tuple[bool | str, Node | None]:
    """Whether there is a bias (or the bool argument that says so), and its initial value."""
    if option is None:
        return False, None
    if option.value is None:
        return True, None
    decl = r.scope.names.get(option.value.id) if isinstance(option.value, ast.Name) else None
    if isinstance(decl, LayerArg) and decl.kind == "bool":
        return decl.name, None
    target = outputs[0].span if outputs else option.span
    node = lower_init(r, option.value, axes, None, "the bias", target)
    if isinstance(node, Const) and isinstance(node.value, bool):
        return node.value, None
    if node is not None and node.dtype != "real":
        r.sink.report(
            "SSM0215",
            "a bias is `true`, `false`, a `bool` argument or an initial value",
            option.value.span,
            f"this is {node.dtype}",
        )
        raise Refused
    if len(outputs) > 1:
        r.sink.report(
            "SSM0215",
            "the initial bias of several outputs is not one value",
            option.span,
            "for which output?",
            notes=("it is the bias of " + ", ".join(f"`{o.name.id}`" for o in outputs if o.name),),
            help="give the output with this bias a `linear` of its own, or write `bias = true`",
        )
        raise Refused
    return True, node


def _weight(r: Resolver, option: ast.Option | None) -> Node | None:
    if option is None or option.value is None:
        return None
    r.draw_axes = ()
    node = r.lower(option.value, INIT)
    if node.axes or node.dtype != "real":
        shown = f"this has axes {r.show(node.axes)}" if node.axes else f"this is {node.dtype}"
        r.sink.report("SSM0215", "the initial weight is one real expression for all entries", option.value.span, shown)
        raise Refused
    return node


def _input_value(r: Resolver, m: ast.Module) -> str:
    """The name of the value a module reads; an expression becomes a value of its own."""
    if len(m.inputs) != 1:
        r.sink.report(
            "SSM0215",
            f"a `{m.kind}` has one input, not {len(m.inputs)}",
            m.inputs[0].span.to(m.inputs[-1].span),
            f"{len(m.inputs)} inputs",
            help="add the outputs of two `linear`s" if m.kind == "linear" else "write one `conv` for each",
        )
        raise Refused
    written = m.inputs[0]
    node = r.lower(written, VALUE)
    if node.dtype != "real":
        advice = "take `re(...)` first" if node.dtype == "complex" else "write `where(condition, 1, 0)`"
        code, shown = ("SSM0206", "this is complex") if node.dtype == "complex" else ("SSM0228", "true or false")
        r.sink.report(code, f"a `{m.kind}` needs real values", written.span, shown, help=advice)
        raise Refused
    if not node.axes:
        r.sink.report(
            "SSM0215",
            f"the input of a `{m.kind}` has no axis to work on",
            written.span,
            "a single number a token",
            help="give it an axis of size 1: `axis One = 1`",
        )
        raise Refused
    if r.timeless(node):
        r.sink.report(
            "SSM0215",
            f"the input of a `{m.kind}` does not change in time",
            written.span,
            "the same at every token",
            help="write the product with a `param`: `sum[N](W * ...)`",
        )
        raise Refused
    if isinstance(node, Ref) and node.offset == 0:
        return node.name
    return r.add_anonymous(f"{m.name.id}_in", node, written.span)


def declare_linear(r: Resolver, m: ast.Module) -> Linear:
    """A `linear`."""
    options = _options(r, m)
    if not m.outputs:
        r.sink.report(
            "SSM0215",
            "a `linear` names its outputs",
            m.name.span,
            "no `->` here",
            help=f"write `linear {m.name.id}(x -> y[N])`",
        )
        raise Refused
    unnamed = [o for o in m.outputs if o.name is None]
    if unnamed and len(m.outputs) > 1:
        r.sink.report(
            "SSM0215",
            "one of several outputs has no name",
            unnamed[0].span,
            "no name here",
            help=f"write `y{r.show(_written(unnamed[0]))}`",
        )
        raise Refused
    outputs = []
    for o in m.outputs:
        name = o.name or m.name
        decl = r.scope.names.get(name.id)
        if not isinstance(decl, OutputOf) or decl.target is not o:
            raise Refused
        axes, _ = r.signature(name.id, o.span)
        outputs.append(Output(name.id, axes))
    one = outputs[0].axes if len(outputs) == 1 else ()
    bias, bias_init = _bias(r, options.get("bias"), m.outputs, one)
    weight = _weight(r, options.get("weight"))
    return Linear(
        m.name.id,
        _input_value(r, m),
        tuple(outputs),
        bias,
        weight,
        bias_init,
        m.alias or default_key(m.name.id, r.scope.names),
        m.span,
    )


def _written(o: ast.Typed) -> tuple[str, ...]:
    return tuple(a.id for a in o.axes or ())


def declare_conv(r: Resolver, m: ast.Module) -> Conv:
    """A `conv`: depthwise, causal, over time."""
    options = _options(r, m)
    if "width" not in options:
        r.sink.report(
            "SSM0215",
            "a `conv` needs its width",
            m.name.span,
            "no `width =`",
            help="write `width = 4` among its options",
        )
        raise Refused
    if len(m.outputs) > 1:
        r.sink.report(
            "SSM0215",
            "a `conv` has one output",
            m.outputs[0].span.to(m.outputs[-1].span),
            f"{len(m.outputs)} outputs",
            notes=("it is depthwise: its output has the axes of its input",),
            help=f"write `conv {m.name.id}(x, width = 4)`",
        )
        raise Refused
    width = _width(r, options["width"])
    source = _input_value(r, m)
    out = m.outputs[0].name if m.outputs and m.outputs[0].name else m.name
    decl = r.scope.names.get(out.id)
    if not isinstance(decl, OutputOf) or decl.module is not m:
        raise Refused
    axes, _ = r.signature(out.id, m.span)
    given = r.signature(source, m.span)[0] if source in r.scope.names else r.values[source].axes
    if r.table.atoms(axes) != r.table.atoms(given):
        r.sink.report(
            "SSM0214",
            "a `conv` is depthwise: its output has the axes of its input",
            m.outputs[0].span,
            f"the output has axes {r.show(axes)}",
            secondary=(Label(m.inputs[0].span, f"the input has axes {r.show(given)}"),),
            help=f"write `conv {m.name.id}({expression(m.inputs[0])}, ...)`",
        )
        raise Refused
    bias, bias_init = _bias(r, options.get("bias"), m.outputs, axes)
    return Conv(
        m.name.id,
        source,
        Output(out.id, axes),
        width,
        bias,
        _weight(r, options.get("weight")),
        bias_init,
        m.alias or default_key(m.name.id, r.scope.names),
        m.span,
    )


def _width(r: Resolver, option: ast.Option) -> Node:
    """The number of taps: a positive whole number, as far as is known."""
    assert option.value is not None
    place: Span = option.value.span
    width = r.lower(option.value, SIZE)
    value = sizes.value(width, r.scope, r.table)
    if width.dtype != "real" or (value is not None and (value < 1 or value.denominator != 1)):
        shown = "not a number" if value is None else f"this is {sizes.shown(value)}"
        r.sink.report(
            "SSM0215", "the width of a `conv` is a positive whole number", place, shown, help="write `width = 4`"
        )
        raise Refused
    return width
