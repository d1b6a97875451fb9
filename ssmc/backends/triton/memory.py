"""Where the tensors of an op lie: loads and stores of its values, and what is left to sum outside."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from ssmc.backends.triton.contexts import Load, Rows, Store, Stream
from ssmc.backends.triton.equations import Equations
from ssmc.backends.triton.tiles import Dims, Locals, Tile, place
from ssmc.ir.program import Leaf, Result
from ssmc.ir.regions import Operand

PART = {"": (1, 0), "re": (2, 0), "im": (2, 1)}


def parts_of(offset: str, part: str) -> str:
    """The offset of a real number, or of a part of a complex one."""
    scale, shift = PART[part]
    if scale == 1:
        return offset
    doubled = "" if not offset else f"2 * {offset}" if offset.isidentifier() else f"2 * ({offset})"
    return doubled if not shift else f"{doubled} + 1" if doubled else "1"


def plus(offset: str) -> str:
    """An offset added to a pointer."""
    return f" + {offset}" if offset else ""


class Memory:
    """The texts of loads and stores of one op; each kernel has its own `Locals`."""

    def __init__(self, e: Equations, first: str, step: str) -> None:
        self.e, self.tile, self.first, self.step = e, e.tile, first, step
        self.slot = "row"  # of what a program adds to a parameter's cotangent; empty if it is all of it
        self.room = "room"  # where sums over channels of a row's tokens begin
        self.names: dict[str, str] = {}

    def fresh(self, wish: str) -> str:
        """An identifier of kernels, the same one for the same wish."""
        if wish not in self.names:
            self.names[wish] = self.tile.name.fresh(wish)
        return self.names[wish]

    def operand(self, o: Operand) -> str:
        """The tensor of an operand."""
        return self.tile.name(o.name)

    def pointer(self, name: str) -> str:
        """Where a tensor stands in time."""
        return f"p_{self.tile.name(name)}"

    def strides(self, name: str) -> tuple[str, str]:
        """The strides of batch and time."""
        return f"s_{self.tile.name(name)}b", f"s_{self.tile.name(name)}t"

    def numel(self, atoms: Sequence[str], is_complex: bool = False) -> str:
        """How many numbers a value on these atoms has."""
        sizes = [self.tile.size(a) for a in atoms]
        channels = list(self.tile.channels)
        for i in range(len(atoms)):
            if len(channels) > 1 and list(atoms[i : i + len(channels)]) == channels:
                sizes = [
                    *(self.tile.size(a) for a in atoms[:i]),
                    self.tile.lanes,
                    *(self.tile.size(a) for a in atoms[i + len(channels) :]),
                ]
                break
        return " * ".join([*(["2"] if is_complex else []), *sizes]) or "1"

    def stream(self, name: str) -> Stream:
        """An input of tokens."""
        b, t = self.strides(name)
        return Stream(self.pointer(name), f"{self.tile.name(name)} + i_b * {b} + {self.first} * {t}", t)

    def masked(self, loc: Locals, dims: Dims) -> str:
        """The end of a `tl.load`."""
        m = loc.mask(dims)
        return f", mask={m}, other=0.0" if m else ""

    def load(self, leaf: Leaf, loc: Locals) -> Load:
        """A leaf that streams."""
        at = parts_of(loc.offset(leaf.operand.atoms), leaf.part)
        mask = self.masked(loc, self.tile.dims(leaf.operand.atoms))
        name, dims = self.tile.name(leaf.name), self.tile.dims(leaf.operand.atoms)
        return self._load(name, leaf.operand.name, at, mask, dims, leaf.part, loc.offset(leaf.operand.atoms))

    def _load(self, name: str, of: str, at: str, mask: str, dims: Dims, part: str, offset: str) -> Load:
        pointer, t = self.pointer(of), self.strides(of)[1]
        rows = self.tile_rows(pointer, t, at, mask, dims)
        both = self._both(pointer, t, offset, mask, dims) if part and dims else ""
        return Load(self.fresh(f"{name}s"), f"b_{name}", pointer, t, plus(at), mask, rows, part, both)

    @staticmethod
    def rows(loads: Iterable[Load]) -> tuple[Rows, ...]:
        """The loads of a block of tokens: both parts of a complex number at once."""
        out: list[Rows] = []
        rest = list(loads)
        while rest:
            x = rest.pop(0)
            if x.both and rest and rest[0].pointer == x.pointer and (x.part, rest[0].part) == ("re", "im"):
                out.append(Rows(f"{x.many}, {rest.pop(0).many}", x.both))
            else:
                out.append(Rows(x.many, x.rows))
        return tuple(out)

    def _both(self, pointer: str, stride: str, offset: str, mask: str, dims: Dims) -> str:
        """Both parts of the values of BT tokens, loaded as one tile."""
        n = len(dims)
        times, inner = f"o_t[:, {', '.join(['None'] * (n + 1))}]", ", ".join([":"] * n)
        code = f"{pointer} {self.step} {times} * {stride} + {_pairs(offset, n)}[None, {inner}, :]"
        if mask:
            held = mask.removeprefix(", mask=").removesuffix(", other=0.0")
            code += f", mask={held}[None, {inner}, None], other=0.0"
        helper = f"tl_pairs_{n}"
        self.e.helpers |= {helper, f"tl_rows_{n}"}
        return f"{helper}(tl.load({code}))"

    def tile_rows(self, pointer: str, stride: str, at: str, mask: str, dims: Dims) -> str:
        """The values of BT tokens, loaded as one tile."""
        if not dims:
            self.e.helpers.add("tl_scalars")
            return f"tl_scalars({pointer}, {'-' if self.step == '-' else ''}{stride}, BT)"
        more = ", ".join([":"] * len(dims))
        times = f"o_t[:, {', '.join(['None'] * len(dims))}]"
        code = at if at.isidentifier() else f"({at})"
        code = f"{pointer} {self.step} {times} * {stride} + {code}[None, {more}]"
        if mask:
            held = mask.removeprefix(", mask=").removesuffix(", other=0.0")
            code += f", mask={held}[None, {more}], other=0.0"
        helper = f"tl_rows_{len(dims)}"
        self.e.helpers.add(helper)
        return f"{helper}(tl.load({code}))"

    def seed(self, r: Result, part: str, loc: Locals) -> Load:
        """The cotangent of a part of a result."""
        dims = self.e.dims(f"g:{part}")
        at = parts_of(loc.offset(r.atoms, dims), part_of(part) if len(r.parts) > 1 else "")
        name, mask, own = self.tile.name(f"g:{part}"), self.masked(loc, dims), loc.offset(r.atoms, dims)
        return self._load(name, f"g:{r.name}", at, mask, dims, part_of(part) if len(r.parts) > 1 else "", own)

    def is_turned(self, o: Operand) -> bool:
        """Whether walks read a parameter with its channels last (see `Locals.turned`)."""
        dims = self.tile.dims(o.atoms)
        return not o.token and len(dims) > 1 and 0 in dims

    def turned(self, atoms: Sequence[str], part: str, loc: Locals) -> str:
        """The offset of what is turned, or of a part of it, the real parts all before the imaginary ones."""
        if not atoms:
            return parts_of(loc.offset(atoms, self.tile.full), part)
        sizes = [self.tile.size(a) for a in self.tile.inner if a in atoms]
        code = loc.turned(atoms)
        return f"{code} + {' * '.join([*sizes, self.tile.lanes])}" if part == "im" else code

    def parameter(self, leaf: Leaf, loc: Locals, walks: bool = True) -> str:
        """The line that loads a parameter."""
        atoms = leaf.operand.atoms
        turned = walks and self.is_turned(leaf.operand)
        at = self.turned(atoms, leaf.part, loc) if turned else parts_of(loc.offset(atoms), leaf.part)
        mask = self.masked(loc, self.tile.dims(atoms))
        base = self.operand(leaf.operand)
        return f"b_{self.tile.name(leaf.name)} = tl.load({base}{plus(at)}{mask}).to(tl.float32)"

    # --- results and gradients --------------------------------------------------------------------------------------

    def row(self, width: str, begin: str = "i_b * T") -> str:
        """The offset of the first token of a contiguous [batch, time, width] whose row begins with token `begin`."""
        scale = f"({width})" if "*" in width else width
        first = self.first[1:-1]
        return f"({begin} + {first}) * {scale}" if width != "1" else f"({begin} + {first})"

    def result(self, r: Result, part: str, loc: Locals) -> tuple[Stream, Store]:
        """A part of a result."""
        is_complex = len(r.parts) > 1
        width = self.numel(r.atoms, is_complex)
        dims = self.e.dims(f"g:{part}")
        at = parts_of(loc.offset(r.atoms, dims), part_of(part) if is_complex else "")
        mask = self.masked(loc, dims)
        pointer = self.pointer(f"y:{r.name}")
        stream = Stream(pointer, f"{self.tile.name(f'y:{r.name}')} + {self.row(width)}", scaled(width))
        mask = mask.replace(", other=0.0", "")
        return stream, Store(pointer, scaled(width), plus(at), f"b_{self.tile.name(part)}", mask)

    def results(self, r: Result, loc: Locals) -> list[tuple[Stream, Store]]:
        """All parts of a result."""
        return paired([self.result(r, part, loc) for part in r.parts], self.e.dims(f"g:{r.parts[0]}"))

    def gradient(self, leaf: Leaf, value: str, dims: Dims, loc: Locals) -> tuple[Stream, Store]:
        """A token operand's cotangent: its own, or a partial sum: one a block of lanes, or one for every run of
        lanes or index of the channel atoms that the operand lacks."""
        t, atoms = self.tile, leaf.operand.atoms
        width = self.numel(atoms, leaf.part != "")
        name = t.name(f"d:{leaf.operand.name}")
        pointer = self.pointer(f"d:{leaf.operand.name}")
        if 0 in dims and t.in_runs(atoms):
            helper = f"tl_runs_{len(dims)}"
            self.e.helpers.add(helper)
            value, loc = f"{helper}({value}, RUN)", loc.runs()
        value, dims, extra, lane = self._partial(value, atoms, dims, width, loc)
        if leaf.operand.name in self.e.o.beside:  # in rows of a width of their own
            stream = self.stream(f"d:{leaf.operand.name}")
        else:
            begin = extra + (self.room if t.lacks_all(atoms) or t.missing(atoms) else "i_b * T")
            stream = Stream(pointer, f"{name} + {self.row(width, begin)}", scaled(width))
        offset = parts_of(loc.offset(atoms), leaf.part)
        target = tuple(sorted({*t.dims(atoms), *dims}))
        at = plus(lane and place(lane, (0,), target)) + plus(offset and placed(offset, t.dims(atoms), target))
        mask = self.masked(loc, target)
        return stream, Store(pointer, stream.stride, at, place(value, dims, target), mask.replace(", other=0.0", ""))

    def _partial(
        self, value: str, atoms: Sequence[str], dims: Dims, width: str, loc: Locals
    ) -> tuple[str, Dims, str, str]:
        """(value, its dimensions, the program's part of the offset, the lane's part of the offset)."""
        t = self.tile
        if 0 in dims and t.lacks_all(atoms):  # summed over the lanes before: see `over_lanes`
            return value, dims[1:], f"i_{t.letter} * n_tokens + ", ""
        missing = t.missing(atoms)
        if not missing or 0 not in dims:
            return value, dims, "", ""
        o, by = loc.offset(missing), " // RUN" if loc.of_runs else ""
        code = f"({o}{by}).to(tl.int64) * n_tokens * {scaled(width)}"
        return value, dims, "", loc.define(f"{o.removesuffix('_run')}_part", code)

    def over_lanes(self, values: Sequence[str], dims: Dims, loc: Locals) -> str:
        """Sums over the lanes of the program, of one value or of two with as many dimensions."""
        t = self.tile
        helper = f"tl_over_lanes_{len(dims)}"
        self.e.helpers.add(helper)
        if len(values) == 2:
            helper = f"tl_over_lanes_{len(dims)}_of_two"
            self.e.helpers.add(helper)
        return f"{helper}({', '.join(values)}, {loc.mask((0,))}, {t.lanes} % {t.block} != 0)"

    def sum_store(self, leaf: Leaf, value: str, dims: Dims, loc: Locals) -> str:
        """The store of a parameter's cotangent: a partial sum for each of the rows that are walked at once."""
        t, atoms = self.tile, leaf.operand.atoms
        width = scaled(self.numel(atoms, leaf.part != ""))
        slot, lane = self.slot, ""
        if 0 in dims and t.lacks_all(atoms):
            value, dims = self.over_lanes([value], dims, loc), dims[1:]
            slot = "i"
        elif t.missing(atoms) and 0 in dims:
            missing = splits(t, atoms)
            sizes = " * ".join(t.size(a) for a in missing)
            slot = f"{slot} * {scaled(sizes)}" if slot else ""
            lane = f"{loc.offset(missing)} * {width}"
        target = tuple(sorted({*t.dims(atoms), *dims}))
        offset = parts_of(loc.offset(atoms), leaf.part)
        at = plus(lane and placed(lane, (0,), target)) + plus(offset and placed(offset, t.dims(atoms), target))
        mask = loc.mask(target)
        base = t.name(f"d:{leaf.operand.name}")
        at = plus(slot and (slot if width == "1" else f"{slot} * {width}")) + at
        if self.slot:
            self.e.helpers.add("tl_add")
            return f"tl_add({base}{at}, {place(value, dims, target)}, {mask or None}, CARRY)"
        return f"tl.store({base}{at}, {place(value, dims, target)}{f', mask={mask}' if mask else ''})"


def part_of(name: str) -> str:
    """The part of a complex number that a name ends with."""
    return name.rpartition(":")[2]


def _pairs(offset: str, n: int) -> str:
    """The offsets of both parts of complex numbers on n dimensions."""
    inner = ", ".join([":"] * n)
    code = f"2 * {offset}" if offset.isidentifier() else f"2 * ({offset})"
    return f"(({code})[{inner}, None] + tl.arange(0, 2)[{', '.join(['None'] * n)}, :])"


def paired(stores: Sequence[tuple[Stream, Store]], dims: Dims) -> list[tuple[Stream, Store]]:
    """The stores of both parts of complex numbers on the dimensions as one."""
    plain = all(s.value.isidentifier() and s.at.startswith(" + 2 * ") for _, s in stores)
    if len(stores) != 2 or not dims or not plain:
        return list(stores)
    (stream, re), (_, im) = stores
    n, inner = len(dims), ", ".join([":"] * len(dims))
    held = re.mask.removeprefix(", mask=")
    mask = f", mask={held}[{inner}, None]" if held else ""
    offset = re.at.removeprefix(" + ").removeprefix("2 * ")
    value = f"tl.join({re.value}, {im.value})"
    return [(stream, Store(re.pointer, re.stride, plus(_pairs(offset, n)), value, mask))]


def scaled(width: str) -> str:
    """A width as a factor."""
    return f"({width})" if "*" in width else width


def placed(code: str, own: Dims, target: Dims) -> str:
    """An offset on more dimensions."""
    return place(code if code.isidentifier() else f"({code})", own, target) if own != target else code


def splits(tile: Tile, atoms: Sequence[str]) -> tuple[str, ...]:
    """The channel atoms over which a gradient is left in parts: those it lacks, if it has others."""
    return () if tile.lacks_all(atoms) else tile.missing(atoms)
