"""The host side of an op's chunks: what is allocated, passed to kernels, summed and returned."""

from __future__ import annotations

from collections.abc import Iterable

from ssmc.backends.triton.chunk_back import ChunkGradients
from ssmc.backends.triton.chunk_contexts import Arguments, ChunkKernel, ChunkLaunch, ChunkOp
from ssmc.backends.triton.chunk_tile import KEYS, VALUES
from ssmc.codegen.core_text import CoreText
from ssmc.ir.program import Leaf
from ssmc.ir.regions import Operand


class ChunkHost:
    """Builds the context of the launches of an op."""

    def __init__(self, k: ChunkGradients) -> None:
        self.k, self.o, self.f, self.names = k, k.o, k.f, k.o.names
        self.operands = [o for o in self.o.operands if any(x.operand.name == o.name for x in k.p.leaves)]

    def code(self, name: str) -> str:
        """A tensor on the host, by the name that kernels know it by."""
        if name.removeprefix("core:") in self.k.known:
            return f"d_reads[{list(self.k.known).index(name.removeprefix('core:'))}]"
        if name.startswith("core:"):
            return self.names(f"wanted:{self.k.tensor(name)}")
        return f"reads[{name.removeprefix('read:')}]" if name.startswith("read:") else self.names(name)

    def arguments(self, kernel: ChunkKernel, results: str = "") -> Arguments:
        """What a kernel is given."""
        tensors = "".join(f"{self.code(n)}, " for n in (*kernel.streamed, *kernel.parameters))
        return Arguments(tensors, "".join(f"*{self.code(n)}.stride()[:2], " for n in kernel.streamed), results)

    def product(self, axes: Iterable[str]) -> str:
        """The product of the sizes of axes."""
        return " * ".join(self.o.size(a) for a in axes) or "1"

    def launch(self, mode: str, op: ChunkOp) -> ChunkLaunch:
        """The context."""
        k, o, f, names = self.k, self.o, self.f, self.names
        carried = k.p.recurrence.carried[0]
        own, d_last = names(carried.of), names(f"g_last:{carried.of}")
        grid = (*f.heads, *f.keys, *f.values)
        atoms = o.sorted(carried.atoms)
        turn = CoreText.permuted(tuple(atoms.index(a) for a in grid), 1)
        home = CoreText.permuted(tuple(grid.index(a) for a in atoms), 1)
        view, back = o.view(carried.axes)
        into = f"{view}{turn}.to(torch.float32).contiguous()"
        tokens = [x for x in self.operands if x.token]
        parameters = [x for x in self.operands if not x.token]
        tiles = [x for x in tokens if set(x.atoms) & {*f.keys, *f.values}]
        dot = f"_dot_dtype({', '.join(names(x.name) for x in [x for x in tiles if not x.wide] or tiles)})"
        results = [(r, names(f"y:{r.name}")) for r in k.p.results]
        first = names(next(x for x in o.operands if x.token).name)
        shapes = [(r, y, f"({first}.shape[0], T, {''.join(f'{o.size(a)}, ' for a in r.axes)})") for r, y in results]
        prepared = (
            *(f"{names(x.name)} = _rows_of({names(x.name)})" for x in tokens),
            *(f"{names(x.name)} = {names(x.name)}.contiguous()" for x in parameters),
        )
        own_results = "".join(f"{y}, " for _, y in results)
        constants = {k.tile.size(a): o.size(a) for a in grid} | k.e.constants.values
        found = {x.operand.name: x for v in k.vjps for leaves in k.moving(*v) for x in leaves}
        moving = list(found.values())
        begun = [f.given[0]] if k.decayed and not f.by_key else []
        passed = [f"core:{n}" for n in dict.fromkeys([*begun, *k.passed])]
        last, kept = names(f"last:{carried.of}"), names(f"starts:{carried.of}")
        heads, keys, values = self.product(f.heads), self.product(f.keys), self.product(f.values)
        parts = "".join(f", {o.size(a)}" for a in f.keys) if {"tl_over_slow", "tl_over_fast"} & k.e.helpers else ""
        chosen, fits = (
            f'_by_chunks("{m}", {first}, {keys}, {values}, {not k.blocks}{parts})'
            for m in (mode, "scan" if mode == "auto" else mode)
        )
        room = f"_kept({first}, {len(f.queries)}, {heads}, {keys}, {{}}, {{}}, cu_seqlens)"
        reads = f"{first}.new_empty(({len(f.queries)}, *{first}.shape[:2], {heads}, {values}), dtype={dot})"
        left = room.format("_CHUNK", dot) if f.by_key else reads
        left += f" if keep and {fits} else {first}.new_empty(0, dtype=torch.float32)"
        keeps = f.by_key or bool(k.apart and op.again)
        return ChunkLaunch(
            stem=o.stem,
            operands=", ".join(names(x.name) for x in o.operands),
            state=own,
            scalars="".join(f", {s.name}" for s in o.scalars),
            cotangents=", ".join([*(names(f"g:{r.name}") for r in k.p.results), d_last]),
            d_last=d_last,
            first=first,
            dot=dot,
            sizes=o.size_lines(),
            heads=heads,
            keys=keys,
            values=values,
            constants=", ".join(f"{n}={v}" for n, v in constants.items()),
            into=into,
            out=f".reshape({', '.join(['rows', *o.shape(grid)])}){home}{back}",
            prepared=prepared,
            prepared_back=tuple(f"{names(f'g:{r.name}')} = _rows_of({names(f'g:{r.name}')})" for r in k.p.results),
            made=tuple(
                f"{y} = torch.empty({shape}, dtype={o.dtype_of(r.name, 'torch.float32')}, device={first}.device)"
                for r, y, shape in shapes
            ),
            last=last,
            returned=", ".join([*(y for _, y in results), last, *([kept] if keeps else [])]),
            kept=((kept, left),) if keeps else (),
            room=room.format("config.tokens", "dtype"),
            n_reads=len(f.queries),
            read_sizes=", ".join([self.product(f.heads), self.product(f.values)]),
            d_decay="".join(f"{self.code(f'core:{n}')}, " for n in begun),
            decays=self.arguments(op.decays),
            states=self.arguments(op.states),
            wanted=self.arguments(op.wanted),
            outputs=self.arguments(op.outputs, "*reads, " if k.apart else own_results),
            results=tuple(self.arguments(x, own_results) for x in op.results),
            reads=tuple(self.arguments(x, "*reads, ") for x in op.again),
            d_reads=tuple(self.arguments(x, self._written(x)) for x in op.d_reads),
            gradients=tuple((names(f"d:{x.operand.name}"), self._made(x)) for x in moving),
            strip="config.strip" if k.strips else "config.wide",
            tiles=self._tiles(op.outputs),
            chosen=chosen,
            whole=str(not k.blocks),
            scores=self.arguments(op.scores),
            passed=tuple((self.code(n), self._core_sizes(n)) for n in passed),
            d_queries=self.arguments(op.d_queries, self._written(op.d_queries)),
            d_keys=self.arguments(op.d_keys, self._written(op.d_keys)),
            d_values=self.arguments(op.d_values, self._written(op.d_values)),
            finished=tuple(self._finished(x) for x in moving),
            returned_back=tuple(
                names(f"d:{p.name}") if any(x.operand.name == p.name for x in moving) else f"{first}.new_empty(0)"
                for p in o.operands
            ),
        )

    def _tiles(self, kernel: ChunkKernel) -> str:
        """How many tiles of keys and of values a kernel loads."""
        dims = [self.k.tile.dims(o.atoms) for o in self.operands if o.name in kernel.streamed]
        return f"({sum(KEYS in d for d in dims)}, {sum(VALUES in d for d in dims)})"

    def _index(self, o: Operand) -> int:
        return [x.name for x in self.o.operands].index(o.name)

    def _core_sizes(self, name: str) -> str:
        """The sizes of what one kernel passes to another, a token."""
        keyed = KEYS in self.k.e.dims(name.removeprefix("core:"))
        return "".join(f"{self.o.size(a)}, " for a in (*self.f.heads, *(self.f.keys if keyed else ())))

    def _written(self, kernel: ChunkKernel) -> str:
        """The buffers that a kernel writes, as the host calls them."""
        k = self.k
        own = {k.tile.name(f"d:{o.name}"): self.names(f"d:{o.name}") for o in self.operands}
        own |= {k.tensor(f"core:{n}"): self.code(f"core:{n}") for n in (*k.passed, *k.known)}
        return "".join(f"{own[n]}, " for n in kernel.results.removesuffix(", ").split(", ") if n)

    def _made(self, x: Leaf) -> str:
        parts = []
        for v in self.k.vjps:
            if any(x in leaves for leaves in self.k.moving(*v)):
                heads, blocks = self.k.memory.missing(x.operand, any(x in self.k.by_blocks for x in v))
                cut = "grid[0]" if self.f.by_key else 'inside["NV"]'
                n = [*([cut] if blocks else []), *map(self.o.size, heads)]
                parts.append(" * ".join([*n, *([] if x.operand.token else ["slots"])]) or "1")
        room = "_room_for" if x.operand.token else "_parts"
        return f"{room}({' + '.join(parts)}, inputs[{self._index(x.operand)}])"

    def _finished(self, x: Leaf) -> str:
        name = self.names(f"d:{x.operand.name}")
        return f"{name} = _summed({name}, inputs[{self._index(x.operand)}])"
