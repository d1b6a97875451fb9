"""The holes of the templates of a time-invariant recurrence whose state begins at zero."""

from __future__ import annotations

from dataclasses import dataclass

from ssmc.backends.triton.contexts import Kernel
from ssmc.backends.triton.equations import Equation


@dataclass(frozen=True, slots=True)
class ForwardWalk:
    """A walk from the stream to the read: what its kernel is called and says, the lines before the first token, and
    those of a token in a block and alone."""

    name: str
    doc: str
    kernel: Kernel
    opening: tuple[str, ...]
    block: tuple[str, ...]
    one: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class AdjointWalk:
    """The walk back: the same, and the stores of what it sums over time; `counted`, if it must know how many tokens
    there are in all."""

    kernel: Kernel
    counted: bool
    opening: tuple[str, ...]
    block: tuple[str, ...]
    one: tuple[str, ...]
    finals: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class ChannelKernel:
    """A kernel of blocks of channels, without time: its tensors and constants, where it stands, its lines; `added` are
    those of every row of sums."""

    tensors: str
    constants: str
    opening: tuple[str, ...]
    added: tuple[str, ...]
    lines: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class FreshLaunch:
    """The host side: what is made, passed and returned."""

    operands: str
    state: str
    scalars: str
    cotangents: str
    first: str
    sizes: tuple[str, ...]
    made: tuple[str, ...]
    numbers: str
    lanes: str
    inner: str
    tokens: str
    constants: str
    prepared: tuple[str, ...]
    prepared_back: tuple[str, ...]
    system_size: str
    sums_size: str
    system: str
    filter: str
    returned: str
    reads: str
    read: str
    read_size: str
    adjoint: str
    gradients: tuple[str, ...]
    gradient: str
    finished: tuple[str, ...]
    returned_back: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class FreshOp:
    """The holes of `templates/triton/fresh_kernels.py.jinja` and `templates/triton/fresh_launches.py.jinja`."""

    stem: str
    equations: tuple[Equation, ...]
    lane: str
    lanes: str
    block: str
    step: str
    back: str
    row: str
    complex_state: bool
    system: ChannelKernel
    walks: tuple[ForwardWalk, ...]
    adjoint: AdjointWalk
    gradient: ChannelKernel
    launch: FreshLaunch
