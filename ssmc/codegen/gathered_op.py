"""The functions of an op that gathers outer products: chunks of tokens as matrix products, forward and adjoint."""

from __future__ import annotations

from dataclasses import dataclass

from ssmc.codegen.core_text import CoreText
from ssmc.codegen.eager_pieces import (
    accumulated_shape,
    joined_line,
    names_read,
    returned_gradient,
    seed_views,
    targets,
    tuple_of,
    whole_leaf,
)
from ssmc.codegen.op_text import OpText
from ssmc.ir.program import OuterProgram
from ssmc.lower.share import slice_lets


@dataclass(frozen=True, slots=True)
class GatheredOp:
    """The holes of `templates/eager/gathered.py.jinja`: parameter lists and tuples as text, bodies as lines."""

    stem: str
    mode: str
    first: str
    operands: str
    states: str
    scalars: str
    cotangents: str
    streams: str
    sizes: tuple[str, ...]
    parameters: tuple[str, ...]
    narrowed: tuple[str, ...]
    narrowed_back: tuple[str, ...]
    state_shape: str
    into: str
    out: str
    n_heads: int
    key_size: str
    tokens: str
    chunk: str
    tokens_back: str
    chunk_back: str
    reverse: bool
    chunk_length: int
    prologue: tuple[str, ...]
    advance: tuple[str, ...]
    ports: tuple[str, ...]
    inputs: tuple[str, ...]
    late: str
    reads: tuple[tuple[str, str], ...]
    epilogue: tuple[str, ...]
    collected: tuple[tuple[str, str, str], ...]
    returned: tuple[str, ...]
    d_state: str
    reads_again: bool
    replay: tuple[str, ...]
    replay_epilogue: tuple[str, ...]
    adjoint_epilogue: tuple[str, ...]
    d_reads: tuple[str, ...]
    wanted: tuple[tuple[str, str], ...]
    adjoint: tuple[str, ...]
    zeros: tuple[str, ...]
    accumulate: tuple[str, ...]
    gradients: str
    hoisted_back: tuple[str, ...]
    joined: tuple[str, ...]
    returned_back: tuple[str, ...]


def gathered_op(o: OpText, mode: str) -> GatheredOp | None:
    """The context of an op that gathers outer products; None if it is of another class."""
    return None if o.program.outer is None else _Writer(o, o.program.outer).write(mode)


class _Writer(CoreText):
    def __init__(self, op: OpText, f: OuterProgram) -> None:
        super().__init__(op, f, [q.read for q in f.queries], "j_t - i_t")
        self.f = f
        sort = self.o.sorted
        self.heads, self.keys, self.values = sort(f.heads), sort(f.keys), sort(f.values)
        self.grid = (*self.heads, *self.keys, *self.values)
        self.decay = (*self.heads, *(self.keys if f.by_key else ()))

    def write(self, mode: str) -> GatheredOp:
        o, f, a, names, carried = self.o, self.f, self.f.adjoint, self.o.names, self.carried
        inputs = [f.decay, f.key, f.value, *(q.name for q in f.queries)]
        forward = self.forward(inputs)
        back = self.backward([q.cotangent for q in f.queries if q.cotangent is not None], inputs)
        own, last = names(carried.of), names(f"g_last:{carried.of}")
        flip = ".flip(1)" if o.r.reverse else ""
        said: set[int] = set()
        turn = tuple(self.atoms.index(x) for x in self.grid)
        home = tuple(self.grid.index(x) for x in self.atoms)
        wanted = [*f.given, *(q.wanted for q in f.queries)]
        shapes = [self.decay, (*self.heads, *self.keys), (*self.heads, *self.values)]
        shapes += [(*self.heads, *self.keys)] * len(f.queries)
        home_grid = f".reshape({', '.join(['rows', *o.shape(self.grid)])}){self.permuted(home, 1)}"
        given = tuple(self._input(n, axes) for n, axes in zip(inputs, shapes, strict=True))
        return GatheredOp(
            stem=o.stem,
            mode=mode,
            first=names(self.streaming[0].operand.name),
            operands=", ".join(names(x.name) for x in o.operands),
            states=own,
            scalars="".join(f", {s.name}" for s in o.scalars),
            cotangents=", ".join([*(names(f"g:{res.name}") for res in o.program.results), last]),
            streams=o.streams,
            sizes=o.size_lines(),
            parameters=self.parameters(),
            narrowed=self.narrowed(names_read(forward) | set(inputs)),
            narrowed_back=self.narrowed(names_read([*back, *a.hoisted]) | self.summed() | set(inputs)),
            state_shape=", ".join(["rows", *o.shape(carried.axes)]),
            into=o.view(carried.axes)[0] + self.permuted(turn, 1),
            out=home_grid + o.view(carried.axes)[1],
            n_heads=len(self.heads),
            key_size=" * ".join(o.shape(self.keys)),
            tokens=tuple_of(whole_leaf(o, leaf) for leaf in self.streaming),
            chunk=targets(names(leaf.name) for leaf in self.streaming),
            tokens_back=tuple_of([*(whole_leaf(o, leaf) for leaf in self.streaming), *seed_views(o)]),
            chunk_back=targets([*(names(x.name) for x in self.streaming), *(names(f"g:{p}") for p in self.results)]),
            reverse=o.r.reverse,
            chunk_length=64,
            prologue=o.lines([let for let in forward if let in f.prologue], said),
            advance=o.lines(slice_lets(f.prologue, inputs[:3])),
            ports=given[:3],
            inputs=given,
            late=tuple_of(str(q.late) for q in f.queries),
            reads=tuple((names(q.read), self._output(shapes[2])) for q in f.queries),
            epilogue=o.lines([let for let in forward if let in f.epilogue], said),
            collected=tuple(
                (names(f"{p}:chunks"), "".join(f", {s}" for s in o.shape(o.sorted(res.atoms))), self.part(p, res.atoms))
                for res in o.program.results
                for p in res.parts
            ),
            returned=tuple(
                self.result(res, [f"torch.cat({names(f'{p}:chunks')}, 1)" for p in res.parts], flip)
                for res in o.program.results
            ),
            d_state=last,
            reads_again=bool({q.read for q in f.queries} & (names_read(back) | self.summed())),
            replay=o.lines([let for let in back if let in f.prologue]),
            replay_epilogue=o.lines([let for let in back if let in f.epilogue]),
            adjoint_epilogue=o.lines([let for let in back if let in a.epilogue]),
            d_reads=tuple(
                self._input(None, shapes[2], self.d_read(q.cotangent, o.sorted(shapes[2]))) for q in f.queries
            ),
            wanted=tuple((names(n), self._output(x)) for n, x in zip(wanted, shapes, strict=True)),
            adjoint=o.lines([let for let in back if let in a.prologue]),
            zeros=tuple(
                f"{names(n)} = _zeros({', '.join([names(self.streaming[0].operand.name), 'dtype', *self._sizes(n)])})"
                for n in self.sums
            ),
            accumulate=tuple(f"{names(n)} = {names(n)} + {self.total(n)}" for n in self.sums),
            gradients=tuple_of(self.gradient(n) for n in self.moving()),
            hoisted_back=o.lines(a.hoisted),
            joined=tuple(
                joined_line(o, i, next(x for x in self.streaming if x.name == n)) for i, n in enumerate(self.moving())
            ),
            returned_back=tuple(returned_gradient(o, x) for x in o.operands),
        )

    def _sizes(self, cotangent: str) -> tuple[str, ...]:
        return accumulated_shape(self.o, cotangent)

    def _output(self, axes: tuple[str, ...]) -> str:
        """The code that takes what the core gives, [rows, tokens, heads, rest], to canonical order."""
        return f".reshape({self.lead(axes)}){self.permuted(tuple(axes.index(x) for x in self.o.sorted(axes)), 2)}"

    def _input(self, name: str | None, axes: tuple[str, ...], code: str = "") -> str:
        """A value as the core is given it: [rows, heads, tokens, rest]."""
        order = self.o.sorted(axes)
        code = code or self.spread(name or "", order)
        turn = self.permuted(tuple(order.index(x) for x in axes), 2)
        return f"_by_head({code}{turn}, {len(self.heads)})"
