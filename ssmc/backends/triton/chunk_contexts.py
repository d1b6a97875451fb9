"""The holes of the templates of chunks: frozen, strings and tuples of them."""

from __future__ import annotations

from dataclasses import dataclass

from ssmc.backends.triton.equations import Equation


@dataclass(frozen=True, slots=True)
class ChunkRead:
    """A read of the state: its query, what it gives and the cotangents of both, as names of values; `late` ones see the
    state before the token, those that are not `seeded` matter to no result. `sums`: of decays, up to the read;
    `turned`: where its query is found as it sees the state before the chunk."""

    index: int
    turned: int
    query: str
    read: str
    d_query: str
    d_read: str
    late: bool
    seeded: bool
    sums: str


@dataclass(frozen=True, slots=True)
class Group:
    """What a kernel loads and computes of a chunk: offsets, values known before time, loads (of numbers a token, and of
    tiles), what makes these float32, calls."""

    places: tuple[str, ...]
    early: tuple[str, ...]
    small: tuple[str, ...]
    loads: tuple[str, ...]
    lifts: tuple[str, ...]
    calls: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class ChunkKernel:
    """A kernel: its tensors and strides, what it computes for all keys (`whole`) and for a block of them (`keyed`), the
    stores, and the tensors it writes. `streamed` and `parameters` are its tensors for whoever launches it: names of
    operands, `g:` results' cotangents, `read:` reads, `core:` what another kernel found."""

    tensors: str
    strides: str
    whole: Group
    keyed: Group
    stores: tuple[str, ...]
    results: str
    streamed: tuple[str, ...]
    parameters: tuple[str, ...]
    keyed_stores: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class ChunkOp:
    """The holes of `templates/triton/chunk_kernels.py.jinja` and `templates/triton/head_kernels.py.jinja`."""

    stem: str
    equations: tuple[Equation, ...]
    constants: str
    heads: str
    keys: str
    values: str
    by_key: bool
    mixed: bool
    decayed: bool
    late: bool
    sign: str
    first_walking: str
    first_inside: str
    reads: tuple[ChunkRead, ...]
    seeded: tuple[ChunkRead, ...]
    decays: ChunkKernel
    states: ChunkKernel
    scores: ChunkKernel
    outputs: ChunkKernel
    results: tuple[ChunkKernel, ...]
    again: tuple[ChunkKernel, ...]
    d_reads: tuple[ChunkKernel, ...]
    wanted: ChunkKernel
    d_queries: ChunkKernel
    d_keys: ChunkKernel
    d_values: ChunkKernel


@dataclass(frozen=True, slots=True)
class Arguments:
    """What a kernel is given: tensors, strides, and the tensors it writes."""

    tensors: str
    strides: str
    results: str


@dataclass(frozen=True, slots=True)
class ChunkLaunch:
    """The holes of `templates/triton/chunk_launches.py.jinja` and `templates/triton/head_launches.py.jinja`: code
    of the host, most of it arguments. `kept`: what is left for the way back, as an operator
    gives it; `room` for it."""

    stem: str
    operands: str
    state: str
    scalars: str
    cotangents: str
    d_last: str
    first: str
    dot: str
    sizes: tuple[str, ...]
    heads: str
    keys: str
    values: str
    constants: str
    into: str
    out: str
    prepared: tuple[str, ...]
    prepared_back: tuple[str, ...]
    made: tuple[str, ...]
    last: str
    returned: str
    kept: tuple[tuple[str, str], ...]
    room: str
    n_reads: int
    read_sizes: str
    d_decay: str
    decays: Arguments
    states: Arguments
    wanted: Arguments
    outputs: Arguments
    results: tuple[Arguments, ...]
    reads: tuple[Arguments, ...]
    d_reads: tuple[Arguments, ...]
    gradients: tuple[tuple[str, str], ...]
    strip: str
    tiles: str
    whole: str
    chosen: str
    scores: Arguments
    passed: tuple[tuple[str, str], ...]
    d_queries: Arguments
    d_keys: Arguments
    d_values: Arguments
    finished: tuple[str, ...]
    returned_back: tuple[str, ...]
