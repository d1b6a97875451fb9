"""The Layer: what a spec means once names, shapes and conditions are resolved. Output of `sema`, input of
`partition`."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import IntEnum

from ssmc.diagnostics.span import Source, Span
from ssmc.ir.axes import AxisTable
from ssmc.ir.expr import Node


class Time(IntEnum):
    """Binding times, each including the ones before: when a value is known."""

    LITERAL = 0
    PARAMETER = 1
    SEQUENCE = 2
    TOKEN = 3
    STATE = 4


@dataclass(frozen=True, slots=True)
class LayerArg:
    """An argument of the layer: kind `int`, `float`, `bool` or `choice`. `default` is an expression of earlier
    arguments
    (None: required); a choice's default is its first word. `fixed` holds the value it was compiled for, if it was."""

    name: str
    kind: str
    default: Node | None
    choices: tuple[str, ...]
    fixed: int | float | bool | str | None
    span: Span


@dataclass(frozen=True, slots=True)
class Input:
    """A tensor given at every call, `[batch, time, axes]`; `default` None means required."""

    name: str
    axes: tuple[str, ...]
    default: Node | None
    span: Span


@dataclass(frozen=True, slots=True)
class Param:
    """A parameter of its own: `init` is an expression over indices, arguments, draws and other parameters' initial
    values."""

    name: str
    axes: tuple[str, ...]
    dtype: str
    init: Node
    range: tuple[Node, Node] | None
    decay: bool
    trainable: bool
    key: str
    span: Span


@dataclass(frozen=True, slots=True)
class Output:
    """A named output of a module."""

    name: str
    axes: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Linear:
    """`nn.Linear` over all axes of the value `input`; `bias` is a bool, or a bool argument's name; inits None:
    torch's own."""

    name: str
    input: str
    outputs: tuple[Output, ...]
    bias: bool | str
    weight_init: Node | None
    bias_init: Node | None
    key: str
    span: Span


@dataclass(frozen=True, slots=True)
class Conv:
    """A causal depthwise convolution over time of the value `input`, of `width` taps; owns an `nn.Conv1d`."""

    name: str
    input: str
    output: Output
    width: Node
    bias: bool | str
    weight_init: Node | None
    bias_init: Node | None
    key: str
    span: Span

    @property
    def outputs(self) -> tuple[Output]:
        """The one output, as the other modules have several."""
        return (self.output,)


@dataclass(frozen=True, slots=True)
class Split:
    """The value `input` cut along its last axis: the outputs are views of it, one after the other. It owns nothing."""

    name: str
    input: str
    outputs: tuple[Output, ...]
    span: Span


@dataclass(frozen=True, slots=True)
class Value:
    """An equation. `axes` are the tensor's dimensions after batch and time; `node` may hold references with offsets."""

    name: str
    axes: tuple[str, ...]
    node: Node
    span: Span
    anonymous: bool = False


@dataclass(frozen=True, slots=True)
class Continuous:
    """Where a discrete update came from: `h' = rate`, affine as `coefficient * h + sum of terms`, one rule a term."""

    rate: Node
    coefficient: Node
    rule: str
    terms: tuple[tuple[Node, str], ...]
    step: Node
    methods_span: Span


@dataclass(frozen=True, slots=True)
class State:
    """A state: `update` is its value after this token, in terms of `Ref(name, -1)`; `init` what it starts from."""

    name: str
    axes: tuple[str, ...]
    dtype: str
    update: Node
    continuous: Continuous | None
    allow_unstable: bool
    span: Span


@dataclass(frozen=True, slots=True)
class Gauge:
    """States that are kept as e^-m times what the spec says, m being the state `scale`, a running maximum of the
    exponents gathered. `written` are the spec's updates by state, `cancels` the values in which e^m cancels."""

    scale: str
    log_decay: Node
    exponents: tuple[Node, ...]
    written: dict[str, Node]
    cancels: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Layer:
    """A checked layer. `values` and `states` are keyed by name in the order of the spec; `result` is the returned
    value."""

    name: str
    doc: str
    source: Source
    args: tuple[LayerArg, ...]
    axes: AxisTable
    inputs: dict[str, Input]
    params: dict[str, Param]
    linears: dict[str, Linear]
    convs: dict[str, Conv]
    values: dict[str, Value]
    states: dict[str, State]
    result: str
    times: dict[str, Time]
    span: Span
    splits: dict[str, Split] = field(default_factory=dict)
    gauges: tuple[Gauge, ...] = ()

    @property
    def children(self) -> tuple[Linear | Conv, ...]:
        """Linears and convolutions."""
        return (*self.linears.values(), *self.convs.values())

    @property
    def modules(self) -> tuple[Linear | Conv | Split, ...]:
        """Whatever takes a whole value and gives others."""
        return (*self.children, *self.splits.values())

    @property
    def owned(self) -> tuple[Linear | Conv | Param, ...]:
        """Whatever has a key in the state_dict."""
        return (*self.children, *self.params.values())
