"""The kernels of an op that gathers outer products, chunk by chunk: what each takes, loads, computes and stores."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from ssmc.backends.triton.chunk_memory import ChunkMemory
from ssmc.backends.triton.chunk_tile import KEYS, MASKS, SKELETON, TIME, VALUES, ChunkEquations, ChunkTile, Places, Unfit
from ssmc.backends.triton.equations import INDEX, Equation, Key
from ssmc.backends.triton.sections import needed
from ssmc.backends.triton.tiles import Dims, place
from ssmc.codegen.names import Names
from ssmc.codegen.op_text import OpText
from ssmc.ir.expr import Reduce, Ref, walk
from ssmc.ir.program import Leaf, OuterProgram


@dataclass(frozen=True, slots=True)
class ChunkRead:
    """A read of the state: its query, what it gives and the cotangents of both, as names of values; `late` ones see the
    state before the token, those that are not `seeded` matter to no result."""

    query: str
    read: str
    d_query: str
    d_read: str
    late: bool
    seeded: bool


@dataclass(frozen=True, slots=True)
class Group:
    """What a kernel loads and computes of a chunk: offsets, values known before time, loads, calls."""

    places: tuple[str, ...]
    early: tuple[str, ...]
    loads: tuple[str, ...]
    calls: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class ChunkKernel:
    """A kernel: its tensors and strides, what it computes for all keys (`whole`) and for a block of them (`keyed`), the
    stores, and the tensors it writes. `streamed` and `parameters` are its tensors for whoever launches it: names of
    operands, `g:` results' cotangents, `read:` reads, `core:` what another kernel found."""

    tensors: str
    strides: str
    whole: Group
    keyed: Group
    stores: tuple[str, ...]
    results: str
    streamed: tuple[str, ...]
    parameters: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class ChunkOp:
    """The holes of `templates/triton/chunk_kernels.py.jinja`. `blocks`: keys may be taken block by block."""

    stem: str
    equations: tuple[Equation, ...]
    constants: str
    heads: str
    keys: str
    values: str
    by_key: bool
    blocks: bool
    sign: str
    first: str
    reads: tuple[ChunkRead, ...]
    seeded: tuple[ChunkRead, ...]
    states: ChunkKernel
    scores: ChunkKernel
    forward: tuple[tuple[ChunkKernel, str], ...]
    wanted: ChunkKernel
    d_keys: ChunkKernel
    d_values: ChunkKernel


class ChunkKernels:
    """Builds the contexts of the kernels of an op; Unfit, if its equations do not fit a chunk's tiles."""

    def __init__(self, op: OpText, f: OuterProgram) -> None:
        program = replace(
            op.program, fields=(), ports=(), hoisted=f.hoisted, prologue=f.prologue, update=(), epilogue=f.epilogue,
            adjoint=f.adjoint,
        )  # fmt: skip
        self.o = OpText(op.layer, program, op.stem, op.op, op.reference_name, op.title, op.kernel)
        self.f, self.a, self.p = f, f.adjoint, program
        name = Names(SKELETON)
        for atom in (*f.heads, *f.keys, *f.values):
            name(atom)
        self.tile = ChunkTile(f.heads, f.keys, f.values, name)
        self.e = ChunkEquations(self.o, self.tile, f)
        self.memory = ChunkMemory(self.tile)
        self.tokens = [x for x in program.leaves if x.operand.token]
        self.parameters = [x for x in program.leaves if not x.operand.token]
        if any(x.part for x in program.leaves):
            raise Unfit("complex operands")
        s = self.e.s
        self.e.check((*s.hoisted, *s.token, *s.back))
        self._functions()

    def _functions(self) -> None:
        e, s, f, a = self.e, self.e.s, self.f, self.a
        decay = (TIME, KEYS) if f.by_key else (TIME,)
        self.core = {
            f.decay: ("b_decay", decay),
            f.key: ("b_key", (TIME, KEYS)),
            f.value: ("b_value", (TIME, VALUES)),
            **{q.name: (f"b_query_{i}", (TIME, KEYS)) for i, q in enumerate(f.queries)},
            **{q.cotangent: (f"b_d_read_{i}", (TIME, VALUES)) for i, q in enumerate(f.queries) if q.cotangent},
        }
        self.site: dict[Key, str] = {
            (n, 0): c for n, c in zip(f.given, ("b_d_decay", "b_d_key", "b_d_value"), strict=True)
        }
        for i, q in enumerate(f.queries):
            self.site |= {(q.read, 0): f"b_read_{i}", (q.wanted, 0): f"b_d_query_{i}"}
        moving = [a.gradients[x.name] for x in self.tokens if x.name in a.gradients]
        outputs = [*moving, *a.accumulated]
        used = s.slice([*self.core, *e.results, *outputs])
        early = {n.name for x in used for n in walk(x.node) if isinstance(n, Ref) and n.name in s.early}
        early |= set(self.core) & s.early
        hoisted = [x.name for x in s.hoisted if x.name in early]
        keyed = [n for n in hoisted if KEYS in self.tile.dims(s.let(n).node.axes)]
        self.hoists = [
            e.make("chunk_hoist", "What depends on parameters only.", needed(s.hoisted, own), own)
            if own is not keyed
            else e.make("chunk_keyed_hoist", "The same, along the keys.", needed(s.hoisted, own), own)
            for own in ([n for n in hoisted if n not in keyed], keyed)
        ]
        for h in self.hoists:
            e.bind(zip(h.outputs, h.dims, strict=True))
        self.decay = self._core("chunk_decay", "Log decay of tokens.", [f.decay])
        self.key = self._core("chunk_key", "What tokens add to, along the keys.", [f.key])
        self.value = self._core("chunk_value", "What tokens add, along the values.", [f.value])
        self.queries = self._core("chunk_queries", "What tokens ask of the state.", [q.name for q in f.queries])
        wants = [q.cotangent for q in f.queries if q.cotangent is not None]
        self.d_reads = self._core("chunk_d_reads", "What results want of the reads.", wants)
        self.results = e.make("chunk_results", "The results of tokens.", s.slice(e.results), e.results)
        late = [n for n in outputs if f.given[2] in self._read([n])]
        soon = [n for n in outputs if n not in late]
        doc = "From the cotangents of results and of {} to those of the operands."
        self.vjp_keys = e.make("chunk_vjp_keys", doc.format("keys, queries and decays"), s.slice(soon), soon)
        self.vjp_values = e.make("chunk_vjp_values", doc.format("values"), s.slice(late), late)
        for v in (self.vjp_keys, self.vjp_values):
            sums = [(n, d) for n, d in zip(v.outputs, v.dims, strict=True) if n in a.accumulated]
            e.bind((n, tuple(x for x in d if x != TIME)) for n, d in sums)
        given = [a.gradients[x.name] for x in self.parameters if x.name in a.gradients]
        doc = "From sums over tokens to the cotangents of parameters."
        self.hoist_vjp = e.make("chunk_hoist_vjp", doc, needed([*s.hoisted, *s.hoisted_back], given), given)
        cores = [f.given[0], f.given[1], *(q.wanted for q in f.queries)]
        self.passed = [n for n in cores if n in self._read(late)]
        every = s.slice([n for n in self.core if n not in (f.value, *wants)]), s.slice(soon)
        sums = [n for lets in every for x in lets for n in walk(x.node) if isinstance(n, Reduce)]
        self.blocks = f.by_key and not any(set(n.over) & set(f.keys) for n in sums)

    def _read(self, outputs: Sequence[str]) -> set[str]:
        """What some outputs are made of."""
        lets = self.e.s.slice(outputs)
        return {n.name for x in lets for n in walk(x.node) if isinstance(n, Ref)} | set(outputs)

    def _core(self, suffix: str, doc: str, names: list[str]) -> Equation:
        return self.e.make(suffix, doc, self.e.s.slice(names), names)

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
        code, pairs = self.call(e, places), [self.core[n] for n in e.outputs]
        names = ", ".join(n for n, _ in pairs)
        lines = [f"{names} = {code}"] if names and names != code else []
        for (name, target), own in zip(pairs, e.dims, strict=True):
            value = place(name, own, target)
            value = f"tl.maximum({value}, -1e5)" if name == "b_decay" else value
            narrow = "" if name == "b_decay" else ".to(DOT)"
            lines.append(f"{name} = tl.where({MASKS[target]}, {value}, 0.0){narrow}")
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
        """A kernel that evaluates functions `core` for its chunks, and `after` when the core is done; `passed` is read from
        what another kernel has written."""
        e, m, places = self.e, self.memory, places or Places(self.tile)
        read = self.read_by([*core, *after])
        hoists = [h for h in self.hoists if h.lines and read & set(h.outputs)]
        read |= self.read_by(hoists)
        parameters = [x for x in self.parameters if x.name in read]
        leaves = [x for x in self.tokens if x.name in read]
        seeds = [r for r in self.p.results if any(f"g:{part}" in read for part in r.parts)]
        again = [] if self.results in after else [i for i, q in enumerate(self.f.queries) if q.read in read]
        keys, values = (*self.f.heads, *self.f.keys), (*self.f.heads, *self.f.values)
        loaded = [(x.operand.name, x.operand.atoms, e.name((x.name, 0))) for x in leaves]
        loaded += [(f"g:{r.name}", r.atoms, e.name((f"g:{part}", 0))) for r in seeds for part in r.parts]
        loaded += [(f"read:{i}", values, f"b_read_{i}") for i in again]
        for n in passed:
            loaded.append((f"core:{n}", keys if KEYS in e.dims(n) else self.f.heads, self.value_of(n)))
        streamed = list(dict.fromkeys(n for n, _, _ in loaded))

        def group(keyed: bool) -> Group:
            def mine(atoms: Iterable[str]) -> bool:
                return (KEYS in self.tile.dims(atoms)) == keyed

            early = [m.parameter(x, e.name((x.name, 0)), places) for x in parameters if mine(x.operand.atoms)]
            for h in hoists:
                if (h is self.hoists[1]) == keyed:
                    early.append(f"{', '.join(e.name((n, 0)) for n in h.outputs)} = {self.call(h, places)}")
            calls = [x for x in core if x.outputs and (KEYS in self.core[x.outputs[0]][1]) == keyed]
            lines = [line for x in calls for line in self.bound(x, places)]
            loads = [m.load(name, self.tensor(n), atoms, places) for n, atoms, name in loaded if mine(atoms)]
            return Group((), tuple(early), tuple(loads), tuple(lines))

        groups = [group(False), group(True)]
        lines = places.text()
        split = [tuple(x for x in lines if ("o_k" in x.partition("=")[2]) == k) for k in (False, True)]
        whole, keyed = (replace(g, places=own) for g, own in zip(groups, split, strict=True))
        return ChunkKernel(
            tensors="".join(f"{self.tensor(n)}, " for n in (*streamed, *(x.operand.name for x in parameters))),
            strides="".join(f"s_{self.tensor(n)}b, s_{self.tensor(n)}t, " for n in streamed),
            whole=whole,
            keyed=keyed,
            stores=tuple(stores),
            results="".join(f"{t}, " for t in results),
            streamed=tuple(streamed),
            parameters=tuple(x.operand.name for x in parameters),
        )

    def tensor(self, name: str) -> str:
        """The name of a tensor in kernels."""
        if name.startswith("core:"):
            return self.value_of(name.removeprefix("core:")).removeprefix("b_")
        return name.replace("read:", "read_") if name.startswith("read:") else self.tile.name(name)

    def reads(self) -> ChunkKernel:
        """The kernel that writes the reads themselves."""
        places, atoms = Places(self.tile), (*self.f.heads, *self.f.values)
        n = range(len(self.f.queries))
        stores = [self.memory.store(f"read_{i}", f"b_read_{i}", (TIME, VALUES), atoms, places) for i in n]
        return self.kernel(self.inputs, (), stores, [f"read_{i}" for i in n], places)

    @property
    def inputs(self) -> list[Equation]:
        """What the core is given."""
        return [self.decay, self.key, self.value, self.queries]

    def outputs(self) -> ChunkKernel:
        """The kernel that writes the results."""
        t, m, places, stores = self.tile, self.memory, Places(self.tile), []
        if self.results.lines:
            names = ", ".join(self.e.name((n, 0)) for n in self.results.outputs)
            stores.append(f"{names} = {self.call(self.results, places)}")
        own = dict(zip(self.results.outputs, self.results.dims, strict=True))
        for r in self.p.results:
            (part,) = r.parts
            stores.append(m.store(t.name(f"y:{r.name}"), self.value_of(part), own[part], r.atoms, places))
        tensors = [t.name(f"y:{r.name}") for r in self.p.results]
        return self.kernel(self.inputs, [self.results], stores, tensors, places)

    def moving(self, vjp: Equation) -> tuple[list[Leaf], list[Leaf]]:
        """The token leaves and the parameters whose cotangents a kernel has, or has a part of."""
        tokens = [x for x in self.tokens if self.a.gradients.get(x.name) in vjp.outputs]
        sums = {n for n in vjp.outputs if n in self.a.accumulated}
        return tokens, [x for x in self.parameters if sums & self._sums_below(self.a.gradients.get(x.name))]

    def _sums_below(self, gradient: str | None) -> set[str]:
        """The sums over tokens that a parameter's cotangent is made of."""
        if gradient is None:
            return set()
        lets = needed(self.e.s.hoisted_back, [gradient])
        return {gradient} | {r.name for x in lets for r in walk(x.node) if isinstance(r, Ref)}

    def gradients(self, vjp: Equation, core: Sequence[Equation], passed: Sequence[str]) -> ChunkKernel:
        """A kernel that writes the cotangents which `vjp` gives."""
        e, a, m, places, stores = self.e, self.a, self.memory, Places(self.tile), []
        blocks = vjp is self.vjp_values
        if vjp.lines:
            stores.append(f"{', '.join(e.name((n, 0)) for n in vjp.outputs)} = {self.call(vjp, places)}")
        dims = dict(zip(vjp.outputs, vjp.dims, strict=True))
        tokens, parameters = self.moving(vjp)
        for x in tokens:
            n, o = a.gradients[x.name], x.operand
            d = self.tile.name(f"d:{o.name}")
            stores.append(m.gradient(d, self.value_of(n), dims[n], o, blocks, places))
        if not blocks:
            for n in self.passed:
                atoms = (*self.f.heads, *(self.f.keys if KEYS in e.dims(n) else ()))
                d = self.tensor(f"core:{n}")
                stores.append(m.store(d, self.value_of(n), e.dims(n), atoms, places))
        own = [n for n in a.accumulated if n in vjp.outputs]
        for n in own:
            target: Dims = (TIME, *(d for d in dims[n] if d != TIME))
            value = place(self.value_of(n), dims[n], target)
            stores.append(f"{e.name((n, 0))} = tl.sum(tl.where({MASKS[target]}, {value}, 0.0), 0)")
        after = [vjp]
        if parameters:
            after.append(self.hoist_vjp)
            others = [n for n in a.accumulated if n not in own]
            if self.hoist_vjp.lines:
                names = ", ".join(e.name((n, 0)) for n in self.hoist_vjp.outputs)
                stores.append(f"{names} = {self.call(self.hoist_vjp, places, others)}")
            given = dict(zip(self.hoist_vjp.outputs, self.hoist_vjp.dims, strict=True))
            for x in parameters:
                n, o = a.gradients[x.name], x.operand
                d = self.tile.name(f"d:{o.name}")
                after_keys = blocks and x in self.moving(self.vjp_keys)[1]
                stores.append(m.total(d, e.name((n, 0)), given[n], o, blocks, after_keys, places))
        results = [self.tile.name(f"d:{x.operand.name}") for x in (*tokens, *parameters)]
        if not blocks:
            results += [self.tensor(f"core:{n}") for n in self.passed]
        return self.kernel(core, after, stores, results, places, passed)

    def build(self) -> ChunkOp:
        """The context."""
        f, t = self.f, self.tile
        wanted = self.kernel([self.decay, self.queries, self.d_reads])
        d_keys = self.gradients(self.vjp_keys, [*self.inputs, self.d_reads], ())
        d_values = self.gradients(self.vjp_values, [self.decay, self.key, self.d_reads], self.passed)
        again = any(n.startswith("read:") for k in (wanted, d_keys, d_values) for n in k.streamed)
        atoms = [t.size(x) for x in (*t.channels, *t.inner)]
        reads = tuple(
            ChunkRead(f"b_query_{i}", f"b_read_{i}", f"b_d_query_{i}", f"b_d_read_{i}", q.late, q.cotangent is not None)
            for i, q in enumerate(f.queries)
        )
        reverse = self.p.recurrence.reverse
        return ChunkOp(
            stem=self.o.stem,
            equations=tuple(self.e.made),
            constants="".join(f"{c}: tl.constexpr, " for c in (*atoms, *self.e.constants.values)),
            heads=t.sizes(t.channels),
            keys=t.sizes(t.keys),
            values=t.sizes(t.values),
            by_key=f.by_key,
            blocks=self.blocks,
            sign="-" if reverse else "+",
            first="bos + n - 1 - {} * BT" if reverse else "bos + {} * BT",
            reads=reads,
            seeded=tuple(r for r in reads if r.seeded),
            states=self.kernel([self.decay, self.key, self.value]),
            scores=self.kernel([self.decay, self.key, self.queries]),
            forward=((self.outputs(), "outputs"), *([(self.reads(), "reads")] if again else [])),
            wanted=wanted,
            d_keys=d_keys,
            d_values=d_values,
        )
