"""The host side of an op: what is allocated, passed to kernels, summed and returned."""

from __future__ import annotations

from collections.abc import Iterable

from ssmc.backends.triton.contexts import Kernel, Launch
from ssmc.backends.triton.kernel_op import Kernels
from ssmc.backends.triton.memory import splits
from ssmc.ir.program import Leaf
from ssmc.ir.regions import Carried, Operand


class Host:
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

    def passed(self, values: Iterable[str], kernel: Kernel, leaves: Iterable[str], time: bool = True) -> str:
        """The arguments of a kernel: operands, other tensors, and strides; `leaves` are the streams' tensors."""
        streams = [v if time else f"{v}.stride(0)" for v in leaves]
        strides = [f"*{v}.stride()[:2]" if time else v for v in streams]
        numbers = ["cu_seqlens", "T", "config.pieces"] if time else []
        return ", ".join([*values, *numbers, *strides])

    def operand(self, o: Operand) -> str:
        """An operand on the host."""
        return self.names(o.name)

    def streams(self, leaves: Iterable[Leaf]) -> list[str]:
        """The tensors of streaming leaves."""
        return [self.operand(o) for o in self.k.streamed(leaves)]

    def parameters(self) -> list[str]:
        """The parameters among the operands that kernels take."""
        return [self.operand(o) for o in self.operands if not o.token]

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
        leaves = k.used(q.update, q.read)
        leaves_back = k.used(q.update, q.vjp)
        read = {key[0] for key in q.vjp.inputs}
        seeds = [self.seed(r.name) for r in self.p.results if any(f"g:{part}" in read for part in r.parts)]
        d_lasts, d_firsts = [names(f"g_last:{x.of}") for x in c], [names(f"first:d:{x.of}") for x in c]
        kept = [names(f"kept:{x.of}") for x in c]
        reals = [f"_reals({r})" for r in results]
        real_lasts = [f"_reals({v})" for v in lasts]
        none = ["None"] * len(c)
        streams, streams_back = self.streams(leaves), self.streams(leaves_back)
        gradients = [o for o in self.operands if k.has_gradient(o)]
        d_args = [names(f"d:{o.name}") if self.partial(o) else f"_reals({names(f'd:{o.name}')})" for o in gradients]
        step_lasts = [f"_reals({v})" for v in lasts]
        piece = self.streams(k.used(q.update, q.decay)) if q.decay else []
        state, sizes = c[0], self.o.size_lines()
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
            inner=" * ".join(f"_pow2({self.o.size(a)})" for a in k.tile.inner) or "1",
            numbers=" * ".join(["rows", *(self.o.size(a) for a in (*k.tile.channels, *k.tile.inner))]),
            width=k.host_width(state),
            numel=self.product(state.atoms),
            complex_flag=", True" if state.dtype == "complex" else "",
            constants=self._constants(),
            prepared=(
                *self._prepared(leaves),
                *(f"{s} = None if {s} is None else _reals({s}.contiguous())" for s in states),
            ),
            prepared_back=(
                *self._prepared(leaves_back),
                *(f"{s} = _reals(_rows_of({s}))" for s in seeds),
                *(f"{s} = None if {s} is None else _reals({s}.contiguous())" for s in (*states, *d_lasts)),
            ),
            copied=tuple(zip(lasts, states, strict=True)),
            last_states=", ".join(lasts),
            gradients=(
                *(self._made(o) for o in gradients),
                *(
                    f"{d} = None if {s} is None else _like(inputs[{len(self.o.operands) + i}])"
                    for i, (d, s) in enumerate(zip(d_firsts, states, strict=True))
                ),
                *(
                    f"{n} = torch.empty(slots, {k.host_width(x)}, dtype=torch.float32, device={self.first}.device)"
                    for n, x in zip(kept, c, strict=True)
                ),
            ),
            finished=tuple(self._finished(o) for o in gradients if self.partial(o)),
            returned=", ".join((*results, *lasts)),
            returned_step=", ".join(results),
            returned_back=(
                *(names(f"d:{o.name}") if o in gradients else f"{self.first}.new_empty(0)" for o in self.o.operands),
                *(f"{self.first}.new_empty(0) if {d} is None else {d}" for d in d_firsts),
            ),
            walk=self.passed([*streams, *self.parameters(), *states, *reals, *real_lasts, *none], walk, streams),
            keep=self.passed(
                [*streams, *self.parameters(), *states, *(["None"] * len(results)), *none, *kept], walk, streams
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
                backward,
                [*streams_back, *seeds],
            ).replace("config.pieces,", f"config.pieces, {self.first}.shape[0] * T,", 1),
            step=self.passed([*streams, *self.parameters(), *states, *reals, *step_lasts], walk, streams, time=False),
            piece=self.passed([*piece, *self.parameters(), "products", "ends"], walk, piece),
            piece_back=self._piece_back(),
            state=states[0],
            d_last=d_lasts[0],
        )

    def partial(self, o: Operand) -> bool:
        """Whether an operand's cotangent comes in parts that are summed afterwards."""
        t = self.k.tile
        return not o.token or t.lacks_all(o.atoms) or bool(splits(t, o.atoms))

    def _piece_back(self) -> str:
        q = self.k.q
        if q.wants is None or q.decay is None:
            return ""
        leaves = self.streams(self.k.used(q.decay, q.wants))
        read = {key[0] for key in q.wants.inputs}
        seeds = [self.seed(r.name) for r in self.p.results if any(f"g:{part}" in read for part in r.parts)]
        values = [*leaves, *self.parameters(), *seeds, "ends"]
        return ", ".join(
            [*values, "cu_seqlens", "T", "config.pieces", *(f"*{v}.stride()[:2]" for v in (*leaves, *seeds))]
        )

    def _prepared(self, leaves: Iterable[Leaf]) -> list[str]:
        out = []
        for o in self.k.streamed(leaves):
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
        return ", ".join(f"{n}={v}" for n, v in own.items())

    def _result(self, name: str, axes: tuple[str, ...], is_complex: bool) -> str:
        streams = ", ".join(self.names(x.name) for x in self.o.operands if x.token)
        kind = "torch.complex64" if is_complex else f"_stream_dtype({streams})"
        shape = f"({self.first}.shape[0], T, {self.size(axes)})"
        return f"{self.names(f'y:{name}')} = torch.empty({shape}, dtype={kind}, device={self.first}.device)"

    def _index(self, o: Operand) -> int:
        return [x.name for x in self.o.operands].index(o.name)

    def _made(self, o: Operand) -> str:
        t, like, name = self.k.tile, f"inputs[{self._index(o)}]", self.names(f"d:{o.name}")
        parts = [x.part for x in self.p.leaves if x.operand.name == o.name and x.name in self.p.adjoint.gradients]
        whole = o.dtype != "complex" or len(parts) == 2
        if not self.partial(o):
            return f"{name} = _like({like})" if whole else f"{name} = _like({like}).zero_()"
        n = [] if o.token else ["rows", "config.pieces"]
        if t.lacks_all(o.atoms):
            n.append("n_blocks")
        else:
            n += [self.o.size(a) for a in splits(t, o.atoms)]
        made = f"_parts({' * '.join(n)}, {like})"
        return f"{name} = {made}" if whole else f"{name} = {made}.zero_()"

    def _finished(self, o: Operand) -> str:
        name = self.names(f"d:{o.name}")
        return f"{name} = _summed({name}, inputs[{self._index(o)}])"


def _kind(c: Carried) -> str:
    return "torch.complex64" if c.dtype == "complex" else "torch.float32"
