"""The kernels of an op that gathers outer products, chunk by chunk: what each takes, loads, computes and stores."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace

from ssmc.backends.triton.chunk_contexts import ChunkKernel, Group
from ssmc.backends.triton.chunk_functions import ChunkFunctions
from ssmc.backends.triton.chunk_memory import ChunkMemory
from ssmc.backends.triton.chunk_tile import KEYS, MASKS, TIME, VALUES, Places
from ssmc.backends.triton.equations import INDEX, Equation
from ssmc.backends.triton.tiles import place
from ssmc.codegen.op_text import OpText
from ssmc.ir.program import OuterProgram


class ChunkKernels(ChunkFunctions):
    """Builds the contexts of the kernels of an op."""

    def __init__(self, op: OpText, f: OuterProgram) -> None:
        super().__init__(op, f)
        self.memory = ChunkMemory(self.tile)

    # --- calls ------------------------------------------------------------------------------------------------------

    def call(self, e: Equation, places: Places, zero: Iterable[str] = ()) -> str:
        """The call of a function; what it takes of `zero` is zero here."""
        index = {k[0]: places.index(k[0]) for k in e.inputs if k[1] == INDEX}
        return self.e.call(e, {**self.site, **{(n, 0): "0.0" for n in zero}}, index)

    def value_of(self, name: str) -> str:
        """What a value is called in kernels."""
        return self.site.get((name, 0), self.e.name((name, 0)))

    def bound(self, e: Equation, places: Places) -> list[str]:
        """The lines that compute what the core is given, at every index of a chunk, zero beyond its end, as narrow as
        matrix products take it."""
        code, pairs = self.call(e, places), self.core[e.name]
        tokens = [self.e.name((x.name, 0)) for x in self.tokens]
        loaded = {*tokens, *map(self.value_of, self.known)}  # zero beyond the end
        given = code.split(", ") if not e.lines else [name for name, _ in pairs]
        names = ", ".join(n for n, _ in pairs)
        lines = [f"{names} = {code}"] if names and names != code else []
        for (name, target), own, source in zip(pairs, e.dims, given, strict=True):
            value = place(name, own, target)
            if name == "b_decay":  # in powers of 2
                power = f"tl.maximum(1.4426950408889634 * {value}, -6e4)"
                lines.append(f"b_decay = tl.where({MASKS[target]}, {power}, 0.0)")
            elif source in loaded and own == target:
                lines.append(f"{name} = {value}.to(DOT)")
            else:
                lines.append(f"{name} = tl.where({MASKS[target]}, {value}, 0.0).to(DOT)")
        return lines

    def read_by(self, equations: Iterable[Equation]) -> set[str]:
        """What functions take, and what they give without computing it."""
        equations = list(equations)
        names = {k[0] for e in equations for k in e.inputs if k[1] == 0}
        return names | {n for e in equations if not e.lines for n in e.outputs}

    # --- kernels ----------------------------------------------------------------------------------------------------

    def kernel(
        self,
        core: Sequence[Equation],
        after: Sequence[Equation] = (),
        stores: Sequence[str] = (),
        results: Sequence[str] = (),
        places: Places | None = None,
        passed: Sequence[str] = (),
    ) -> ChunkKernel:
        """A kernel that evaluates functions `core` for its chunks, and `after` when the core is done; `passed` is read
        from what another kernel has written."""
        e, m, places = self.e, self.memory, places or Places(self.tile)
        read = self.read_by([*core, *after])
        hoists = [h for h in self.hoists if h.lines and read & set(h.outputs)]
        read |= self.read_by(hoists)
        parameters = [x for x in self.parameters if x.name in read]
        leaves = [x for x in self.tokens if x.name in read]
        seeds = [r for r in self.p.results if any(f"g:{part}" in read for part in r.parts)]
        found = self.results in after and not self.apart
        again = [] if found else [i for i, q in enumerate(self.f.queries) if q.read in read]
        values = (*self.f.heads, *self.f.values)
        loaded = [(x.operand.name, x.operand.atoms, e.name((x.name, 0))) for x in leaves]
        loaded += [(f"g:{r.name}", r.atoms, e.name((f"g:{part}", 0))) for r in seeds for part in r.parts]
        loaded += [(f"read:{i}", values, f"b_read_{i}") for i in again]
        known = self.known if self.d_reads in core else ()
        loaded += [(f"core:{n}", self.along(n), self.value_of(n)) for n in (*passed, *known)]
        streamed = list(dict.fromkeys(n for n, _, _ in loaded))

        def group(keyed: bool) -> Group:
            def mine(atoms: Iterable[str]) -> bool:
                return (KEYS in self.tile.dims(atoms)) == keyed

            early = [m.parameter(x, e.name((x.name, 0)), places) for x in parameters if mine(x.operand.atoms)]
            for h in hoists:
                if (h is self.hoists[1]) == keyed:
                    early.append(f"{', '.join(e.name((n, 0)) for n in h.outputs)} = {self.call(h, places)}")
            calls = [x for x in core if x.outputs and (KEYS in self.core[x.name][0][1]) == keyed]
            lines = [line for x in calls for line in self.bound(x, places)]
            loads = [
                (bool(self.tile.dims(atoms)), m.load(name, self.tensor(n), atoms, places))
                for n, atoms, name in loaded
                if mine(atoms)
            ]
            small, tiles = (tuple(line for wide, line in loads if wide == of) for of in (False, True))
            own = [(of, name) for of, atoms, name in loaded if mine(atoms)]
            lifts = [f"{name} = {name}.to(tl.float32)" for _, name in own]
            # a sum over blocks of the values has them once
            once = [self.value_of(n) for n in passed]
            lifts += [f"{name} = tl.where(i_v == 0, {name}, 0.0)" for _, name in own if name in once]
            return Group((), tuple(early), small, tiles, tuple(lifts), tuple(lines))

        groups = [group(False), group(True)]
        lines = places.text()
        split = [tuple(x for x in lines if ("o_k" in x.partition("=")[2]) == k) for k in (False, True)]
        whole, keyed = (replace(g, places=own) for g, own in zip(groups, split, strict=True))
        return ChunkKernel(
            tensors="".join(f"{self.tensor(n)}, " for n in (*streamed, *(x.operand.name for x in parameters))),
            strides="".join(f"s_{self.tensor(n)}b, s_{self.tensor(n)}t: tl.constexpr, " for n in streamed),
            whole=whole,
            keyed=keyed,
            stores=tuple(stores),
            results="".join(f"{t}, " for t in results),
            streamed=tuple(streamed),
            parameters=tuple(x.operand.name for x in parameters),
        )

    def along(self, name: str) -> tuple[str, ...]:
        """The atoms of what one kernel passes to another."""
        dims = self.e.dims(name)
        return (*self.f.heads, *(self.f.keys if KEYS in dims else ()), *(self.f.values if VALUES in dims else ()))

    def tensor(self, name: str) -> str:
        """The name of a tensor in kernels."""
        if name.startswith("core:"):
            return self.value_of(name.removeprefix("core:")).removeprefix("b_")
        return name.replace("read:", "read_") if name.startswith("read:") else self.tile.name(name)

    def reads(self) -> ChunkKernel:
        """A kernel that writes the reads themselves."""
        places, atoms = Places(self.tile), (*self.f.heads, *self.f.values)
        n = range(len(self.f.queries))
        stores = [self.memory.store(f"read_{i}", f"b_read_{i}", (TIME, VALUES), atoms, places) for i in n]
        return self.kernel(self.met, (), stores, [f"read_{i}" for i in n], places)

    @property
    def inputs(self) -> list[Equation]:
        """What the core is given."""
        return [*([self.decay] if self.f.by_key else []), self.key, self.value, self.queries]

    @property
    def met(self) -> list[Equation]:
        """What reads are made of, beside what another kernel has found: with a decay a key, all but the values."""
        return [self.value] if self.f.by_key else self.inputs

    def results_of(self, core: Sequence[Equation]) -> ChunkKernel:
        """A kernel that writes the results, where `core` is known."""
        t, m, places, stores = self.tile, self.memory, Places(self.tile), []
        if self.results.lines:
            names = ", ".join(self.e.name((n, 0)) for n in self.results.outputs)
            stores.append(f"{names} = {self.call(self.results, places)}")
        own = dict(zip(self.results.outputs, self.results.dims, strict=True))
        for r in self.p.results:
            (part,) = r.parts
            stores.append(m.store(t.name(f"y:{r.name}"), self.value_of(part), own[part], r.atoms, places))
        tensors = [t.name(f"y:{r.name}") for r in self.p.results]
        return self.kernel(core, [self.results], stores, tensors, places)
