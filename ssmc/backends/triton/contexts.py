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
    """A value of every token: `many` collects a block's, `one` holds one token's. `at` and `mask` end its `tl.load`;
    `valid` is the mask's beginning where tokens beyond the end are asked for."""

    many: str
    one: str
    pointer: str
    stride: str
    at: str
    mask: str
    valid: str


@dataclass(frozen=True, slots=True)
class Store:
    """A value of every token that is written; `mask` and `valid` as for a load."""

    pointer: str
    stride: str
    at: str
    value: str
    mask: str
    valid: str


@dataclass(frozen=True, slots=True)
class Kernel:
    """One kernel: its tensors and its numbers, the lines before the walk, what streams in and out."""

    tensors: str
    strides: str
    constants: str
    locals: tuple[str, ...]
    streams: tuple[Stream, ...]
    loads: tuple[Load, ...]
    stores: tuple[Store, ...]
    outputs: tuple[Stream, ...]


@dataclass(frozen=True, slots=True)
class FieldText:
    """A field in kernels: its value, the one before, its cotangent, what is passed back, and where its state lies."""

    value: str
    before: str
    cotangent: str
    many: str
    back: str
    first: str
    last: str
    kept: str
    d_last: str
    d_first: str
    pointer: str
    at: str
    mask: str
    shape: str
    width: str
    again: str


@dataclass(frozen=True, slots=True)
class StateText:
    """A state, all its fields together: its tensors in kernels and the numbers a row has."""

    first: str
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
    """The coefficient of a field over a piece: its running product, a token's, how it starts and where it is stored."""

    product: str
    token: str
    shape: str
    start: str
    next: str
    multiplied: str


@dataclass(frozen=True, slots=True)
class Moved:
    """A field or its cotangent in a piece: its name, its next value by name and by code."""

    name: str
    next: str
    code: str


@dataclass(frozen=True, slots=True)
class Pieces:
    """Time in pieces: each as one step of the recurrence, forward and, where reads allow it, in reverse."""

    forward: Kernel
    a: str
    b: str
    coefficients: tuple[Coefficient, ...]
    factors: str
    decay: str
    moved: str
    update: str
    next: tuple[tuple[str, str], ...]
    stored: tuple[tuple[FieldText, Coefficient], ...]
    fields: tuple[FieldText, ...]
    backward: Kernel | None
    decay_back: str
    wanted: str
    wants: str
    pulled: tuple[Moved, ...]


@dataclass(frozen=True, slots=True)
class Registers:
    """An estimate of what the way back holds: numbers, and tiles of the state, once and for each token of a block.
    `program` is how many numbers of a field a warp owns."""

    program: str
    fixed: str
    fixed_tiles: str
    numbers: str
    tiles: str
    limit: str


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
    assigned: str
    again: str
    update_block: str
    update_one: str
    update_again: str
    results: str
    read_block: str
    read_one: str
    walk: Kernel
    single: Kernel
    backward: Kernel
    seeds: tuple[Load, ...]
    vjp: str
    parts: str
    sums: tuple[Sum, ...]
    after: tuple[str, ...]
    finals: tuple[str, ...]
    pieces: Pieces | None
    cut_back: bool
    registers: Registers
    launch: Launch


@dataclass(frozen=True, slots=True)
class TritonFile:
    """What the kernels of a file share: the helpers they use and the kernels of time in pieces."""

    helpers: frozenset[str]
    sums: tuple[tuple[str, int, int, str], ...]
    lane_sums: tuple[tuple[str, str], ...]
    passes: bool
    complex_passes: bool
