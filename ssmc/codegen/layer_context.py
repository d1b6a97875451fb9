"""The holes of `templates/torch/layer.py.jinja`."""

from __future__ import annotations

from dataclasses import dataclass

from ssmc.codegen.layer_text import LayerText
from ssmc.codegen.names import Names
from ssmc.codegen.outside import expression, timeless
from ssmc.ir.layer import Conv, LayerArg, Linear
from ssmc.ir.regions import Delay, Region


@dataclass(frozen=True, slots=True)
class StateField:
    """A field of the layer's state: its name, its variable in forward, the code of its start, its meaning."""

    name: str
    local: str
    start: str
    meaning: str


@dataclass(frozen=True, slots=True)
class Check:
    """An argument and what it was fixed to when the file was generated, or the words it may be."""

    name: str
    value: str
    setting: str


@dataclass(frozen=True, slots=True)
class LayerContext:
    """The module."""

    name: str
    spec: str
    title: str
    doc: tuple[str, ...]
    arguments: str
    defaults: tuple[tuple[str, str], ...]
    stored: tuple[tuple[str, str], ...]
    fixed: tuple[Check, ...]
    words: tuple[Check, ...]
    sizes: tuple[str, ...]
    positive: tuple[tuple[str, str], ...]
    owned: tuple[str, ...]
    children: tuple[str, ...]
    probe: str
    initial: tuple[str, ...]
    first: str
    first_axes: str
    first_shape: str
    inputs: tuple[tuple[str, str, str, str], ...]
    input_keywords: str
    input_step: str
    has_state: bool
    fields: tuple[StateField, ...]
    n_fields: int
    field_locals: str
    forward: tuple[str, ...]
    result: str


def layer_context(t: LayerText, flags: tuple[LayerArg, ...] = ()) -> LayerContext:
    """The context of the module; `flags` are the structural arguments that `__init__` decides."""
    layer = t.layer
    first, *others = layer.inputs.values()
    title, *doc = map(_in_quotes, layer.doc.strip().split("\n"))
    fixed = [a for a in layer.args if a.fixed is not None and a not in flags]
    chosen = [a for a in layer.args if a.choices and a not in fixed]
    fields = _fields(t)
    has_state = not any(o.r.reverse for o in t.ops.values()) and all(d.offset <= 0 for d in t.partition.delays.values())
    defaults = [
        (t.arg_names[a.name], t.init_python(a.default))
        for a in layer.args
        if a.default is not None and t.argument(a).endswith("=None")
    ]
    inputs = []
    for i in others:
        default = "None" if i.default is not None else ""
        value = t.python(i.default) if i.default is not None else ""
        inputs.append((t.locals(i.name), default, value, t.shape(i.axes)))
    return LayerContext(
        name=layer.name,
        spec=t.spec,
        title=title,
        doc=tuple(doc),
        arguments="".join(f"{t.argument(a)}, " for a in sorted(layer.args, key=lambda a: "=" in t.argument(a))),
        defaults=tuple(defaults),
        stored=tuple((f"self.{n}", n) for n in t.arg_names.values()),
        fixed=tuple(Check(t.arg_names[a.name], repr(a.fixed), a.name) for a in fixed),
        words=tuple(Check(t.arg_names[a.name], repr(a.choices), a.name) for a in chosen),
        sizes=t.sizes(),
        positive=tuple((a, t.size_attribute(a).removeprefix("self.")) for a in layer.axes.axes),
        owned=tuple(_owned(t)),
        children=tuple(f"{t.path(m.key)}.reset_parameters()" for m in layer.modules),
        probe=_probe(t),
        initial=t.initial(),
        first=t.locals(first.name),
        first_axes="".join(f", {a}" for a in first.axes),
        first_shape=", ".join(t.size_attribute(a) for a in first.axes),
        inputs=tuple(inputs),
        input_keywords="".join(f", {n}={d}" if d else f", {n}" for n, d, _, _ in inputs),
        input_step="".join(f", {n}=None if {n} is None else {n}[:, None]" for n, _, _, _ in inputs),
        has_state=has_state and bool(fields),
        fields=tuple(fields),
        n_fields=len(fields),
        field_locals=", ".join(f.local for f in fields) + ("," if len(fields) == 1 else ""),
        forward=_forward(t, has_state and bool(fields)),
        result=t.locals(layer.result),
    )


def _owned(t: LayerText) -> list[str]:
    """The statements that make what the layer owns, containers of dotted keys first."""
    layer = t.layer
    owned = t.owned()
    scopes = {".".join(x.scope.split(".")[: i + 1]) for x in owned if x.scope for i in range(x.scope.count(".") + 1)}
    buffers = {t.path(p.key) for p in layer.params.values() if not p.trainable}
    out = [f"{t.path(scope)} = nn.Module()" for scope in sorted(scopes)]
    for x in owned:
        if x.path in buffers:
            out.append(f'{t.path(x.scope) if x.scope else "self"}.register_buffer("{x.name}", {x.code})  # {x.comment}')
        else:
            out.append(f"{x.path} = {x.code}  # {x.comment}")
    out += [f"{t.path(p.key)}._no_weight_decay = True" for p in layer.params.values() if not p.decay and p.trainable]
    return out


def _probe(t: LayerText) -> str:
    """A tensor of the layer whose device and dtype tell where it lives."""
    for p in t.layer.params.values():
        return t.path(p.key)
    for m in t.layer.modules:
        return f"{t.path(m.key)}.weight"
    return "torch.empty(0)"


def _fields(t: LayerText) -> list[StateField]:
    out: list[StateField] = []
    names = _FieldNames(("count", "index", "clone", "reset", "index_select"))
    for o in t.ops.values():
        for c in o.r.carried:
            shape = t.shape(c.axes)
            kind = "_complex_of(wide)" if c.dtype == "complex" else "wide"
            start = f"torch.zeros(batch, {shape}{', ' if shape else ''}device=device, dtype={kind})"
            if c.init is not None:
                start += f" + {timeless(t, c.init, c.axes, 'probe')}"
            out.append(StateField(names(c.of), t.locals(f"{c.of}:last"), start, _shown(f"state `{c.of}`", c.axes)))
    for conv in t.layer.convs.values():
        name, width, shape = t.locals(f"{conv.name}:taps"), t.python(conv.width), t.shape(conv.output.axes)
        start = f"torch.zeros(batch, {width} - 1, {shape}, device=device, dtype=dtype)"
        out.append(
            StateField(
                names(conv.name),
                name,
                start,
                _shown(f"the last inputs of `{conv.name}`", ("width - 1", *conv.output.axes)),
            )
        )
    for d in t.partition.delays.values():
        shape = t.shape(d.axes)
        kind = "_complex_of(wide)" if d.dtype == "complex" else "dtype"
        start = f"torch.zeros(batch, {shape}{', ' if shape else ''}device=device, dtype={kind})"
        if d.init is not None:
            start += f" + {timeless(t, d.init, d.axes, 'probe')}"
        out.append(
            StateField(names(d.name), t.locals(f"{d.name}:last"), start, _shown(f"`{d.of}` at the last token", d.axes))
        )
    if t.partition.uses_position:
        start = "torch.zeros(batch, device=device, dtype=torch.int64)"
        out.append(StateField(names("position"), t.locals("position"), start, _shown("tokens seen so far", ())))
    return out


class _FieldNames(Names):
    """Names of a NamedTuple's fields, which cannot begin with an underscore."""

    def __call__(self, name: str) -> str:
        return super().__call__(f"v{name}" if name.startswith("_") else name)


def _in_quotes(line: str) -> str:
    """A line of the spec's comment inside a docstring: a stranger's text that must not end it."""
    return "".join(c if c.isprintable() else " " for c in line).replace("\\", "\\\\").replace('"""', '\\"\\"\\"')


def _shown(what: str, axes: tuple[str, ...]) -> str:
    return f"{what} [{', '.join(('batch', *axes))}]"


def _forward(t: LayerText, has_state: bool) -> tuple[str, ...]:
    """The statements of forward, region by region."""
    out: list[str] = []
    wide: set[str] = set()
    if t.partition.uses_position:
        t_name, position, first = t.locals("t"), t.locals("position"), t.locals(next(iter(t.layer.inputs)))
        seen = position if has_state else "None"
        out.append(f"{t_name}, {position} = _positions({seen}, {first}, cu_seqlens)")
    for region in t.partition.regions:
        out += _region(t, region, wide, has_state)
    return tuple(out)


def _region(t: LayerText, region: Region, wide: set[str], has_state: bool) -> list[str]:
    layer, p = t.layer, t.partition
    match region.kind:
        case "linear":
            return _linear(t, layer.linears[region.name])
        case "conv":
            return _conv(t, layer.convs[region.name], has_state)
        case "op":
            return _op(t, region.name, has_state, wide)
        case "delay":
            d = p.delays[region.name]
            field, value = t.locals(f"{d.name}:last"), t.locals(d.of)
            if not t.streams(d.of):  # the same at every token, but not before the first
                first, rest = t.locals(next(iter(layer.inputs))), "".join(", -1" for _ in d.axes)
                value = f"{value}.expand(*{first}.shape[:2]{rest})"
            if d.offset > 0:
                return [
                    f"{t.locals(d.name)} = _following({value}, {_init_code(t, d)}, cu_seqlens)  # {t.comment(d.span)}"
                ]
            start = field if has_state else "None"
            call = f"_previous({value}, {start}, {_init_code(t, d)}, cu_seqlens)"
            return [f"{t.locals(d.name)}, {field} = {call}  # {t.comment(d.span)}"]
    own = p.definitions[region.name]
    return [f"{t.locals(own.name)} = {expression(t, own, wide)}  # {t.comment(own.span)}"]


def _init_code(t: LayerText, d: Delay) -> str:
    """What a delay reads beyond the edge of a sequence."""
    return "0" if d.init is None else timeless(t, d.init, d.axes, t.locals(next(iter(t.layer.inputs))))


def _linear(t: LayerText, m: Linear) -> list[str]:
    dims = t.dims_of(m.input)
    value = t.locals(m.input) + (".flatten(2)" if len(dims) > 1 else "")
    call = f"{t.path(m.key)}({value})"
    names = [t.locals(o.name) for o in m.outputs]
    where = f"  # {t.comment(m.span)}"
    lines = []
    if len(m.outputs) > 1:
        sizes = ", ".join(" * ".join(t.size_attribute(a) for a in o.axes) or "1" for o in m.outputs)
        lines.append(f"{', '.join(names)} = {call}.split([{sizes}], -1){where}")
    else:
        lines.append(f"{names[0]} = {call}{where}")
    for o, n in zip(m.outputs, names, strict=True):
        if len(o.axes) > 1:
            lines.append(f"{n} = {n}.unflatten(-1, ({t.shape(o.axes)}))")
        elif not o.axes:
            lines.append(f"{n} = {n}.squeeze(-1)")
    return lines


def _conv(t: LayerText, c: Conv, has_state: bool) -> list[str]:
    dims = t.dims_of(c.input)
    value = t.locals(c.input) + (".flatten(2)" if len(dims) > 1 else "")
    taps, name = t.locals(f"{c.name}:taps"), t.locals(t.partition.activations.get(c.name, c.output.name))
    flat = f"None if {taps} is None else {taps}.flatten(2)" if len(dims) > 1 else taps
    given = flat if has_state else "None"
    op = t.convs[c.name]
    head = f"{name}, {taps} = _conv(_ops.{op}, _{op}_activation, {t.path(c.key)}, {value}, {given}, cu_seqlens)"
    lines = [f"{head}  # {t.comment(c.span)}"]
    if len(dims) > 1:
        lines += [f"{v} = {v}.unflatten(-1, ({t.shape(dims)}))" for v in (name, taps)]
    return lines


def _op(t: LayerText, name: str, has_state: bool, wide: set[str]) -> list[str]:
    o = t.ops[name]
    layer = t.layer
    args = []
    for x in o.r.operands:
        value = t.parameter(layer.params[x.name]) if x.name in layer.params else t.locals(x.name)
        args.append(f"{o.names(x.name)}={value}")
    for s in o.scalars:
        args.append(f"{s.name}={f'self.{t.arg_names[s.argument]}' if s.argument else t.size_attribute(s.axis)}")
    states = [t.locals(f"{c.of}:last") for c in o.r.carried]
    results = [t.locals(r) for r in o.r.results]
    left = results[0] if len(results) == 1 else f"({', '.join(results)})"
    last = states[0] if len(states) == 1 else f"({', '.join(states)})"
    given = "None" if not has_state else last if len(states) == 1 else f"None if state is None else {last}"
    head, tail = f"{left}, {last} = {o.op}(", f")  # {t.comment(o.r.span)}"
    lines = [
        head,
        *(f"    {a}," for a in args),
        f"    initial_state={given},",
        "    return_state=True,",
        "    cu_seqlens=cu_seqlens,",
        tail,
    ]
    out = ["\n".join(lines)]
    if any(x.name in wide for x in o.r.operands):  # the results have the widest type that streams in
        like = t.locals(next(iter(layer.inputs)))
        out += [f"{r} = {r}.to({like}.dtype)" for r, d in zip(results, o.r.results, strict=True) if t.is_real(d)]
    return out
