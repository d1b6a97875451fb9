"""Where a value lives in a program: dimension 0 is the lanes (all channel atoms as one index), others are inner atoms.

A value that has only some channel atoms is repeated at every lane; its offset in memory is computed from the lane.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from ssmc.codegen.names import Names

Dims = tuple[int, ...]

SKELETON = [
    "T",
    "BT",
    "NP",
    "NQ",
    "NS",
    "NC",
    "ROOMS",
    "SLOTS",
    "FIRST",
    "CARRY",
    "STAGES",
    "RUN",
    "HALVES",
    "KT",
    "i",
    "i_j",
    "i_p",
    "i_q",
    "i_s",
    "i_b",
    "i_k",
    "i_t",
    "turn",
    "row",
    "room",
    "bos",
    "n",
    "n_t",
    "n_k",
    "n_j",
    "n_tokens",
    "j",
    "k",
    "o_t",
    "cu_seqlens",
]
LETTERS = {n[2:] for n in SKELETON if n[1:2] == "_" and len(n) == 3}  # of its indices, so none of a tile's


def place(code: str, own: Dims, target: Dims) -> str:
    """Code of a value on `own` dimensions, with unit dimensions where `target` has more; scalars as they are."""
    if own == target or not own:
        return code
    return f"{code}[{', '.join(':' if d in own else 'None' for d in target)}]"


@dataclass(frozen=True, slots=True)
class Tile:
    """The dimensions of an op. `name` gives identifiers inside kernels; `lanes` and `block` are the number of channels
    and that of a program, `letter` the ending of `i_` and `o_`; `pads` the padded sizes of the inner atoms."""

    channels: tuple[str, ...]
    inner: tuple[str, ...]
    name: Names
    lanes: str
    block: str
    letter: str
    pads: tuple[str, ...]
    letters: tuple[str, ...]

    @property
    def full(self) -> Dims:
        """The dimensions of a field."""
        return tuple(range(1 + len(self.inner)))

    def dims(self, atoms: Iterable[str]) -> Dims:
        """The dimensions of a value on these atoms."""
        atoms = set(atoms)
        lane = (0,) if any(a in self.channels for a in atoms) else ()
        return (*lane, *(i + 1 for i, a in enumerate(self.inner) if a in atoms))

    def shape(self, dims: Dims) -> str:
        """The padded shape."""
        blocks = (self.block, *self.pads)
        return "[" + ", ".join(blocks[d] for d in dims) + "]"

    def size(self, atom: str) -> str:
        """The size of an atom, a constant of the kernel."""
        return self.name(atom)

    def lacks_all(self, atoms: Iterable[str]) -> bool:
        """Whether a value on these atoms has no lane of its own."""
        return not any(a in self.channels for a in atoms)

    def in_runs(self, atoms: Iterable[str]) -> bool:
        """Whether a value's cotangents are the sums of runs of lanes: it lacks the last channel atom, but not all."""
        atoms = set(atoms)
        return self.channels[-1:] != () and self.channels[-1] not in atoms and not self.lacks_all(atoms)

    def missing(self, atoms: Sequence[str]) -> tuple[str, ...]:
        """The channel atoms that the atoms lack."""
        return tuple(a for a in self.channels if a not in atoms)


def tile_of(channels: tuple[str, ...], inner: tuple[str, ...], reserved: Iterable[str]) -> Tile:
    """The tile of a recurrence; its names avoid those of the skeleton."""
    name = Names((*SKELETON, *reserved))
    for a in (*channels, *inner):
        name(a)
    one = len(channels) == 1
    lanes = name(channels[0]) if one else name.fresh("C")
    block = name.fresh(f"B{channels[0]}" if one else "BC")
    pads = tuple(name.fresh(f"B{a}") for a in inner)
    letter = channels[0].lower() if one and len(channels[0]) == 1 and channels[0].lower() not in LETTERS else "c"
    letters: list[str] = []
    for a in inner:
        wish = a.lower() if a.lower() not in {letter, *letters, *LETTERS} else a.lower() + "_"
        letters.append(wish)
    return Tile(channels, inner, name, lanes, block, letter, pads, tuple(letters))


@dataclass(slots=True)
class Locals:
    """The offsets and masks that one kernel uses, and the lines that define them, in order."""

    tile: Tile
    lines: dict[str, str] = field(default_factory=dict)
    of_runs: bool = False

    def runs(self) -> Locals:
        """The same of the first of each RUN lanes, which share the indices of all channel atoms but the last."""
        return Locals(self.tile, self.lines, True)

    def define(self, name: str, code: str) -> str:
        """A line of the kernel, under this name or one near it."""
        if "_run" in code:  # other kernels read the names of lanes in what they share with this one
            name += "_run"
        while self.lines.get(name, code) != code:
            name += "_"
        self.lines[name] = code
        return name

    def lane(self) -> str:
        """The lanes of this program."""
        t = self.tile
        first = f"i_{t.letter}.to(tl.int32) * {t.block}"
        if self.of_runs:
            return self.define(f"o_{t.letter}_run", f"{first} + tl.arange(0, {t.block} // RUN) * RUN")
        return self.define(f"o_{t.letter}", f"{first} + tl.arange(0, {t.block})")

    def inner(self, dim: int) -> str:
        """The indices of an inner atom."""
        t = self.tile
        return self.define(f"o_{t.letters[dim - 1]}", f"tl.arange(0, {t.pads[dim - 1]})")

    def mask(self, dims: Dims) -> str:
        """Where the indices are no padding; empty for a scalar."""
        t = self.tile
        names = []
        for d in dims:
            letter = t.letter if d == 0 else t.letters[d - 1]
            o, size = (self.lane(), t.lanes) if d == 0 else (self.inner(d), t.size(t.inner[d - 1]))
            block = t.block if d == 0 else t.pads[d - 1]
            names.append((self.define(f"m_{letter}", f"tl_inside({o}, {size}, {block})"), letter))
        if len(names) <= 1:
            return names[0][0] if names else ""
        code = " & ".join(place(n, (d,), dims) for (n, _), d in zip(names, dims, strict=True))
        return self.define("m_" + "".join(letter for _, letter in names), code)

    def run(self, first: int, last: int) -> str:
        """The index of channel atoms first..last, row-major."""
        t = self.tile
        o = self.lane()
        if first == 0 and last == len(t.channels) - 1:
            return o
        after = " * ".join(t.size(a) for a in t.channels[last + 1 :])
        own = " * ".join(t.size(a) for a in t.channels[first : last + 1])
        code = o
        if after:
            code = f"{code} // ({after})" if "*" in after else f"{code} // {after}"
        if first > 0:
            code = f"{code} % ({own})" if "*" in own else f"{code} % {own}"
        name = "o_" + "_".join(a.lower() for a in t.channels[first : last + 1])
        return self.define(name + "_of" if name == o else name, code)

    def index(self, atom: str) -> tuple[str, Dims]:
        """The index along one atom, and its dimension."""
        t = self.tile
        if atom in t.channels:
            at = t.channels.index(atom)
            return self.run(at, at), (0,)
        at = t.inner.index(atom) + 1
        return self.inner(at), (at,)

    def turned(self, atoms: Sequence[str]) -> str:
        """The offset where the channels come last: neighbouring lanes are neighbours in memory, and the compiler gives
        each of them a thread of its own, with all that lies along inner atoms."""
        t = self.tile
        dims = t.dims(atoms)
        if len(dims) < 2 or 0 not in dims:
            return self.offset(atoms)
        inner = self.offset([a for a in t.inner if a in atoms])
        code = f"{place(inner, dims[1:], dims)} * {t.lanes} + {place(self.lane(), (0,), dims)}"
        return self.define(f"o_{''.join(t.letters[d - 1] for d in dims[1:])}{t.letter}", code)

    def offset(self, atoms: Sequence[str], dims: Dims | None = None) -> str:
        """The row-major offset of a value on these atoms, in this order; empty for a scalar."""
        t = self.tile
        parts: list[tuple[str, Dims, str]] = []
        i = 0
        while i < len(atoms):
            if atoms[i] in t.channels:
                first = last = t.channels.index(atoms[i])
                while i + 1 < len(atoms) and last + 1 < len(t.channels) and atoms[i + 1] == t.channels[last + 1]:
                    i, last = i + 1, last + 1
                whole = first == 0 and last == len(t.channels) - 1
                size = t.lanes if whole else " * ".join(t.size(a) for a in t.channels[first : last + 1])
                parts.append((self.run(first, last), (0,), size))
            else:
                dim = t.inner.index(atoms[i]) + 1
                parts.append((self.inner(dim), (dim,), t.size(atoms[i])))
            i += 1
        own = t.dims(atoms) if dims is None else dims
        if 0 in own and not t.channels:
            parts.insert(0, (self.lane(), (0,), "1"))
        if not parts:
            return ""
        if len(parts) == 1:
            return parts[0][0]
        code = ""
        for index, at, size in parts:
            term = place(index, at, own)
            scale = f"({size})" if "*" in size else size
            code = (
                term
                if not code
                else (f"{code} * {scale} + {term}" if "+" not in code else f"({code}) * {scale} + {term}")
            )
        letters = "".join(p[0].removeprefix("o_") for p in parts)
        return self.define(f"o_{letters}", code)

    def text(self) -> tuple[str, ...]:
        """The lines, what is needed first."""
        return tuple(f"{name} = {code}" for name, code in self.lines.items())
