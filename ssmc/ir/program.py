"""The Program of one op: straight-line real assignments for one token, forward and adjoint. Output of `lower`,
printed by a backend.

A name is bound by one `Let`. References of offset -1 read a field's value before this token (of +1 in an op that runs
backward in time: it is stored reversed, see `Recurrence.reverse`, and reads the same here). `d_x` is the cotangent
of `x`.
"""

from __future__ import annotations

from dataclasses import dataclass

from ssmc.diagnostics.span import Span
from ssmc.ir.expr import Node
from ssmc.ir.regions import Operand, Recurrence


@dataclass(frozen=True, slots=True)
class Let:
    """`name = node`, on `atoms` (the node may lack some: then it is the same along them)."""

    name: str
    atoms: tuple[str, ...]
    node: Node
    span: Span


@dataclass(frozen=True, slots=True)
class Leaf:
    """A real tensor the program reads: an operand, or the real (`re`) or imaginary (`im`) part of a complex one."""

    name: str
    operand: Operand
    part: str


@dataclass(frozen=True, slots=True)
class Field:
    """A real number the program carries from token to token at every index of `atoms`; `of` is the state it belongs to,
    `part` as for a leaf. `init` is its value before the first token (None: zero)."""

    name: str
    of: str
    atoms: tuple[str, ...]
    part: str
    init: Node | None


@dataclass(frozen=True, slots=True)
class Port:
    """A linear state: field = coefficient * prev(field) + input, the names of one Let each, or of two for a complex
    state
    (real part, imaginary part)."""

    fields: tuple[str, ...]
    coefficient: tuple[str, ...]
    input: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Result:
    """What the op returns: `name` of the value, its dimensions and atoms, and the Lets or fields of its parts."""

    name: str
    axes: tuple[str, ...]
    atoms: tuple[str, ...]
    parts: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Adjoint:
    """Reverse mode, in order of evaluation. `epilogue` starts from `d_<part>` of every result; `reads` then names
    the Let
    with what the epilogue wants of a field after this token, `reads_before` of the field before it. `update` starts
    from
    `d_<field>`, the whole cotangent of the field after this token; `carries` names what it passes to the field before.
    `prologue` and `hoisted` follow; `hoisted` starts from the sums over time of the names in `accumulated`.
    `gradients` names each leaf's and each initial value's cotangent."""

    epilogue: tuple[Let, ...]
    reads: dict[str, str]
    reads_before: dict[str, str]
    update: tuple[Let, ...]
    carries: dict[str, str]
    prologue: tuple[Let, ...]
    accumulated: tuple[str, ...]
    hoisted: tuple[Let, ...]
    gradients: dict[str, str]


@dataclass(frozen=True, slots=True)
class FilterRead:
    """A real part of a read (see `ir/filters.py`): its name in the epilogue, whether it reads the state before the
    token, the weights of the state's parts (times -i if `turned`), and its cotangent (None: no result needs it)."""

    name: str
    late: bool
    weights: tuple[str, ...]
    turned: bool
    cotangent: str | None


@dataclass(frozen=True, slots=True)
class FilterStream:
    """A real stream: its name (of a Let of the prologue, or a leaf), the weights of the state's parts (times i if
    `turned`), and the name by which the adjoint reads what the filters want of it."""

    name: str
    weights: tuple[str, ...]
    turned: bool
    cotangent: str


@dataclass(frozen=True, slots=True)
class FilterProgram:
    """An op with a filter, evaluated for all tokens at once: `hoisted` (parameters alone: coefficient and weights),
    `prologue` (the streams), then the filters lead from streams to reads, then `epilogue`. The names hold the parts of
    the state's coefficient. Backward: `adjoint.epilogue` gives the reads' cotangents; from those of the streams
    `adjoint.prologue`, and from those of `accumulated` and of what `given` names (the coefficient's and weights'
    cotangents) `adjoint.hoisted`."""

    hoisted: tuple[Let, ...]
    prologue: tuple[Let, ...]
    epilogue: tuple[Let, ...]
    coefficient: tuple[str, ...]
    streams: tuple[FilterStream, ...]
    reads: tuple[FilterRead, ...]
    given: tuple[str, ...]
    adjoint: Adjoint


@dataclass(frozen=True, slots=True)
class OuterQuery:
    """A read of a matrix-valued state: its weight, the name of sum_K weight * S in the epilogue, whether S is the state
    before the token; the name of the weight's cotangent, and the read's (None: no result needs it)."""

    name: str
    read: str
    late: bool
    wanted: str
    cotangent: str | None


@dataclass(frozen=True, slots=True)
class OuterProgram:
    """An op that gathers outer products (see `ir/outer.py`) chunk by chunk: `prologue` gives the log decay, key, value
    and queries, the core the reads, `epilogue` the results. `given` names what the core wants of decay, key and value;
    `adjoint` as in a FilterProgram."""

    hoisted: tuple[Let, ...]
    prologue: tuple[Let, ...]
    epilogue: tuple[Let, ...]
    decay: str
    key: str
    value: str
    queries: tuple[OuterQuery, ...]
    given: tuple[str, ...]
    heads: tuple[str, ...]
    keys: tuple[str, ...]
    values: tuple[str, ...]
    by_key: bool
    adjoint: Adjoint


@dataclass(frozen=True, slots=True)
class ConvProgram:
    """A causal depthwise convolution with what is fused after it: `activation` leads from the sum `pre` to the value
    `result`, `adjoint` from the cotangent of the result to that of the sum (`cotangent` names it)."""

    module: str
    pre: str
    result: str
    seed: str
    cotangent: str
    activation: tuple[Let, ...]
    adjoint: tuple[Let, ...]
    atoms: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Program:
    """One op, and `filter`, its other form, if it has one. `hoisted` is known before time starts, `prologue` needs no
    field, `update` computes every field's next value (for a linear program by `ports`, whose coefficients and inputs
    are in the prologue), `epilogue` the results."""

    recurrence: Recurrence
    structure: str
    leaves: tuple[Leaf, ...]
    fields: tuple[Field, ...]
    ports: tuple[Port, ...]
    hoisted: tuple[Let, ...]
    prologue: tuple[Let, ...]
    update: tuple[Let, ...]
    epilogue: tuple[Let, ...]
    results: tuple[Result, ...]
    adjoint: Adjoint
    filter: FilterProgram | None = None
    outer: OuterProgram | None = None

    @property
    def linear(self) -> bool:
        """Whether the fields are solved by a scan over their ports."""
        return bool(self.ports)

    @property
    def walked(self) -> bool:
        """Whether it is walked over time and has no other form."""
        return self.filter is None and self.outer is None
