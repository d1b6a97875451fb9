"""Where a value of a chunk lives: dimension 0 is the chunk's tokens, 1 the keys, 2 a block of the values.

A program has one head, so that the head atoms are numbers there. All atoms of the keys are one dimension, and all of
the values: what has only some of them is repeated.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from ssmc.backends.triton.equations import Equations, Unfit
from ssmc.backends.triton.printer import Text, TilePrinter
from ssmc.backends.triton.tiles import Dims
from ssmc.codegen.names import Names
from ssmc.codegen.op_text import OpText
from ssmc.ir.expr import Reduce, walk
from ssmc.ir.program import Let, OuterProgram

TIME, KEYS, VALUES = 0, 1, 2
MASKS = {(TIME,): "m_t", (TIME, KEYS): "m_tk", (TIME, VALUES): "m_tv", (KEYS,): "m_k", (VALUES,): "m_v", (): ""}
SKELETON = (
    *("T", "NP", "NV", "NK", "BT", "BK", "BV", "DOT", "STAGES", "LEVELS", "LEVEL", "first", "ends", "products"),
    *("table", "states", "wanted", "rest", "cu_seqlens", "n", "n_c", "n_kv", "n_slots", "n_tokens", "bos", "o_i"),
    *("i", "j", "o_t", "i_t", "i_h", "i_v", "i_p", "i_s", "i_b", "i_n", "i_c", "i_j", "i_k", "i_z"),
    *("o_k", "o_v", "o_kv", "m_t", "m_k", "m_v", "m_kv", "m_tk", "m_tv"),
    *(
        "decay",
        "key",
        "value",
        "state",
        "d_state",
        "d_decay",
        "d_key",
        "d_value",
        "sums",
        "total",
        "left",
        "seen",
        "enter",
        "leave",
    ),
    *("between", "from", "turned", "scores", "pairs", "hi", "lo", "end_hi", "end_lo", "late_hi", "late_lo"),
    *(f"{word}_{i}" for word in ("query", "read", "d_query", "d_read") for i in range(8)),
    *(f"{word}_{i}" for word in ("inside", "turned", "scores", "enter") for i in range(8)),
)


@dataclass(frozen=True, slots=True)
class ChunkTile:
    """The dimensions of an op that gathers outer products; the interface is that of a `Tile`, as printers use it."""

    channels: tuple[str, ...]
    keys: tuple[str, ...]
    values: tuple[str, ...]
    name: Names
    block: str = "BT"
    pads: tuple[str, ...] = ()

    @property
    def inner(self) -> tuple[str, ...]:
        """All atoms that are no numbers."""
        return (*self.keys, *self.values)

    def dims(self, atoms: Iterable[str]) -> Dims:
        """The dimensions of a value on these atoms, the tokens aside."""
        atoms = set(atoms)
        return (*([KEYS] if atoms & set(self.keys) else []), *([VALUES] if atoms & set(self.values) else []))

    def size(self, atom: str) -> str:
        """The size of an atom, a constant of the kernel."""
        return self.name(atom)

    def sizes(self, atoms: Iterable[str]) -> str:
        """The product of sizes."""
        return " * ".join(map(self.size, atoms)) or "1"


class ChunkPrinter(TilePrinter):
    """Prints nodes on the tiles of a chunk. A sum over heads, which is linear in what a program has, is left to whoever
    stores the value; one over the values is over the block that a program has. A sum over one of two key atoms is taken
    where both are powers of two."""

    tile: ChunkTile  # type: ignore[assignment]

    def _reduce(self, node: Reduce) -> Text:
        if node.op != "sum":
            raise Unfit(f"a {node.op} over an axis")
        text, over = self(node.body), set(node.over)
        for dim, atoms in ((VALUES, self.tile.values), (KEYS, self.tile.keys)):
            lost = over & set(atoms)
            if lost:
                text = self._sum(text, dim, atoms, lost, set(node.body.axes) & set(atoms))
        return text

    def _sum(self, text: Text, dim: int, atoms: tuple[str, ...], lost: set[str], had: set[str]) -> Text:
        """The sum over the atoms `lost` of a dimension; along those of it that it has not `had` a value is repeated."""
        size = self.tile.size
        if not had & lost:
            if not had and dim == VALUES:
                raise Unfit("a sum over values of what has none")
            return Text(" * ".join([*(size(a) for a in atoms if a in lost), _tight(text)]), text.dims, 11)
        if had - lost:
            return self._part(text, dim, atoms, lost)
        helper = f"tl_sum_{text.dims.index(dim)}_of_{len(text.dims)}"
        self.helpers.add(helper)
        code = f"{helper}({text.code}, {self.tile.sizes(atoms)})"
        repeated = [size(a) for a in atoms if a not in had | lost]
        dims = tuple(d for d in text.dims if d != dim)
        return Text(" / ".join([code, *repeated]), dims, 11 if repeated else 20)

    def _part(self, text: Text, dim: int, atoms: tuple[str, ...], lost: set[str]) -> Text:
        """The sum over one of two key atoms, repeated along it."""
        if dim != KEYS or len(atoms) != 2 or text.dims != (TIME, KEYS):
            raise Unfit("a sum over a part of the keys or of the values")
        helper = "tl_over_slow" if atoms[0] in lost else "tl_over_fast"
        self.helpers.add(helper)
        return Text(f"{helper}({text.code}, {self.tile.size(atoms[0])}, {self.tile.size(atoms[1])})", text.dims, 20)


def _tight(text: Text) -> str:
    return text.code if text.level >= 12 else f"({text.code})"


class ChunkEquations(Equations):
    """Makes the functions of an op, whose values have the tokens of a chunk as their first dimension."""

    printer = ChunkPrinter

    def __init__(self, o: OpText, tile: ChunkTile, f: OuterProgram) -> None:
        super().__init__(o, tile)  # type: ignore[arg-type]
        for leaf in self.p.leaves:
            own = tile.dims(leaf.operand.atoms)
            self._dims[leaf.name, 0] = (TIME, *own) if leaf.operand.token else own
        for r in self.p.results:
            for part in r.parts:
                self._dims[f"g:{part}", 0] = (TIME, *tile.dims(r.atoms))
        z, k, v = f.given
        self.bind([(z, (TIME, KEYS) if f.by_key else (TIME,)), (k, (TIME, KEYS)), (v, (TIME, VALUES))])
        self.bind((q.wanted, (TIME, KEYS)) for q in f.queries)
        self.bind((q.read, (TIME, VALUES)) for q in f.queries)

    def check(self, lets: Iterable[Let]) -> None:
        """Unfit, if a value has keys and values at once."""
        for let in lets:
            if any(len(self.tile.dims(n.axes)) > 1 for n in walk(let.node)):
                raise Unfit(f"`{let.name}` has keys and values at once")


@dataclass(slots=True)
class Places:
    """The indices, offsets and masks that a kernel uses, and the lines that define them, in order."""

    tile: ChunkTile
    lines: dict[str, str] = field(default_factory=dict)

    def define(self, name: str, code: str) -> str:
        """A line of the kernel."""
        self.lines[name] = code
        return name

    def index(self, atom: str) -> str:
        """The index along an atom: a number for one of the heads."""
        t = self.tile
        for atoms, whole in ((t.channels, "i_h"), (t.keys, "o_k"), (t.values, "o_v")):
            if atom in atoms:
                at = atoms.index(atom)
                code = whole
                if at + 1 < len(atoms):
                    code += f" // {_factor(t.sizes(atoms[at + 1 :]))}"
                if at > 0:
                    code += f" % {t.size(atom)}"
                return whole if code == whole else self.define(f"{whole}_{t.name(atom)}", code)
        raise KeyError(atom)

    def offsets(self, atoms: Sequence[str]) -> tuple[str, str]:
        """The row-major offset of a value on these atoms: what heads add, and what keys and values add."""
        t, parts, i = self.tile, [], 0
        while i < len(atoms):
            found = next(((g, w) for g, w in self._groups() if tuple(atoms[i : i + len(g)]) == g), None)
            group, term = found or ((atoms[i],), self.index(atoms[i]))
            i += len(group)
            after = t.sizes(atoms[i:])
            parts.append((atoms[i - 1] in t.channels, term if after == "1" else f"{term} * {_factor(after)}"))
        return tuple(" + ".join(code for head, code in parts if head == of) for of in (True, False))  # type: ignore[return-value]

    def _groups(self) -> list[tuple[tuple[str, ...], str]]:
        t = self.tile
        return [(g, w) for g, w in ((t.channels, "i_h"), (t.keys, "o_k"), (t.values, "o_v")) if g]

    def text(self) -> tuple[str, ...]:
        """The lines, what is needed first."""
        return tuple(f"{name} = {code}" for name, code in self.lines.items())


def _factor(size: str) -> str:
    return f"({size})" if "*" in size else size
