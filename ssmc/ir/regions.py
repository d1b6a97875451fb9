"""Regions: the layer cut into what is evaluated as one piece. Output of `partition`, input of `classify` and `plan`."""

from __future__ import annotations

from dataclasses import dataclass

from ssmc.diagnostics.span import Span
from ssmc.ir.expr import Node
from ssmc.ir.layer import Gauge, Layer, Time


@dataclass(frozen=True, slots=True)
class Definition:
    """A named value in normal form: a pointwise expression, or one reduction or renaming of such.

    `axes` are its tensor dimensions, `atoms` its node's axes. `state` tells a state's update from an equation.
    """

    name: str
    axes: tuple[str, ...]
    atoms: tuple[str, ...]
    dtype: str
    node: Node
    time: Time
    state: bool
    anonymous: bool
    span: Span


@dataclass(frozen=True, slots=True)
class Operand:
    """A tensor an op is given: `[batch, time, axes]` if `token`, else `[axes]`. An op that reads no token value is
    given an
    input of the layer, which tells batch and time. One that is `wide` is finer than the activations, and leaves the
    dtype of results to the others."""

    name: str
    axes: tuple[str, ...]
    atoms: tuple[str, ...]
    dtype: str
    token: bool
    span: Span
    wide: bool = False

    @property
    def streams(self) -> bool:
        """Whether it is a number a token: neither a condition nor the token's position `t`, which have another
        dtype."""
        return self.token and self.dtype != "bool" and self.name != "t"


@dataclass(frozen=True, slots=True)
class Carried:
    """What an op carries from token to token: the value `of` as field `name`; `recurrent` if it depends on itself,
    else a
    delayed operand. `init` None is zero."""

    name: str
    of: str
    axes: tuple[str, ...]
    atoms: tuple[str, ...]
    dtype: str
    init: Node | None
    recurrent: bool
    span: Span


@dataclass(frozen=True, slots=True)
class Recurrence:
    """One recurrent component with what is fused around it: one op.

    `hoisted`, `prologue`, `update` and `epilogue` are in order of evaluation: known before time starts; free of the
    states; needed for the states' next values; computed from them. `inner` are the state axes that a read sums,
    `channels`
    the others. `reverse` if it runs from the last token to the first. `gauges` are those of which it carries a state.
    `fine` are the results that are as fine as states.
    """

    name: str
    operands: tuple[Operand, ...]
    carried: tuple[Carried, ...]
    hoisted: tuple[Definition, ...]
    prologue: tuple[Definition, ...]
    update: tuple[Definition, ...]
    epilogue: tuple[Definition, ...]
    results: tuple[str, ...]
    channels: tuple[str, ...]
    inner: tuple[str, ...]
    reverse: bool
    frontier: tuple[tuple[str, str], ...]
    span: Span
    gauges: tuple[Gauge, ...] = ()
    fine: tuple[str, ...] = ()

    @property
    def definitions(self) -> dict[str, Definition]:
        """Every definition inside the op by name."""
        return {d.name: d for d in (*self.hoisted, *self.prologue, *self.update, *self.epilogue)}


@dataclass(frozen=True, slots=True)
class Delay:
    """`prev(v)` outside every op: the value of the previous token (`next(v)`: of the next)."""

    name: str
    of: str
    offset: int
    axes: tuple[str, ...]
    dtype: str
    init: Node | None
    span: Span


@dataclass(frozen=True, slots=True)
class Region:
    """One step of forward: kind `linear`, `conv`, `split`, `op`, `delay`, `contraction`, `row`, `relabel`, `pointwise`
    or `parameter`; `name` is that of the module, op, delay or value."""

    kind: str
    name: str
    reads: tuple[str, ...]
    writes: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Partition:
    """The whole layer as regions in order of evaluation. `definitions` are the values outside ops; `activations` names,
    for a convolution, the pointwise value that is evaluated with it; `fine` are values of ops and those made of them
    that stay in float32 whatever the activations are."""

    layer: Layer
    regions: tuple[Region, ...]
    definitions: dict[str, Definition]
    recurrences: dict[str, Recurrence]
    delays: dict[str, Delay]
    uses_position: bool
    activations: dict[str, str]
    fine: tuple[str, ...] = ()

    @property
    def kept(self) -> dict[str, Delay]:
        """The delays that carry something of their own: not those of a state, which its op carries already."""
        states = {c.of for r in self.recurrences.values() if not r.reverse for c in r.carried}
        return {n: d for n, d in self.delays.items() if d.offset > 0 or d.of not in states}
