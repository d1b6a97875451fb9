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
        blocks, at = vjp in self.by_blocks, next(i for i, v in enumerate(self.vjps) if vjp in v)
        before = [self.moving(*v)[1] for v in self.vjps[:at]]
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
            behind = sum(x in sums for sums in before)
            lines.append(m.total(d, e.name((n, 0)), given[n], o, blocks, behind, places))
        return lines

    @property
    def by_blocks(self) -> tuple[Equation, ...]:
        """The functions that are evaluated for a block of the values at a time."""
        return self.vjp_reads, self.vjp_values

    def reads_back(self) -> ChunkKernel:
        """The kernel that writes what results want of the reads, and the cotangents that need nothing of the core."""
        places = Places(self.tile)
        stores = [self._passing(n, places, name) for n, name in self.known.items()]
        stores += self._all_stores(self.vjp_reads, places)
        results = [*(self.tensor(f"core:{n}") for n in self.known), *self._written(self.vjp_reads)]
        return self.kernel([self.wants], self._with_hoists(self.vjp_reads), stores, results, places)

    def d_queries(self) -> ChunkKernel:
        """The kernel that writes the cotangents which need nothing but those of the queries."""
        places = Places(self.tile)
        stores = self._all_stores(self.vjp_queries, places)
        passed = [n for n in self.passed if n not in self.f.given]
        stores += [self._passing(n, places) for n in passed]
        results = [*self._written(self.vjp_queries), *(self.tensor(f"core:{n}") for n in passed)]
        core = [self.key, self.value, self.queries, self.d_reads]
        return self.kernel(core, self._with_hoists(self.vjp_queries), stores, results, places)

    def d_keys(self) -> ChunkKernel:
        """The kernel that writes the cotangents which need none of the values, but those of `d_queries`."""
        places, had, f = Places(self.tile), (self.vjp_keys, self.vjp_heads), self.f
        keyed = self._stores(self.vjp_keys, self.hoist_vjp_keys, had, places)
        stores = self._stores(self.vjp_heads, self.hoist_vjp, had, places)
        # with a decay a head, `d_queries` has begun the decay's cotangent and written those of queries
        own = [n for n in self.passed if f.by_key or n == f.given[1]]
        for n in own:
            (keyed if KEYS in self.e.dims(n) else stores).append(self._passing(n, places))
        results = [*self._written(*had), *(self.tensor(f"core:{n}") for n in own)]
        after = [*had, self.hoist_vjp, self.hoist_vjp_keys]
        read = set() if f.by_key else self._read([n for v in had for n in v.outputs])
        passed = [n for n in self.passed if n in read and n not in f.given]
        kernel = self.kernel([*self.inputs, self.d_reads], after, stores, results, places, passed)
        return replace(kernel, keyed_stores=tuple(keyed))

    def d_values(self) -> ChunkKernel:
        """The kernel that writes the others."""
        places = Places(self.tile)
        stores = self._all_stores(self.vjp_values, places)
        core = [self.d_reads] if self.f.by_key else [self.key, self.queries, self.d_reads]
        passed = [n for n in self.passed if n in self._read(self.vjp_values.outputs)]
        results = self._written(self.vjp_values)
        return self.kernel(core, self._with_hoists(self.vjp_values), stores, results, places, passed)

    def _with_hoists(self, vjp: Equation) -> list[Equation]:
        """A function, and those of parameters if these get anything of it."""
        return [vjp, *([self.hoist_vjp, self.hoist_vjp_keys] if self.moving(vjp)[1] else [])]

    def _all_stores(self, vjp: Equation, places: Places) -> list[str]:
        """The lines that store what `vjp` gives and all that parameters get of it."""
        stores: list[str] = []
        for hoist in (self.hoist_vjp, self.hoist_vjp_keys):
            stores += [x for x in self._stores(vjp, hoist, (vjp,), places) if x not in stores]
        return stores

    def _passing(self, name: str, places: Places, value: str = "") -> str:
        """The line that stores a cotangent for another kernel; here it may be called `value`."""
        tensor, dims = self.tensor(f"core:{name}"), self.e.dims(name)
        return self.memory.store(tensor, value or self.value_of(name), dims, self.along(name), places)

    def _written(self, *vjps: Equation) -> list[str]:
        """The buffers that functions' cotangents are written to."""
        return [self.tile.name(f"d:{x.operand.name}") for leaves in self.moving(*vjps) for x in leaves]

    def build(self) -> ChunkOp:
        """The context."""
        f, t = self.f, self.tile
        wanted = self.kernel([self.d_reads] if f.by_key else [self.queries, self.d_reads])
        d_queries = self.d_queries()
        d_keys, d_values = self.d_keys(), self.d_values()
        d_reads = (self.reads_back(),) if self.apart else ()
        kernels = (*d_reads, wanted, d_queries, d_keys, d_values)
        again = any(n.startswith("read:") for k in kernels for n in k.streamed)
        atoms = [t.size(x) for x in (*t.channels, *t.inner)]
        reads = tuple(
            ChunkRead(
                index=i,
                turned=i + 1,
                query=f"b_query_{i}",
                read=f"b_read_{i}",
                d_query=f"b_d_query_{i}",
                d_read=f"b_d_read_{i}",
                late=q.late,
                seeded=q.cotangent is not None,
                sums="b_late_hi, b_late_lo" if q.late else "b_hi, b_lo",
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
            decayed=self.decayed,
            late=any(q.late for q in f.queries),
            sign="-" if reverse else "",
            first_walking=first.format("j"),
            first_inside=first.format("i_c"),
            reads=reads,
            seeded=tuple(r for r in reads if r.seeded),
            decays=self.kernel([self.decay]),
            states=self.kernel([self.value] if f.by_key else [self.key, self.value]),
            scores=self.kernel([self.decay, self.key, self.queries]),
            outputs=self.reads() if self.apart else self.results_of(self.met),
            results=(self.results_of([]),) if self.apart else (),
            again=(self.reads(),) if again else (),
            d_reads=d_reads,
            wanted=wanted,
            d_queries=d_queries,
            d_keys=d_keys,
            d_values=d_values,
        )
