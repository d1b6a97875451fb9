"""What a layer costs: parameters and where they live, work a token, numbers carried from token to token."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from ssmc.explain.counts import Count, Sizes, arguments, number
from ssmc.ir.equations import gauge_meaning, optional
from ssmc.ir.expr import Node, Pointwise, Reduce, Ref, walk
from ssmc.ir.layer import Conv, Layer, Linear, Param
from ssmc.ir.program import Let
from ssmc.ir.regions import Partition
from ssmc.lower.pairs import pair

FREE = frozenset(("re", "im", "conj", "complex", "where", "pi", "inf", "not", "and", "or"))
SIMPLE = frozenset(
    ("add", "sub", "mul", "div", "neg", "square", "abs", "min", "max", "clip", "relu", "sign", "floor", "ceil", "round",
     "lt", "le", "gt", "ge", "eq", "ne", "mod", "floordiv")
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Work:
    """Arithmetic operations, and evaluations of exponentials and the like, which cost a GPU several of those."""

    flops: Count = field(default_factory=lambda: number(0))
    special: Count = field(default_factory=lambda: number(0))

    def __add__(self, other: Work) -> Work:
        return Work(self.flops + other.flops, self.special + other.special)


@dataclass(frozen=True, slots=True)
class Entry:
    """One entry of the state_dict."""

    key: str
    shape: tuple[Count, ...]
    count: Count
    trainable: bool
    decay: bool
    initial: str | None
    owner: str
    line: int


def entries(layer: Layer, sizes: Sizes) -> tuple[Entry, ...]:
    """The state_dict in the order of the spec. A complex parameter is stored as pairs of numbers."""
    out: list[Entry] = []
    for item in sorted(layer.owned, key=lambda x: x.span.start):
        line = layer.source.line_of(item.span)
        if isinstance(item, Param):
            shape = [sizes.axis(a) for a in item.axes] + [number(2)] * (item.dtype == "complex")
            out.append(_entry(item.key, shape, item.trainable, item.decay, optional(item.init), "param", line))
            continue
        rows = _rows(item, sizes)
        taps = [number(1), sizes.of(item.width)] if isinstance(item, Conv) else [_inputs(item, layer, sizes)]
        kind = "conv" if isinstance(item, Conv) else "linear"
        out.append(_entry(f"{item.key}.weight", [rows, *taps], True, True, optional(item.weight_init), kind, line))
        if has_bias(item, layer):
            out.append(_entry(f"{item.key}.bias", [rows], True, True, optional(item.bias_init), kind, line))
    return tuple(out)


def _entry(
    key: str, shape: list[Count], trainable: bool, decay: bool, initial: str | None, owner: str, line: int
) -> Entry:
    total = number(1)
    for c in shape:
        total = total * c
    return Entry(key, tuple(shape), total, trainable, decay, initial, owner, line)


def has_bias(m: Linear | Conv, layer: Layer) -> bool:
    """Whether a module has a bias; one that an argument decides, by that argument's setting or default."""
    return m.bias if isinstance(m.bias, bool) else bool(arguments(layer)[0][m.bias])


def _rows(m: Linear | Conv, sizes: Sizes) -> Count:
    total = number(0)
    for o in m.outputs:
        total += sizes.axes(o.axes)
    return total


def _inputs(m: Linear, layer: Layer, sizes: Sizes) -> Count:
    for table in (layer.inputs, layer.params, layer.values, layer.states):
        if m.input in table:
            return sizes.axes(table[m.input].axes)  # type: ignore[attr-defined]
    return sizes.axes(next(o.axes for x in layer.modules for o in x.outputs if o.name == m.input))


def module_work(m: Linear | Conv, layer: Layer, sizes: Sizes) -> Work:
    """A linear or convolution for one token, forward."""
    rows = _rows(m, sizes)
    inner = sizes.of(m.width) if isinstance(m, Conv) else _inputs(m, layer, sizes)
    bias = rows if has_bias(m, layer) else number(0)
    return Work(number(2) * rows * inner + bias)


def expression_work(nodes: Iterable[Node], sizes: Sizes, without: Callable[[Node], bool] | None = None) -> Work:
    """Real expressions evaluated once, shared parts once. What depends on no value costs nothing, nor what it is to be
    `without`."""
    total = Work()
    depends: set[Node] = set()
    for n in walk(*nodes):
        if isinstance(n, Ref) or any(c in depends for c in n.children):
            depends.add(n)
        if n not in depends or (without is not None and without(n)):
            continue
        if isinstance(n, Reduce):
            total += Work(sizes.axes(n.body.axes))
        elif isinstance(n, Pointwise) and n.fn not in FREE:
            points = sizes.axes(n.axes)
            total += Work(points) if n.fn in SIMPLE else Work(special=points)
    return total


def lets_work(lets: Iterable[Let], sizes: Sizes, without: Callable[[Node], bool] | None = None) -> Work:
    """Lines of a program, each evaluated at its own indices."""
    return expression_work([let.node for let in lets], sizes, without)


def region_work(partition: Partition, name: str, sizes: Sizes) -> Work:
    """A value outside the ops, for one token."""
    return expression_work([x for x in pair(partition.definitions[name].node) if x is not None], sizes)


@dataclass(frozen=True, slots=True)
class Field:
    """Something carried from token to token, with its numbers for one sequence."""

    name: str
    what: str
    axes: tuple[str, ...]
    count: Count


def fields(partition: Partition, sizes: Sizes) -> tuple[Field, ...]:
    """The layer's state for one sequence, as `init_state` lays it out."""
    layer = partition.layer
    out = []
    for r in partition.recurrences.values():
        for c in r.carried:
            own = gauge_meaning(c.of, layer.gauges)
            what = own or f"state `{c.of}`" if c.of in layer.states else f"`{c.of}` at the last token"
            twice = number(2 if c.dtype == "complex" else 1)
            out.append(Field(c.name, what, c.axes, twice * sizes.axes(c.axes)))
    for conv in layer.convs.values():
        taps = sizes.of(conv.width) + number(-1)
        what = f"the last inputs of `{conv.name}`"
        out.append(Field(conv.name, what, ("width - 1", *conv.output.axes), taps * sizes.axes(conv.output.axes)))
    for d in partition.kept.values():
        out.append(Field(d.name, f"`{d.of}` at the last token", d.axes, sizes.axes(d.axes)))
    if partition.uses_position:
        out.append(Field("position", "tokens seen so far", (), number(1)))
    return tuple(out)


def one_sided(partition: Partition) -> bool:
    """Whether the layer can be continued: nothing in it looks at later tokens."""
    forward = all(d.offset < 0 for d in partition.delays.values())
    return forward and not any(r.reverse for r in partition.recurrences.values())
