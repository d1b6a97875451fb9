"""The functions of an op with a filter: all tokens at once, from the streams through the filters to the results."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ssmc.codegen.core_text import CoreText
from ssmc.codegen.eager_pieces import names_read, returned_gradient, seed_views, targets, tuple_of, whole_leaf
from ssmc.codegen.op_text import OpText
from ssmc.ir.program import FilterProgram


@dataclass(frozen=True, slots=True)
class FilterOp:
    """The holes of `templates/eager/filtered.py.jinja`: parameter lists and tuples as text, bodies as lines. `fresh`:
    there are kernels for a call whose state begins at zero."""

    stem: str
    mode: str
    kernel: bool
    first: str
    operands: str
    states: str
    scalars: str
    cotangents: str
    streams: str
    sizes: tuple[str, ...]
    parameters: tuple[str, ...]
    system: tuple[str, ...]
    narrowed: tuple[str, ...]
    narrowed_back: tuple[str, ...]
    tokens: str
    chunk: str
    tokens_back: str
    chunk_back: str
    reverse: bool
    prologue: tuple[str, ...]
    inputs: str
    n_channels: int
    state: str
    start: str
    d_state: str
    d_last: str
    d_start: str
    reads: tuple[tuple[str, str], ...]
    epilogue: tuple[str, ...]
    returned: tuple[str, ...]
    empty: str
    reads_again: bool
    replay: tuple[str, ...]
    adjoint_epilogue: tuple[str, ...]
    d_reads: tuple[str, ...]
    d_streams: tuple[tuple[str, str], ...]
    adjoint: tuple[str, ...]
    accumulate: tuple[str, ...]
    weights: tuple[str, ...]
    hoisted_back: tuple[str, ...]
    joined: tuple[str, ...]
    returned_back: tuple[str, ...]
    channels: str
    inner: str
    n_streams: int
    n_reads: int
    fresh: bool


def filter_op(o: OpText, mode: str) -> FilterOp | None:
    """The context of an op's filtered form; None if it has none."""
    return None if o.program.filter is None else _Writer(o, o.program.filter).write(mode)


class _Writer(CoreText):
    def __init__(self, op: OpText, f: FilterProgram) -> None:
        super().__init__(op, f, [r.name for r in f.reads], "T")
        self.f = f
        self.channels, self.inner = self.o.sorted(self.o.r.channels), self.o.sorted(self.o.r.inner)
        grid = (*self.channels, *self.inner)
        self.turn = tuple(self.atoms.index(a) for a in grid)
        self.back = tuple(grid.index(a) for a in self.atoms)

    def write(self, mode: str) -> FilterOp:
        o, f, a, names, carried = self.o, self.f, self.f.adjoint, self.o.names, self.carried
        inputs = [x.name for x in f.streams]
        forward = self.forward(inputs)
        back = self.backward([r.cotangent for r in f.reads if r.cotangent is not None], inputs)
        last = names(f"g_last:{carried.of}")
        flip = ".flip(1)" if o.r.reverse else ""
        said: set[int] = set()
        grid = ", ".join(["rows", *o.shape(self.channels), *o.shape(self.inner)])
        own = names(carried.of)
        kind = "_complex_of(dtype)" if carried.dtype == "complex" else "dtype"
        into = f".to({kind}){o.view(carried.axes)[0]}{self.permuted(self.turn, 1)}"
        shape = f".reshape({self.lead(self.channels)})"
        return FilterOp(
            stem=o.stem,
            mode=mode,
            kernel=o.kernel,
            first=names(self.streaming[0].operand.name),
            operands=", ".join(names(x.name) for x in o.operands),
            states=own,
            scalars="".join(f", {s.name}" for s in o.scalars),
            cotangents=", ".join([*(names(f"g:{res.name}") for res in o.program.results), last]),
            streams=o.streams,
            sizes=o.size_lines(),
            parameters=self.parameters(),
            system=self._system(),
            narrowed=self.narrowed(names_read(forward)),
            narrowed_back=self.narrowed(names_read([*back, *a.hoisted]) | self.summed()),
            tokens=tuple_of(whole_leaf(o, leaf) for leaf in self.streaming),
            chunk=targets(names(leaf.name) for leaf in self.streaming),
            tokens_back=tuple_of([*(whole_leaf(o, leaf) for leaf in self.streaming), *seed_views(o)]),
            chunk_back=targets([*(names(x.name) for x in self.streaming), *(names(f"g:{p}") for p in self.results)]),
            reverse=o.r.reverse,
            prologue=o.lines([let for let in forward if let in f.prologue], said),
            inputs=tuple_of(self.spread(n, self.channels) for n in inputs),
            n_channels=len(self.channels),
            state=own,
            start=f"{own}{into}",
            d_state=last,
            d_last=f"{last}{into}",
            d_start=f".reshape({grid}){self.permuted(self.back, 1)}{o.view(carried.axes)[1]}",
            reads=tuple((names(r.name), shape) for r in f.reads),
            epilogue=o.lines([let for let in forward if let in f.epilogue], said),
            returned=tuple(
                self.result(res, [self.part(p, res.atoms) for p in res.parts], flip) for res in o.program.results
            ),
            empty=f"dtype={kind}",
            reads_again=bool({r.name for r in f.reads} & (names_read(back) | self.summed())),
            replay=o.lines([let for let in back if let in f.epilogue]),
            adjoint_epilogue=o.lines([let for let in back if let in a.epilogue]),
            d_reads=tuple(self.d_read(r.cotangent, self.channels) for r in f.reads),
            d_streams=tuple((names(x.cotangent), shape) for x in f.streams),
            adjoint=o.lines([let for let in back if let in a.prologue]),
            accumulate=tuple(f"{names(n)} = {self.total(n)}" for n in self.sums),
            weights=self._weights(names_read(a.hoisted) | set(a.gradients.values())),
            hoisted_back=o.lines(a.hoisted),
            joined=tuple(f"{names(f'd:{n}')} = {self.gradient(n)}{flip}" for n in self.moving()),
            returned_back=tuple(returned_gradient(o, x) for x in o.operands),
            channels=" * ".join(o.shape(self.channels)) or "1",
            inner=" * ".join(o.shape(self.inner)) or "1",
            n_streams=len(f.streams),
            n_reads=len(f.reads),
            fresh=False,
        )

    def _system(self) -> tuple[str, ...]:
        late = "".join(f"{r.late}, " for r in self.f.reads)
        return (
            f"{self._weight(self.f.coefficient)},",
            f"torch.stack({tuple_of(self._weight(x.weights, 1 if x.turned else 0) for x in self.f.streams)}),",
            f"torch.stack({tuple_of(self._weight(r.weights, -1 if r.turned else 0) for r in self.f.reads)}),",
            f"({late}),",
        )

    def _weight(self, parts: Sequence[str], turned: int = 0) -> str:
        """A weight at every channel and inner index, times i or -i."""
        full = [f"_fine({self.o.aligned(n, self.atoms)})" for n in parts]
        shape = f".expand({', '.join(self.o.shape(self.atoms))})"
        full = [x if set(self.let_axes(n)) == set(self.atoms) else x + shape for x, n in zip(full, parts, strict=True)]
        if turned:
            full = [f"-{full[1]}", full[0]] if turned > 0 else [full[1], f"-{full[0]}"]
        code = full[0] if len(full) == 1 else f"torch.complex({', '.join(full)})"
        return f"_plane({code}{self.permuted(self.turn)}, 0, {len(self.channels)})"

    def _weights(self, wanted: set[str]) -> tuple[str, ...]:
        """The cotangents of the coefficient and weights, in the axes each of them has."""
        groups: dict[tuple[str, ...], list[str]] = {self.f.coefficient: ["grads.a"]}
        for j, x in enumerate(self.f.streams):
            groups.setdefault(x.weights, []).append(f"grads.b[{j}]" if not x.turned else f"grads.b[{j}] * -1j")
        for i, r in enumerate(self.f.reads):
            groups.setdefault(r.weights, []).append(f"grads.c[{i}]" if not r.turned else f"grads.c[{i}] * 1j")
        lines = []
        grid = ", ".join([*self.o.shape(self.channels), *self.o.shape(self.inner)]) or "()"
        for parts, codes in groups.items():
            if not any(f"d:{n}" in wanted for n in parts):
                continue
            total = codes[0] if len(codes) == 1 else f"({' + '.join(codes)})"
            total = f"({total})" if " " in total and not total.startswith("(") else total
            lines.append(f"d_weight = {total}.reshape({grid}){self.permuted(self.back)}")
            for n, part in zip(parts, (".real", ".imag"), strict=False):
                own = self.let_axes(n)
                lacks = [str(self.atoms.index(a)) for a in self.atoms if a not in own]
                summed = f".sum(({', '.join(lacks)},))" if lacks else ""
                if f"d:{n}" in wanted:
                    lines.append(f"{self.o.names(f'd:{n}')} = d_weight{part}{summed}.to(dtype)")
        return tuple(lines)
