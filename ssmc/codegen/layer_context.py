"""The holes of `templates/torch/layer.py.jinja`."""

from __future__ import annotations

from dataclasses import dataclass

from ssmc.codegen.layer_forward import forward_lines
from ssmc.codegen.layer_text import LayerText
from ssmc.codegen.names import Names
from ssmc.codegen.outside import timeless
from ssmc.ir.equations import gauge_meaning
from ssmc.ir.layer import LayerArg


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
    splits: tuple[tuple[str, str, str], ...]
    owned: tuple[str, ...]
    children: tuple[str, ...]
    probe: str
    initial: tuple[str, ...]
    first: str
    first_axes: str
    first_shape: str
    inputs: tuple[tuple[str, str, str, str], ...]
    input_keywords: str
    input_names: str
    input_step: str
    has_state: bool
    fields: tuple[StateField, ...]
    state_doc: tuple[str, ...]
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
        splits=tuple(_splits(t)),
        owned=tuple(_owned(t)),
        children=tuple(f"{t.path(m.key)}.reset_parameters()" for m in layer.children),
        probe=_probe(t),
        initial=t.initial(),
        first=t.locals(first.name),
        first_axes="".join(f", {a}" for a in first.axes),
        first_shape=", ".join(t.size_attribute(a) for a in first.axes),
        inputs=tuple(inputs),
        input_keywords="".join(f", {n}={d}" if d else f", {n}" for n, d, _, _ in inputs),
        input_names="".join(f", {n}" for n, _, _, _ in inputs),
        input_step="".join(f", None if {n} is None else {n}[:, None]" for n, _, _, _ in inputs),
        has_state=has_state and bool(fields),
        fields=tuple(fields),
        state_doc=tuple(_gauge_doc(t)),
        n_fields=len(fields),
        field_locals=", ".join(f.local for f in fields) + ("," if len(fields) == 1 else ""),
        forward=forward_lines(t, has_state and bool(fields)),
        result=t.locals(layer.result),
    )


def _splits(t: LayerText) -> list[tuple[str, str, str]]:
    """For each split the axis, the size of what is split and the size of the parts together."""
    out = []
    for m in t.layer.splits.values():
        *lead, axis = t.dims_of(m.input)
        parts = " + ".join(t.count(o.axes[len(lead) :]) for o in m.outputs)
        out.append((axis, t.size_attribute(axis), parts))
    return out


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
    for m in t.layer.children:
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
            out.append(StateField(names(c.of), t.locals(f"{c.of}:last"), start, _shown(_meaning(t, c.of), c.axes)))
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
    for d in t.partition.kept.values():
        shape = t.shape(d.axes)
        kind = "_complex_of(wide)" if d.dtype == "complex" else "wide" if d.name in t.partition.fine else "dtype"
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


def _meaning(t: LayerText, state: str) -> str:
    return gauge_meaning(state, t.layer.gauges) or f"state `{state}`"


def _gauge_doc(t: LayerText) -> list[str]:
    """What a user who reads or sets scaled states has to know."""
    out = []
    for g in t.layer.gauges:
        names = ", ".join(f"`{n}`" for n in g.written)
        out += ["", f"Only {names} times e^{g.scale} have a meaning: what is added to {g.scale} and"]
        out += ["taken out of them as a factor changes no result."]
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
