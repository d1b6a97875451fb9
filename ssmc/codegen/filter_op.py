"""The functions of an op with a filter: all tokens at once, from the streams through the filters to the results."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from ssmc.codegen.eager_pieces import names_read, returned_gradient, seed_views, targets, tuple_of, whole_leaf
from ssmc.codegen.op_text import OpText
from ssmc.ir.program import FilterProgram, FilterRead, FilterStream
from ssmc.lower.share import slice_lets


@dataclass(frozen=True, slots=True)
class FilterOp:
    """The holes of `templates/eager/filtered.py.jinja`: parameter lists and tuples as text, bodies as lines."""

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


def filter_op(o: OpText, mode: str) -> FilterOp | None:
    """The context of an op's filtered form; None if it has none."""
    return None if o.program.filter is None else _Writer(o, o.program.filter).write(mode)


class _Writer:
    """Writes in the names of an op whose program is the filter's: no fields, everything before or after the filters."""

    def __init__(self, op: OpText, f: FilterProgram) -> None:
        adjoint = replace(f.adjoint, accumulated=(*f.adjoint.accumulated, *f.given))
        program = replace(
            op.program,
            fields=(),
            ports=(),
            hoisted=f.hoisted,
            prologue=f.prologue,
            update=(),
            epilogue=f.epilogue,
            adjoint=adjoint,
        )
        self.f = f
        self.o = OpText(op.layer, program, op.stem, op.op, op.reference_name, op.title, op.kernel)
        self.atoms = self.o.sorted(self.o.r.carried[0].atoms)
        self.channels, self.inner = self.o.sorted(self.o.r.channels), self.o.sorted(self.o.r.inner)
        grid = (*self.channels, *self.inner)
        self.whole = ", ".join(["rows", "T", *self.o.shape(self.channels)])
        self.turn = tuple(self.atoms.index(a) for a in grid)
        self.back = tuple(grid.index(a) for a in self.atoms)

    def write(self, mode: str) -> FilterOp:
        o, f, a, names = self.o, self.f, self.f.adjoint, self.o.names
        carried = o.r.carried[0]
        streaming = [leaf for leaf in o.program.leaves if leaf.operand.token]
        results = [part for res in o.program.results for part in res.parts]
        gradients = [a.gradients[leaf.name] for leaf in streaming if leaf.name in a.gradients]
        body = [*f.prologue, *f.epilogue, *a.epilogue, *a.prologue]
        cotangents = [r.cotangent for r in f.reads if r.cotangent is not None]
        sums = [n for n in a.accumulated if n in names_read(a.hoisted) or n in a.gradients.values()]
        wanted = [*cotangents, *gradients, *(x.name for x in f.streams), *names_read(o.let(n) for n in sums)]
        back = [let for let in slice_lets(body, wanted) if let.name not in a.accumulated]
        replay = [let for let in back if let in f.epilogue]
        again = bool({r.name for r in f.reads} & names_read(back)) or any(
            r.name in names_read(o.let(n) for n in sums) for r in f.reads
        )
        forward = slice_lets([*f.prologue, *f.epilogue], [*results, *(x.name for x in f.streams)])
        states, last = [names(carried.of)], [names(f"g_last:{carried.of}")]
        flip = ".flip(1)" if o.r.reverse else ""
        said: set[int] = set()
        whole = self.whole
        grid = ", ".join(["rows", *o.shape(self.channels), *o.shape(self.inner)])
        out_view = f".reshape({grid}){self._permuted(self.back, 1)}{o.view(carried.axes)[1]}"
        own = names(carried.of)
        kind = "_complex_of(dtype)" if carried.dtype == "complex" else "dtype"
        early_back = names_read([*back, *a.hoisted, *(o.let(n) for n in sums)])
        return FilterOp(
            stem=o.stem,
            mode=mode,
            kernel=o.kernel,
            first=names(streaming[0].operand.name),
            operands=", ".join(names(x.name) for x in o.operands),
            states=", ".join(states),
            scalars="".join(f", {s.name}" for s in o.scalars),
            cotangents=", ".join([*(names(f"g:{res.name}") for res in o.program.results), *last]),
            streams=", ".join(names(x.name) for x in o.operands if x.token),
            sizes=o.size_lines(),
            parameters=self._parameters(),
            system=self._system(),
            narrowed=self._narrowed(names_read(forward)),
            narrowed_back=self._narrowed(early_back),
            tokens=tuple_of(whole_leaf(o, leaf) for leaf in streaming),
            chunk=targets(names(leaf.name) for leaf in streaming),
            tokens_back=tuple_of([*(whole_leaf(o, leaf) for leaf in streaming), *seed_views(o)]),
            chunk_back=targets(names(n) for n in (*(x.name for x in streaming), *(f"g:{p}" for p in results))),
            reverse=o.r.reverse,
            prologue=o.lines([let for let in forward if let in f.prologue], said),
            inputs=tuple_of(self._whole(x) for x in f.streams),
            n_channels=len(self.channels),
            state=own,
            start=f"{own}.to({kind}){o.view(carried.axes)[0]}{self._permuted(self.turn, 1)}",
            d_state=last[0],
            d_last=f"{last[0]}.to({kind}){o.view(carried.axes)[0]}{self._permuted(self.turn, 1)}",
            d_start=out_view,
            reads=tuple((names(r.name), f".reshape({whole})") for r in f.reads),
            epilogue=o.lines([let for let in forward if let in f.epilogue], said),
            returned=tuple(self._result(res.parts, res.atoms, res.axes, flip) for res in o.program.results),
            empty=f"dtype={kind}",
            reads_again=again,
            replay=o.lines(replay),
            adjoint_epilogue=o.lines([let for let in back if let in a.epilogue]),
            d_reads=tuple(self._d_read(r) for r in f.reads),
            d_streams=tuple((names(x.cotangent), f".reshape({whole})") for x in f.streams),
            adjoint=o.lines([let for let in back if let in a.prologue]),
            accumulate=tuple(f"{names(n)} = {o.total(n, self._atoms_of(n))}" for n in sums),
            weights=self._weights(names_read(a.hoisted) | set(a.gradients.values())),
            hoisted_back=o.lines(a.hoisted),
            joined=tuple(
                f"{names(f'd:{x.name}')} = {self._gradient(x.name)}{flip}" for x in streaming if x.name in a.gradients
            ),
            returned_back=tuple(returned_gradient(o, x) for x in o.operands),
            channels=" * ".join(o.shape(self.channels)) or "1",
            inner=" * ".join(o.shape(self.inner)) or "1",
            n_streams=len(f.streams),
            n_reads=len(f.reads),
        )

    # --- what is known before time starts ---

    def _parameters(self) -> tuple[str, ...]:
        o, lines = self.o, []
        for leaf in o.program.leaves:
            if not leaf.operand.token:
                part = {"re": ".real", "im": ".imag", "": ""}[leaf.part]
                lines.append(
                    f"{o.names(leaf.name)} = _fine({o.names(leaf.operand.name)}{part}){o.view(leaf.operand.axes)[0]}"
                )
        return (*lines, *o.lines(o.program.hoisted))

    def _narrowed(self, wanted: set[str]) -> tuple[str, ...]:
        o = self.o
        early = [x.name for x in o.program.leaves if not x.operand.token]
        used = [n for n in (*early, *(let.name for let in o.program.hoisted)) if n in wanted]
        return (
            (f"{targets(o.names(n) for n in used)} = _narrow(dtype, {', '.join(o.names(n) for n in used)})",)
            if used
            else ()
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
        full = [x if set(self._let_axes(n)) == set(self.atoms) else x + shape for x, n in zip(full, parts, strict=True)]
        if turned:
            full = [f"-{full[1]}", full[0]] if turned > 0 else [full[1], f"-{full[0]}"]
        code = full[0] if len(full) == 1 else f"torch.complex({', '.join(full)})"
        return f"_plane({code}{self._permuted(self.turn)}, 0, {len(self.channels)})"

    def _permuted(self, order: tuple[int, ...], lead: int = 0) -> str:
        if order == tuple(range(len(order))):
            return ""
        return f".permute({', '.join(str(i) for i in (*range(lead), *(i + lead for i in order)))})"

    # --- forward ---

    def _whole(self, x: FilterStream) -> str:
        """A stream at every row, token and channel."""
        o = self.o
        code = o.aligned(x.name, self.channels)
        if x.name in o.early_names or set(o.reference(x.name).axes) != set(self.channels):
            code += f".expand({self.whole})"
        return code

    def _result(self, parts: Sequence[str], atoms: tuple[str, ...], axes: tuple[str, ...], flip: str) -> str:
        o = self.o
        back = o.view(axes)[1]
        codes = [self._part(p, atoms) for p in parts]
        if len(codes) == 1:
            return f"_as({codes[0]}{flip}{back}, y_dtype)"
        return f"_own(torch.complex({', '.join(codes)}){flip}{back})"

    def _part(self, name: str, atoms: tuple[str, ...]) -> str:
        for r in self.f.reads:
            if r.name in (name, f"{name}:after"):
                return self.o.names(r.name)
        return self.o.expanded(name, atoms, "-1, -1, ")

    # --- backward ---

    def _d_read(self, r: FilterRead) -> str:
        o = self.o
        if r.cotangent is None:
            first = next(x.operand.name for x in o.program.leaves if x.operand.token)
            return f"{o.names(first)}.new_zeros(({self.whole}), dtype=dtype)"
        code = o.aligned(r.cotangent, self.channels)
        return code if set(o.reference(r.cotangent).axes) == set(self.channels) else f"{code}.expand({self.whole})"

    def _atoms_of(self, cotangent: str) -> tuple[str, ...]:
        own = cotangent.removeprefix("d:")
        found = next((x.atoms for x in self.o.program.hoisted if x.name == own), None)
        return found if found is not None else next(x.operand.atoms for x in self.o.program.leaves if x.name == own)

    def _weights(self, wanted: set[str]) -> tuple[str, ...]:
        """The cotangents of the coefficient and weights, in the axes each of them has."""
        groups: dict[tuple[str, ...], list[str]] = {self.f.coefficient: ["grads.a"]}
        for j, x in enumerate(self.f.streams):
            groups.setdefault(x.weights, []).append(f"grads.b[{j}]" if not x.turned else f"grads.b[{j}] * -1j")
        for i, r in enumerate(self.f.reads):
            groups.setdefault(r.weights, []).append(f"grads.c[{i}]" if not r.turned else f"grads.c[{i}] * 1j")
        lines = []
        grid = ", ".join([*self.o.shape(self.channels), *self.o.shape(self.inner)])
        for parts, codes in groups.items():
            if not any(f"d:{n}" in wanted for n in parts):
                continue
            total = codes[0] if len(codes) == 1 else f"({' + '.join(codes)})"
            total = f"({total})" if " " in total and not total.startswith("(") else total
            lines.append(f"d_weight = {total}.reshape({grid}){self._permuted(self.back)}")
            for n, part in zip(parts, (".real", ".imag"), strict=False):
                own = self._let_axes(n)
                lacks = [str(self.atoms.index(a)) for a in self.atoms if a not in own]
                summed = f".sum(({', '.join(lacks)},))" if lacks else ""
                if f"d:{n}" in wanted:
                    lines.append(f"{self.o.names(f'd:{n}')} = d_weight{part}{summed}.to(dtype)")
        return tuple(lines)

    def _let_axes(self, name: str) -> tuple[str, ...]:
        return next(let.atoms for let in self.f.hoisted if let.name == name)

    def _gradient(self, leaf: str) -> str:
        o = self.o
        found = next(x for x in o.program.leaves if x.name == leaf)
        return o.expanded(self.f.adjoint.gradients[leaf], found.operand.atoms, "-1, -1, ")
