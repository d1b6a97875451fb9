"""The host side of an op: what is allocated, passed to kernels, summed and returned."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from ssmc.backends.triton.contexts import Kernel, Launch
from ssmc.backends.triton.host_gradients import Gradients
from ssmc.backends.triton.kernel_op import Kernels
from ssmc.ir.program import Leaf
from ssmc.ir.regions import Carried, Operand


class Host(Gradients):
    """Builds the context of the launches of an op."""

    def __init__(self, k: Kernels) -> None:
        self.k, self.o, self.p = k, k.e.o, k.p
        self.names = k.e.o.names
        self.operands = k.operands
        self.carried = self.p.recurrence.carried
        self.first = self.names(next(x for x in self.o.operands if x.token).name)

    def size(self, axes: Iterable[str]) -> str:
        """Sizes of axes, each followed by a comma."""
        return "".join(f"{self.o.size(a)}, " for a in axes)

    def product(self, axes: Iterable[str]) -> str:
        """The product of the sizes of axes."""
        return " * ".join(self.o.size(a) for a in axes) or "1"

    def passed(self, values: Iterable[str], numbers: Iterable[str], leaves: Iterable[str]) -> str:
        """The arguments of a walk: operands, other tensors, numbers, and strides of the streams."""
        return ", ".join([*values, "cu_seqlens", "T", *numbers, *(f"*{v}.stride()[:2]" for v in leaves)])

    def operand(self, o: Operand) -> str:
        """An operand on the host."""
        return self.names(o.name)

    def streams(self, leaves: Iterable[Leaf], wide: bool = False) -> list[str]:
        """The tensors of streaming leaves; `wide`, those that are widened under another name."""
        return [self.wide(o) if wide else self.operand(o) for o in self.k.streamed(leaves)]

    def wide(self, o: Operand) -> str:
        """An operand as walks read it: in float32 if channels share it."""
        return self.names(f"wide:{o.name}") if self.widened(o) else self.operand(o)

    def widened(self, o: Operand) -> bool:
        """Whether it is one that `wide` speaks of."""
        t = self.k.tile
        shared = t.lacks_all(o.atoms) or self.gathered(o)
        return o.token and o.dtype == "real" and bool(t.dims(o.atoms)) and shared

    def gathered(self, o: Operand) -> bool:
        """Whether lanes gather an operand, a number each that others have too."""
        return self.k.tile.in_runs(o.atoms) and len(self.k.tile.dims(o.atoms)) == 1

    def parameters(self, walks: bool = True) -> list[str]:
        """The parameters among the operands that kernels take, as walks or as steps read them."""
        turned = self.k.memory.is_turned if walks else lambda o: False
        return [
            self.names(f"turned:{o.name}") if turned(o) else self.operand(o) for o in self.operands if not o.token
        ]

    def last(self, c: Carried) -> str:
        """The last state on the host."""
        return self.names(f"last:{c.of}")

    def seed(self, name: str) -> str:
        """The cotangent of a result."""
        return self.names(f"g:{name}")

    def launch(self, walk: Kernel, backward: Kernel) -> Launch:
        """The context."""
        k, q, names, c = self.k, self.k.q, self.names, self.carried
        states = [names(x.of) for x in c]
        lasts = [self.last(x) for x in c]
        results = [names(f"y:{r.name}") for r in self.p.results]
        leaves = k.used(q.prepare, q.update, q.read)
        leaves_back = k.used(q.prepare, q.update, q.vjp)
        seeds = [self.seed(r.name) for r in k.seeded(q.vjp)]
        d_lasts, d_firsts = [names(f"g_last:{x.of}") for x in c], [names(f"first:d:{x.of}") for x in c]
        kept, starts = [names(f"kept:{x.of}") for x in c], [names(f"starts:{x.of}") for x in c]
        reals = [f"_reals({r})" for r in results]
        real_lasts = [f"_reals({v})" for v in lasts]
        streams, streams_back = self.streams(leaves), self.streams(leaves_back, wide=True)
        gradients = [o for o in self.operands if k.has_gradient(o)]
        gathered = [o for o in gradients if self.gathers(o)]
        d_args = [names(f"d:{o.name}") if self.partial(o) else f"_reals({names(f'd:{o.name}')})" for o in gradients]
        step = k.used(q.prepare, q.update, q.decay) if q.decay else []
        step += [x for x in k.used(*([q.wants] if q.wants else [])) if x not in step]
        piece, piece_wide = self.streams(step), self.streams(step, wide=True)
        cut = [f for f in (q.decay, q.wants) if f is not None] if q.wants is not None else []
        keeping = k.used(q.prepare, q.update)
        keep, seeds_cut = self.streams(keeping, wide=True), [self.seed(r.name) for r in k.seeded(*cut)]
        none = ["None"] * len(seeds_cut)
        both = {o.name: o for o in (*k.streamed(leaves_back), *k.streamed(keeping), *k.streamed(step))}
        turned = [self._turned_parameter(o) for o in self.operands if k.memory.is_turned(o)]
        widened = [self.operand(o) for o in self.operands if self.widened(o)]
        state, sizes = c[0], self.o.size_lines()
        inner = " * ".join(f"_pow2({self.o.size(a)})" for a in k.tile.inner)
        narrow = q.wants is not None and inner and self.o.streams
        kind = f"_kept_dtype(_stream_dtype({self.o.streams}), {inner})" if narrow else "torch.float32"
        rooms = [f"_starts({self.first}, {self.o.width(x)}, {kind}, keep, cu_seqlens)" for x in c]
        made = tuple(self._result(r.name, r.axes, len(r.parts) > 1) for r in self.p.results)
        made_lasts = tuple(
            f"{self.last(x)} = torch.empty((rows, {self.size(x.axes)}), dtype={_kind(x)}, device={self.first}.device)"
            for x in c
        )
        return Launch(
            operands=", ".join(self.operand(o) for o in self.o.operands),
            states=", ".join(states),
            scalars="".join(f", {s.name}" for s in self.o.scalars),
            cotangents=", ".join([*(self.seed(r.name) for r in self.p.results), *d_lasts]),
            first=self.first,
            differentiable="("
            + "".join(f"{k.has_gradient(o) if o in self.operands else False}, " for o in self.o.operands)
            + "True, " * len(c)
            + ")",
            sizes=sizes,
            opening=(*sizes, *made, *made_lasts),
            opening_step=(*sizes, *made),
            lanes=self.product(k.tile.channels),
            inner=inner or "1",
            numbers=" * ".join(["rows", *(self.o.size(a) for a in (*k.tile.channels, *k.tile.inner))]),
            width=self.o.width(state),
            numel=self.product(state.atoms),
            complex_flag=", True" if state.dtype == "complex" else "",
            constants=self._constants(),
            prepared=(
                *self._prepared(k.streamed(leaves)),
                *(f"{s} = None if {s} is None else _reals({s}.contiguous())" for s in states),
            ),
            turned=(*(f"{n} = _wide({n})" for n in widened), *turned, *self._turned_states(states)),
            prepared_back=(
                *self._prepared(both.values()),
                *(f"{self.wide(o)} = _wide({self.operand(o)})" for o in both.values() if self.widened(o)),
                *(f"{s} = _reals(_rows_of({s}))" for s in dict.fromkeys([*seeds, *seeds_cut])),
                *(f"{s} = None if {s} is None else _reals({s}.contiguous())" for s in (*states, *d_lasts)),
                *turned,
                *self._turned_states(states),
                *self._turned_states(d_lasts),
            ),
            copied=tuple(zip(lasts, states, strict=True)),
            last_states=", ".join(lasts),
            gradients=(
                *(self.made(o) for o in gradients),
                *(
                    f"{d} = None if inputs[{i}] is None else _like(inputs[{i}])"
                    for i, d in enumerate(d_firsts, len(self.o.operands))
                ),
                *(
                    f"{n} = torch.empty(turns.kept, {self._kept(x, inner)}, dtype={kind}, device={self.first}.device)"
                    for n, x in zip(kept, c, strict=True)
                ),
            ),
            finished=tuple(self.finished(o) for o in gradients if self.partial(o)),
            returned=", ".join((*results, *lasts, *(starts if self.p.walked else ()))),
            returned_step=", ".join(results),
            returned_back=(
                *(names(f"d:{o.name}") if o in gradients else f"{self.first}.new_empty(0)" for o in self.o.operands),
                *(f"{self.first}.new_empty(0) if {d} is None else {d}" for d in d_firsts),
            ),
            walk=self.passed(
                [
                    *streams, *self.parameters(), *states, *reals, *real_lasts,
                    *(f"{v} if cuts > 1 else None" for v in starts if self.p.walked),
                ],
                ["config.pieces", *(["max(1, cuts // config.pieces)", "T // _PIECE"] if self.p.walked else [])],
                streams,
            ),
            keep=self.passed(
                [*keep, *self.parameters(), *states, *kept],
                ["begin", "turns.rows", "config.pieces", "turns.parts", "turns.starts", "turns.rooms", "turns.slots"],
                keep,
            ),
            backward=self.passed(
                [
                    *streams_back,
                    *self.parameters(),
                    *seeds,
                    *kept,
                    *d_lasts,
                    *d_args,
                    *(f"None if {d} is None else _reals({d})" for d in d_firsts),
                ],
                ["begin", "turns.rows", "config.pieces", "turns.parts", "turns.rooms", "turns.slots", "turns.tokens"],
                [*streams_back, *seeds, *(names(f"d:{o.name}") for o in k.beside())],
            ),
            step=", ".join(
                [
                    *streams, *self.parameters(walks=False), *states, *reals, *real_lasts,
                    *(f"{v}.stride(0)" for v in streams),
                ]
            ),
            piece=self.passed(
                [*piece, *self.parameters(), *none, "products", "ends", *(["None"] if cut else [])],
                ["config.pieces"],
                piece,
            )
            + ", 0, 0" * len(none),
            piece_back=self.passed(
                [*piece_wide, *self.parameters(), *seeds_cut, "products", "ends", "wanted"],
                ["config.pieces"],
                [*piece_wide, *seeds_cut],
            ),
            state=states[0],
            d_last=d_lasts[0],
            handed_on=tuple(
                f"{d} = _handed_on({d}, rows * {self.o.width(x)}, {self.first})"
                for d, x in zip(d_lasts, c, strict=True)
            ),
            starts=tuple(zip(starts, rooms, states, strict=True)) if self.p.walked else (),
            start=starts[0],
            added=tuple(names(f"d:{o.name}") for o in gradients if not o.token),
            gathered=tuple(f"{self.sum(o)} = _like({self.given(o)})" for o in gathered),
            sums="[" + ", ".join(f"({names(f'd:{o.name}')}, {self.sum(o)})" for o in gathered) + "]",
            reverse=self.p.recurrence.reverse,
        )

    def _turned(self, code: str, atoms: Sequence[str], lead: Sequence[str], is_complex: bool) -> str:
        """A tensor with its channels last, behind its inner atoms, and the parts of complex numbers before both."""
        t = self.k.tile
        inner, own = [a for a in t.inner if a in atoms], [a for a in t.channels if a in atoms]
        order = [*range(len(lead)), *([len(lead) + len(atoms)] if is_complex else [])]
        order += [len(lead) + atoms.index(a) for a in (*inner, *own)]
        parts = ["2"] if is_complex else []
        code += f".reshape({', '.join([*lead, *map(self.o.size, atoms), *parts])})"
        code += f".permute({', '.join(map(str, order))})"
        if len(own) < len(t.channels):
            every = [":"] * (len(lead) + len(parts) + len(inner))
            code += f"[{', '.join([*every, *(':' if a in own else 'None' for a in t.channels)])}]"
            code += f".expand({', '.join([*lead, *parts, *map(self.o.size, (*inner, *t.channels))])})"
        return f"{code}.contiguous()"

    def _turned_parameter(self, o: Operand) -> str:
        code = self._turned(self.operand(o), o.atoms, (), o.dtype == "complex")
        return f"{self.names(f'turned:{o.name}')} = {code}"

    def _turned_states(self, states: Sequence[str]) -> list[str]:
        out = []
        for c, s in zip(self.carried, states, strict=True):
            if self.k.tile.inner or c.dtype == "complex":
                code = self._turned(s, c.atoms, ("rows",), c.dtype == "complex")
                out.append(f"{s} = None if {s} is None else {code}")
        return out

    def _kept(self, c: Carried, inner: str) -> str:
        """The numbers kept of a state for each block."""
        parts = ["2"] if c.dtype == "complex" else []
        return " * ".join([*parts, self.product(self.k.tile.channels), *([inner] if inner else [])])

    def _prepared(self, streamed: Iterable[Operand]) -> list[str]:
        out = []
        for o in streamed:
            v = self.operand(o)
            out.append(f"{v} = _reals(_rows_of({v}))" if o.dtype == "complex" else f"{v} = _rows_of({v})")
        for o in self.operands:
            v = self.operand(o)
            if not o.token:
                out.append(f"{v} = _reals({v}.contiguous())" if o.dtype == "complex" else f"{v} = {v}.contiguous()")
        return out

    def _constants(self) -> str:
        k, t = self.k, self.k.tile
        own = {t.size(a): self.o.size(a) for a in (*t.channels, *t.inner)}
        if t.lanes not in own:
            own[t.lanes] = self.product(t.channels)
        own.update(k.e.constants.values)
        own[t.block] = "config.lanes"
        own.update({pad: f"_pow2({self.o.size(a)})" for pad, a in zip(t.pads, t.inner, strict=True)})
        if "RUN" in k.sizes():  # lanes that the last channel atom alone tells apart
            last = self.o.size(t.channels[-1])
            own["RUN"] = f"min(config.lanes, {last} & -{last})"
        return ", ".join(f"{n}={v}" for n, v in own.items())

    def _result(self, name: str, axes: tuple[str, ...], is_complex: bool) -> str:
        kind = "torch.complex64" if is_complex else self.o.dtype_of(name, "torch.float32")
        shape = f"({self.first}.shape[0], T, {self.size(axes)})"
        return f"{self.names(f'y:{name}')} = torch.empty({shape}, dtype={kind}, device={self.first}.device)"


def _kind(c: Carried) -> str:
    return "torch.complex64" if c.dtype == "complex" else "torch.float32"
