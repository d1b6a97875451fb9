"""Where the tensors of a chunk lie: its first token is a number of 64 bits, all else offsets of 32."""

from __future__ import annotations

from collections.abc import Sequence

from ssmc.backends.triton.chunk_tile import MASKS, TIME, ChunkTile, Places
from ssmc.backends.triton.memory import plus, scaled
from ssmc.backends.triton.tiles import Dims, place
from ssmc.ir.program import Leaf
from ssmc.ir.regions import Operand


class ChunkMemory:
    """The texts of loads and stores of the kernels of one op."""

    def __init__(self, tile: ChunkTile) -> None:
        self.tile = tile

    def _at(self, pointer: str, step: str, atoms: Sequence[str], places: Places) -> str:
        """The address of a chunk's values: `pointer` is that of its first token, `step` what a token more adds."""
        dims = self.tile.dims(atoms)
        head, own = places.offsets(atoms)
        pointer += plus(head)
        if not dims:
            return f"{pointer} + o_i{step}{plus(own)}"
        return f"{pointer} + (o_i{step})[:, None] + ({own})[None, :]"

    def load(self, name: str, tensor: str, atoms: Sequence[str], places: Places) -> str:
        """The line that loads a value of a chunk's tokens, as it lies there."""
        dims = (TIME, *self.tile.dims(atoms))
        at = self._at(f"{tensor} + i_b * s_{tensor}b + i_t * s_{tensor}t", f" * s_{tensor}t", atoms, places)
        return f"{name} = tl.load({at}, mask={MASKS[dims]}, other=0.0)"

    def parameter(self, x: Leaf, name: str, places: Places) -> str:
        """The line that loads a parameter."""
        mask = MASKS[self.tile.dims(x.operand.atoms)]
        mask = f", mask={mask}, other=0.0" if mask else ""
        head, own = places.offsets(x.operand.atoms)
        return f"{name} = tl.load({self.tile.name(x.operand.name)}{plus(head)}{plus(own)}{mask}).to(tl.float32)"

    def store(
        self, tensor: str, value: str, dims: Dims, atoms: Sequence[str], places: Places, row: str = "i_b * T + i_t"
    ) -> str:
        """The line that stores a value of a chunk's tokens; `row` is the first of them."""
        own = (TIME, *self.tile.dims(atoms))
        width = scaled(self.tile.sizes(atoms))
        step = "" if width == "1" else f" * {width}"
        at = self._at(f"{tensor} + ({row}){step}", step, atoms, places)
        return f"tl.store({at}, {place(value, dims, own)}, mask={MASKS[own]})"

    def missing(self, o: Operand, blocks: bool) -> tuple[tuple[str, ...], bool]:
        """(the head atoms an operand lacks, whether it lacks values of which there are blocks): a cotangent has a part
        for each of them."""
        lacks = not set(o.atoms) & set(self.tile.values)
        return tuple(a for a in self.tile.channels if a not in o.atoms), blocks and lacks

    def _part(self, o: Operand, blocks: bool, places: Places) -> str:
        """The index of the part of a cotangent that a program writes; empty if there is one."""
        heads, cut = self.missing(o, blocks)
        at = "".join(places.offsets(heads))
        if not cut:
            return f"({at})" if at else ""
        return f"(i_v * {scaled(self.tile.sizes(heads))} + {at})" if heads else "i_v"

    def gradient(self, tensor: str, value: str, dims: Dims, o: Operand, blocks: bool, places: Places) -> str:
        """The line that stores a token operand's cotangent."""
        part = self._part(o, blocks, places)
        row = f"{part} * n_tokens + i_b * T + i_t" if part else "i_b * T + i_t"
        return self.store(tensor, value, dims, o.atoms, places, row)

    def total(self, tensor: str, value: str, dims: Dims, o: Operand, blocks: bool, behind: int, places: Places) -> str:
        """The line that stores a parameter's cotangent, a part for each chunk, `behind` so many functions' parts."""
        heads, cut = self.missing(o, blocks)
        n = scaled(" * ".join([*(["NV"] if cut else []), *map(self.tile.size, heads)]) or "1")
        part = self._part(o, blocks, places)
        row = f"i_n * {n} + {part}" if part else f"i_n * {n}"
        if behind:
            row += f" + {'' if behind == 1 else f'{behind} * '}n_slots * {scaled(self.tile.sizes(heads))}"
        own = self.tile.dims(o.atoms)
        mask = f", mask={MASKS[own]}" if MASKS[own] else ""
        head, at = places.offsets(o.atoms)
        width = scaled(self.tile.sizes(o.atoms))
        return f"tl.store({tensor} + ({row}) * {width}{plus(head)}{plus(at)}, {place(value, dims, own)}{mask})"
