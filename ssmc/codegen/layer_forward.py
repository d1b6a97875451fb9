"""The statements of a layer's forward, region by region."""

from __future__ import annotations

from ssmc.codegen.layer_text import LayerText
from ssmc.codegen.outside import expression, timeless
from ssmc.diagnostics.span import Span
from ssmc.ir.layer import Conv, Layer, Linear, Output, Split
from ssmc.ir.regions import Delay, Region


def forward_lines(t: LayerText, has_state: bool) -> tuple[str, ...]:
    """The statements of forward, region by region."""
    out: list[str] = []
    wide = set(t.partition.fine)
    if t.partition.uses_position:
        t_name, position, first = t.locals("t"), t.locals("position"), t.locals(next(iter(t.layer.inputs)))
        seen = position if has_state else "None"
        out.append(f"{t_name}, {position} = _positions({seen}, {first}, cu_seqlens)")
    for region in t.partition.regions:
        if region.name in t.norms.absorbed:
            continue
        out += _region(t, region, wide, has_state)
    if (result := t.layer.result) in wide and t.is_real(result):
        out.append(f"{t.locals(result)} = {_narrow(t, result, wide)}")
    return tuple(out)


def _narrow(t: LayerText, name: str, wide: set[str]) -> str:
    """A value as modules take it and the layer returns it: in the activations' dtype, whatever sums are kept in."""
    return t.locals(name) + (f".to({t.locals(next(iter(t.layer.inputs)))}.dtype)" if name in wide else "")


def _region(t: LayerText, region: Region, wide: set[str], has_state: bool) -> list[str]:
    layer, p = t.layer, t.partition
    match region.kind:
        case "linear":
            return _linear(t, layer.linears[region.name], wide)
        case "conv":
            return _conv(t, layer.convs[region.name], has_state, wide)
        case "split":
            return _split(t, layer.splits[region.name])
        case "op":
            return _op(t, region.name, has_state, wide)
        case "delay":
            d = p.delays[region.name]
            if d.of in wide:
                wide.add(d.name)
            field, value = t.locals(f"{d.name}:last"), t.locals(d.of)
            if not t.streams(d.of):  # the same at every token, but not before the first
                first, rest = t.locals(next(iter(layer.inputs))), "".join(", -1" for _ in d.axes)
                value = f"{value}.expand(*{first}.shape[:2]{rest})"
            if d.offset > 0:
                return [
                    f"{t.locals(d.name)} = _following({value}, {_init_code(t, d)}, cu_seqlens)  # {t.comment(d.span)}"
                ]
            kept = d.name in p.kept  # else it begins where the op of the state began
            start = "None" if not has_state else field if kept else t.locals(f"{d.of}:before")
            call = f"_previous({value}, {start}, {_init_code(t, d)}, cu_seqlens)"
            left = f"{t.locals(d.name)}, {field} = {call}" if kept else f"{t.locals(d.name)} = {call}[0]"
            return [f"{left}  # {t.comment(d.span)}"]
    own = p.definitions[region.name]
    return [f"{t.locals(own.name)} = {expression(t, own, wide)}  # {t.comment(own.span)}"]


def _init_code(t: LayerText, d: Delay) -> str:
    """What a delay reads beyond the edge of a sequence."""
    return "0" if d.init is None else timeless(t, d.init, d.axes, t.locals(next(iter(t.layer.inputs))))


def _linear(t: LayerText, m: Linear, wide: set[str]) -> list[str]:
    dims = t.dims_of(m.input)
    value = _narrow(t, m.input, wide) + (".flatten(2)" if len(dims) > 1 else "")
    biased = m.bias is True or (m.bias and m.input in _slices(t.layer))
    call = f"_linear({t.path(m.key)}, {value})" if biased else f"{t.path(m.key)}({value})"
    joined = any(x.beside in [o.name for o in m.outputs] for x in t.meetings.values() if x.beside)
    return _parts(t, call, m.outputs, 0, m.span, joined)


def _slices(layer: Layer) -> set[str]:
    """The values that stand beside others in one tensor."""
    outputs = [m.outputs for m in layer.linears.values()] + [m.outputs for m in layer.splits.values()]
    return {o.name for many in outputs for o in many if len(many) > 1}


def _split(t: LayerText, m: Split) -> list[str]:
    return _parts(t, t.locals(m.input), m.outputs, len(t.dims_of(m.input)) - 1, m.span)


def _parts(
    t: LayerText, code: str, outputs: tuple[Output, ...], lead: int, span: Span, joined: bool = False
) -> list[str]:
    """The outputs stand one after the other along the last dimension; the first `lead` dimensions are theirs too. If
    they are `joined`, their gradients may lie in one tensor."""
    names = [t.locals(o.name) for o in outputs]
    where = f"  # {t.comment(span)}"
    lines = []
    if len(outputs) > 1:
        sizes = ", ".join(" * ".join(t.size_attribute(a) for a in o.axes[lead:]) or "1" for o in outputs)
        split = f"_split({code}, [{sizes}])" if joined else f"{code}.split([{sizes}], -1)"
        lines.append(f"{', '.join(names)} = {split}{where}")
    else:
        lines.append(f"{names[0]} = {code}{where}")
    for o, n in zip(outputs, names, strict=True):
        if len(o.axes) > lead + 1:
            lines.append(f"{n} = {n}.unflatten(-1, ({t.shape(o.axes[lead:])}))")
        elif len(o.axes) == lead:
            lines.append(f"{n} = {n}.squeeze(-1)")
    return lines


def _conv(t: LayerText, c: Conv, has_state: bool, wide: set[str]) -> list[str]:
    dims = t.dims_of(c.input)
    value = _narrow(t, c.input, wide) + (".flatten(2)" if len(dims) > 1 else "")
    taps, result = t.locals(f"{c.name}:taps"), _result(t, c)
    name, again = t.locals(result), t.locals(f"{result}:again")
    flat = f"None if {taps} is None else {taps}.flatten(2)" if len(dims) > 1 else taps
    given = flat if has_state else "None"
    op = t.convs[c.name]
    step, place = (f"_ops.{op}_step, ", ", inplace") if has_state else ("", "")
    call = f"_ops.{op}, {step}_{op}_activation, {t.path(c.key)}, {value}, {given}, cu_seqlens{place}"
    meeting, made = t.meetings.get(c.name), [name, taps]
    if meeting is None:
        head = f"{name}, {taps} = _conv({call})"
    else:
        beside = t.locals(meeting.beside) if meeting.beside else "None"
        made += [again] if meeting.reader else []
        left = f"{name}, {again if meeting.reader else '_'}, {taps}, {beside if meeting.beside else '_'}"
        head = f"{left} = _conv_meeting((_ops.{op}_backward, _{op}_triton_backward), {beside}, {call})"
    lines = [f"{head}  # {t.comment(c.span)}"]
    if len(dims) > 1:
        lines += [f"{v} = {v}.unflatten(-1, ({t.shape(dims)}))" for v in made]
    return lines


def _result(t: LayerText, c: Conv) -> str:
    """The value that a convolution gives, with its activation."""
    return t.partition.activations.get(c.name, c.output.name)


def _op(t: LayerText, name: str, has_state: bool, wide: set[str]) -> list[str]:
    o = t.ops[name]
    layer = t.layer
    args = []
    again = [_result(t, layer.convs[c]) for c, m in t.meetings.items() if m.reader == name]
    for x in o.r.operands:
        given = f"{x.name}:again" if x.name in again else x.name
        value = t.parameter(layer.params[x.name]) if x.name in layer.params else t.locals(given)
        args.append(f"{o.names(x.name)}={value}")
    for s in o.scalars:
        args.append(f"{s.name}={f'self.{t.arg_names[s.argument]}' if s.argument else t.size_attribute(s.axis)}")
    states = [t.locals(f"{c.of}:last") for c in o.r.carried]
    results = [t.locals(r) for r in o.r.results]
    left = results[0] if len(results) == 1 else f"({', '.join(results)})"
    last = states[0] if len(states) == 1 else f"({', '.join(states)})"
    given = "None" if not has_state else last if len(states) == 1 else f"None if state is None else {last}"
    head, wanted, after = f"{left}, {last} = {o.op}(", "True", []
    if o.program.filter is not None:  # the last state is work of its own there: only if it is asked for
        both = t.locals(f"{name}:both") if has_state else left
        head, wanted = f"{both} = {o.op}(", "return_state" if has_state else "False"
        after = [f"{left}, {last} = {both} if return_state else ({both}, {last})"] if has_state else []
    lines = [
        head,
        *(f"    {a}," for a in args),
        f"    initial_state={given},",
        f"    return_state={wanted},",
        "    cu_seqlens=cu_seqlens,",
        *(["    inplace=inplace,"] if has_state else []),
        f")  # {t.comment(o.r.span)}",
    ]
    late = {d.of for n, d in t.partition.delays.items() if n not in t.partition.kept}
    before = [(t.locals(f"{c.of}:before"), t.locals(f"{c.of}:last")) for c in o.r.carried if c.of in late and has_state]
    saved = [f"{b} = {v}.clone() if inplace else {v}  # the state that a later line reads too" for b, v in before]
    out = [*saved, "\n".join(lines), *after]
    if any(x.name in wide and not x.wide for x in o.r.operands):  # results are as wide as what streams in
        like = t.locals(next(iter(layer.inputs)))
        narrow = [(r, d) for r, d in zip(results, o.r.results, strict=True) if d not in o.r.fine and t.is_real(d)]
        out += [f"{r} = {r}.to({like}.dtype)" for r, _ in narrow]
    return out
