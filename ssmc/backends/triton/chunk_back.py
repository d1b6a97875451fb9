"""The kernels of a chunk that write cotangents, and all kernels of an op together."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from ssmc.backends.triton.chunk_contexts import ChunkKernel, ChunkOp, ChunkRead
from ssmc.backends.triton.chunk_op import ChunkKernels
from ssmc.backends.triton.chunk_tile import KEYS, MASKS, TIME, Places
from ssmc.backends.triton.equations import Equation
from ssmc.backends.triton.tiles import Dims, place


class ChunkGradients(ChunkKernels):
    """Builds the contexts of all kernels."""

    def _stores(self, vjp: Equation, hoist: Equation, had: Sequence[Equation], places: Places) -> list[str]:
        """The lines that store what `vjp` gives, and the parameters' cotangents that `hoist` gives of its sums; the
        sums that the kernel has are those of `had`."""
        e, a, m, lines = self.e, self.a, self.memory, []
        blocks, late = vjp is self.vjp_values, self.moving(self.vjp_keys, self.vjp_heads)[1]
        if vjp.lines:
            lines.append(f"{', '.join(e.name((n, 0)) for n in vjp.outputs)} = {self.call(vjp, places)}")
        dims = dict(zip(vjp.outputs, vjp.dims, strict=True))
        for x in self.moving(vjp)[0]:
            n, o = a.gradients[x.name], x.operand
            lines.append(m.gradient(self.tile.name(f"d:{o.name}"), self.value_of(n), dims[n], o, blocks, places))
        for n in (n for n in a.accumulated if n in vjp.outputs):
            target: Dims = (TIME, *(d for d in dims[n] if d != TIME))
            value = place(self.value_of(n), dims[n], target)
            lines.append(f"{e.name((n, 0))} = tl.sum(tl.where({MASKS[target]}, {value}, 0.0), 0)")
        parameters = [x for x in self.moving(*had)[1] if self.a.gradients[x.name] in hoist.outputs]
        if parameters and hoist.lines:
            others = [n for n in a.accumulated if not any(n in v.outputs for v in had)]
            names = ", ".join(e.name((n, 0)) for n in hoist.outputs)
            lines.append(f"{names} = {self.call(hoist, places, others)}")
        given = dict(zip(hoist.outputs, hoist.dims, strict=True))
        for x in parameters:
            n, o = a.gradients[x.name], x.operand
            d = self.tile.name(f"d:{o.name}")
            lines.append(m.total(d, e.name((n, 0)), given[n], o, blocks, blocks and x in late, places))
        return lines

    def d_keys(self) -> ChunkKernel:
        """The kernel that writes the cotangents which need none of the values."""
        places, had = Places(self.tile), (self.vjp_keys, self.vjp_heads)
        keyed = self._stores(self.vjp_keys, self.hoist_vjp_keys, had, places)
        stores = self._stores(self.vjp_heads, self.hoist_vjp, had, places)
        for n in self.passed:
            own = KEYS in self.e.dims(n)
            atoms = (*self.f.heads, *(self.f.keys if own else ()))
            line = self.memory.store(self.tensor(f"core:{n}"), self.value_of(n), self.e.dims(n), atoms, places)
            (keyed if own else stores).append(line)
        results = [self.tile.name(f"d:{x.operand.name}") for leaves in self.moving(*had) for x in leaves]
        results += [self.tensor(f"core:{n}") for n in self.passed]
        after = [*had, self.hoist_vjp, self.hoist_vjp_keys]
        kernel = self.kernel([*self.inputs, self.d_reads], after, stores, results, places)
        return replace(kernel, keyed_stores=tuple(keyed))

    def d_values(self) -> ChunkKernel:
        """The kernel that writes the others."""
        places, had, stores = Places(self.tile), (self.vjp_values,), []
        for hoist in (self.hoist_vjp, self.hoist_vjp_keys):
            stores += [x for x in self._stores(self.vjp_values, hoist, had, places) if x not in stores]
        results = [self.tile.name(f"d:{x.operand.name}") for leaves in self.moving(*had) for x in leaves]
        after = [self.vjp_values, *([self.hoist_vjp, self.hoist_vjp_keys] if self.moving(*had)[1] else [])]
        return self.kernel([self.decay, self.key, self.d_reads], after, stores, results, places, self.passed)

    def build(self) -> ChunkOp:
        """The context."""
        f, t = self.f, self.tile
        wanted = self.kernel([self.decay, self.queries, self.d_reads])
        d_keys, d_values = self.d_keys(), self.d_values()
        again = any(n.startswith("read:") for k in (wanted, d_keys, d_values) for n in k.streamed)
        atoms = [t.size(x) for x in (*t.channels, *t.inner)]
        reads = tuple(
            ChunkRead(
                i, f"b_query_{i}", f"b_read_{i}", f"b_d_query_{i}", f"b_d_read_{i}", q.late, q.cotangent is not None
            )
            for i, q in enumerate(f.queries)
        )
        reverse = self.p.recurrence.reverse
        first = "bos + n - 1 - {} * BT" if reverse else "bos + {} * BT"
        return ChunkOp(
            stem=self.o.stem,
            equations=tuple(self.e.made),
            constants="".join(f"{c}: tl.constexpr, " for c in (*atoms, *self.e.constants.values)),
            heads=t.sizes(t.channels),
            keys=t.sizes(t.keys),
            values=t.sizes(t.values),
            by_key=f.by_key,
            mixed=self.mixed,
            sign="-" if reverse else "",
            first_walking=first.format("j"),
            first_inside=first.format("i_c"),
            reads=reads,
            seeded=tuple(r for r in reads if r.seeded),
            states=self.kernel([self.decay, self.key, self.value]),
            scores=self.kernel([self.decay, self.key, self.queries]),
            forward=((self.outputs(), "outputs"), *([(self.reads(), "reads")] if again else [])),
            wanted=wanted,
            d_keys=d_keys,
            d_values=d_values,
        )
