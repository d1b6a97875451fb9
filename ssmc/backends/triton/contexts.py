"""The holes of `templates/triton/`: frozen, strings and tuples of them."""

from __future__ import annotations

from dataclasses import dataclass

from ssmc.backends.triton.equations import Equation


@dataclass(frozen=True, slots=True)
class Stream:
    """A tensor walked along time in a kernel: `pointer` starts at `base` and moves by `stride` a token."""

    pointer: str
    base: str
    stride: str


@dataclass(frozen=True, slots=True)
class Load:
    """A value of every token: `many` holds a block's, made by `rows` (of a `part` of a complex number, by `both` with
    the other); `one` holds one token's, and `at` and `mask` end its `tl.load`."""

    many: str
    one: str
    pointer: str
    stride: str
    at: str
    mask: str
    rows: str
    part: str
    both: str


@dataclass(frozen=True, slots=True)
class Rows:
    """What a block of tokens is loaded into, and how."""

    many: str
    rows: str


@dataclass(frozen=True, slots=True)
class Token:
    """What is done with a token: the lines for token j of a block, and for one that was loaded alone."""

    block: tuple[str, ...]
    one: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Store:
    """A value of every token that is written; `at` and `mask` as for a load."""

    pointer: str
    stride: str
    at: str
    value: str
    mask: str


@dataclass(frozen=True, slots=True)
class Kernel:
    """One kernel: tensors, numbers, tensors of unknown alignment, lines before the walk, what streams in and out."""

    tensors: str
    strides: str
    unaligned: str
    constants: str
    locals: tuple[str, ...]
    streams: tuple[Stream, ...]
    loads: tuple[Load, ...]
    rows: tuple[Rows, ...]
    stores: tuple[Store, ...]
    outputs: tuple[Stream, ...]


@dataclass(frozen=True, slots=True)
class FieldText:
    """A field in kernels: its value, the one before, its cotangent, what is passed back, where its state lies (`turned`
    before a walk), and how it is kept for the way back."""

    value: str
    before: str
    cotangent: str
    many: str
    back: str
    first: str
    last: str
    starts: str
    d_last: str
    d_first: str
    at: str
    turned: str
    mask: str
    shape: str
    width: str
    again: str
    keep: str
    kept: str


@dataclass(frozen=True, slots=True)
class StateText:
    """A state, all its fields together: what is kept of it, and how many numbers that is for each block."""

    kept: str
    pointer: str
    width: str


@dataclass(frozen=True, slots=True)
class Sum:
    """A cotangent summed over time: the accumulator, a token's part, its shape."""

    name: str
    part: str
    shape: str


@dataclass(frozen=True, slots=True)
class Coefficient:
    """The running product of a field's coefficient over a piece: its shape, how it starts."""

    product: str
    shape: str
    start: str


@dataclass(frozen=True, slots=True)
class Pieces:
    """Time in pieces, each as one step of the recurrence: what a token does to products of coefficients, what is `fed`
    to the state, and, where reads allow it, what they want of the state before the piece, added to `sums`."""

    kernel: Kernel
    loads: tuple[Load, ...]
    fed_loads: tuple[Load, ...]
    rows: tuple[Rows, ...]
    fed_rows: tuple[Rows, ...]
    cut_rows: tuple[Rows, ...]
    streams: tuple[Stream, ...]
    fed_streams: tuple[Stream, ...]
    cut_streams: tuple[Stream, ...]
    a: str
    b: str
    wanted: str
    coefficients: tuple[Coefficient, ...]
    token: Token
    fed: Token
    stored: tuple[tuple[FieldText, Coefficient], ...]
    sums: tuple[tuple[str, str], ...]
    before: tuple[str, ...]
    back: tuple[str, ...]
    stored_back: tuple[tuple[FieldText, Coefficient, str], ...]


@dataclass(frozen=True, slots=True)
class Backward:
    """The way back: the piece's token that lies first in memory, a block's states again, sums, lines after the walk."""

    kernel: Kernel
    lowest: str
    advance: Token
    prepared: tuple[tuple[str, str], ...]
    vjp_block: str
    vjp_one: str
    parts: str
    lane_sums: tuple[str, ...]
    sums: tuple[Sum, ...]
    after: tuple[str, ...]
    finals: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Registers:
    """What the way back holds, about: numbers, and tiles of the state, once and a token of a block. `program`: numbers
    of a field a warp owns; `tokens`: a block forward, fewer with `inner`; `keep`: tiles forward; `loads`: a lane."""

    program: str
    tokens: str
    inner: str
    fixed: str
    fixed_tiles: str
    numbers: str
    tiles: str
    limit: str
    fields: str
    keep: str
    loads: str
    loads_back: str


@dataclass(frozen=True, slots=True)
class Launch:
    """The host side of an op: what is made, passed and returned."""

    operands: str
    states: str
    scalars: str
    cotangents: str
    first: str
    differentiable: str
    sizes: tuple[str, ...]
    opening: tuple[str, ...]
    opening_step: tuple[str, ...]
    lanes: str
    inner: str
    numbers: str
    width: str
    numel: str
    complex_flag: str
    constants: str
    prepared: tuple[str, ...]
    turned: tuple[str, ...]
    prepared_back: tuple[str, ...]
    copied: tuple[tuple[str, str], ...]
    last_states: str
    gradients: tuple[str, ...]
    finished: tuple[str, ...]
    returned: str
    returned_step: str
    returned_back: tuple[str, ...]
    walk: str
    keep: str
    backward: str
    step: str
    piece: str
    piece_back: str
    state: str
    d_last: str
    handed_on: tuple[str, ...]
    starts: tuple[tuple[str, str, str], ...]
    start: str
    added: tuple[str, ...]
    gathered: tuple[str, ...]
    sums: str
    reverse: bool


@dataclass(frozen=True, slots=True)
class TritonOp:
    """The holes of `templates/triton/kernels.py.jinja` and `templates/triton/launches.py.jinja`."""

    stem: str
    equations: tuple[Equation, ...]
    lane: str
    lanes: str
    block: str
    step: str
    back: str
    hoist: tuple[str, ...]
    hoist_once: tuple[str, ...]
    fields: tuple[FieldText, ...]
    states: tuple[StateText, ...]
    keeps_before: bool
    advance: Token
    results: str
    read_block: str
    read_one: str
    walk: Kernel
    single: Kernel
    keep: Kernel
    backward: Backward
    pieces: Pieces | None
    cut_back: bool
    walked: bool
    light: bool
    exponentials: bool
    registers: Registers
    launch: Launch


@dataclass(frozen=True, slots=True)
class LaneSum:
    """A helper that sums over lanes: its index of a mask, the shape it gives, if a tile, and if ever of two at once."""

    name: str
    index: str
    shape: str
    tile: bool
    of_two: bool


@dataclass(frozen=True, slots=True)
class TritonFile:
    """What the kernels of a file share: the helpers they use and the kernels of time in pieces."""

    helpers: frozenset[str]
    sums: tuple[tuple[str, int, int, str], ...]
    lane_sums: tuple[LaneSum, ...]
    rows: tuple[tuple[str, str], ...]
    pairs: tuple[tuple[str, str], ...]
    runs: tuple[tuple[str, str], ...]
    passes: bool
    complex_passes: bool
    light: bool
    narrow: bool
    starts: bool
    gathers: bool
