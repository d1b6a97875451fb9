"""The kernels of an op that gathers outer products, chunk by chunk: what each takes, loads, computes and stores."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from ssmc.backends.triton.chunk_tile import KEYS, SKELETON, TIME, VALUES, ChunkEquations, ChunkTile, Places, Unfit
from ssmc.backends.triton.equations import INDEX, Equation, Key
from ssmc.backends.triton.memory import plus, scaled
from ssmc.backends.triton.sections import needed
from ssmc.backends.triton.tiles import Dims, place
from ssmc.codegen.names import Names
from ssmc.codegen.op_text import OpText
from ssmc.ir.expr import Ref, walk
from ssmc.ir.program import Leaf, OuterProgram
from ssmc.ir.regions import Operand

MASKS = {(TIME,): "m_t", (TIME, KEYS): "m_tk", (TIME, VALUES): "m_tv", (KEYS,): "m_k", (VALUES,): "m_v", (): ""}


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
class ChunkKernel:
    """A kernel: its tensors and strides, the lines before its loop (`places`, `early`), those of a chunk (what is loaded,
    computed and written), and the tensors it writes. `streamed` and `parameters` are its tensors for whoever launches it:
    names of operands, `g:` results' cotangents, `read:` reads."""

    tensors: str
    strides: str
    places: tuple[str, ...]
    early: tuple[str, ...]
    loads: tuple[str, ...]
    lines: tuple[str, ...]
    stores: tuple[str, ...]
    results: str
    streamed: tuple[str, ...]
    parameters: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class ChunkOp:
    """The holes of `templates/triton/chunk_kernels.py.jinja`."""

    stem: str
    equations: tuple[Equation, ...]
    constants: str
    heads: str
    keys: str
    values: str
    by_key: bool
    position: str
    reads: tuple[ChunkRead, ...]
    states: ChunkKernel
    forward: tuple[tuple[ChunkKernel, str], ...]
    wanted: ChunkKernel
    gradients: ChunkKernel


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
        self.tokens = [x for x in program.leaves if x.operand.token]
        self.parameters = [x for x in program.leaves if not x.operand.token]
        if any(x.part for x in program.leaves):
            raise Unfit("complex operands")
        s = self.e.s
        self.e.check((*s.hoisted, *s.token, *s.back))
        self._functions()

    def _functions(self) -> None:
        e, s, f, a = self.e, self.e.s, self.f, self.a
        self.read_names = [q.read for q in f.queries]
        inputs = [f.decay, f.key, f.value, *(q.name for q in f.queries)]
        d_reads = [q.cotangent for q in f.queries if q.cotangent is not None]
        moving = [a.gradients[x.name] for x in self.tokens if x.name in a.gradients]
        used = [*s.slice([*inputs, *e.results, *d_reads, *moving, *a.accumulated])]
        early = {n.name for x in used for n in walk(x.node) if isinstance(n, Ref) and n.name in s.early}
        early |= set(inputs) & s.early
        hoisted = [x.name for x in s.hoisted if x.name in early]
        self.hoist = e.make("chunk_hoist", "What depends on parameters only.", needed(s.hoisted, hoisted), hoisted)
        e.bind(zip(hoisted, self.hoist.dims, strict=True))
        ports = [f.decay, f.key, f.value]
        self.ports = e.make("chunk_ports", "Log decay, key and value of tokens.", s.slice(ports), ports)
        queries = [q.name for q in f.queries]
        self.queries = e.make("chunk_queries", "What tokens ask of the state.", s.slice(queries), queries)
        self.decay = e.make("chunk_decay", "Log decay of tokens.", s.slice([f.decay]), [f.decay])
        self.results = e.make("chunk_results", "The results of tokens.", s.slice(e.results), e.results)
        self.d_reads = e.make("chunk_d_reads", "What results want of the reads.", s.slice(d_reads), d_reads)
        outputs = [*moving, *a.accumulated]
        doc = "From the cotangents of results and of what the state is made of to those of the operands."
        self.vjp = e.make("chunk_vjp", doc, s.slice(outputs), outputs)
        n = len(moving)
        summed = [tuple(d for d in dims if d != TIME) for dims in self.vjp.dims[n:]]
        e.bind(zip(a.accumulated, summed, strict=True))
        given = [a.gradients[x.name] for x in self.parameters if x.name in a.gradients]
        doc = "From sums over tokens to the cotangents of parameters."
        self.hoist_vjp = e.make("chunk_hoist_vjp", doc, needed([*s.hoisted, *s.hoisted_back], given), given)

    # --- calls ------------------------------------------------------------------------------------------------------

    def site(self) -> dict[Key, str]:
        """The names in kernels of what the core takes and gives."""
        f = self.f
        site = {(n, 0): code for n, code in zip(f.given, ("b_d_decay", "b_d_key", "b_d_value"), strict=True)}
        for i, q in enumerate(f.queries):
            site |= {(q.read, 0): f"b_read_{i}", (q.wanted, 0): f"b_d_query_{i}"}
        return site

    def call(self, e: Equation, places: Places) -> str:
        """The call of a function."""
        index = {k[0]: places.index(k[0]) for k in e.inputs if k[1] == INDEX}
        return self.e.call(e, self.site(), index)

    def bound(self, e: Equation, places: Places, names: Sequence[str], targets: Sequence[Dims]) -> list[str]:
        """The call of a function whose outputs get other names, at every index of a chunk, zero beyond its end."""
        code = self.call(e, places)
        lines = [f"{', '.join(names)} = {code}"] if ", ".join(names) != code else []
        for name, own, target in zip(names, e.dims, targets, strict=True):
            value = place(name, own, target)
            value = f"tl.maximum({value}, -1e5)" if name == "b_decay" else value
            lines.append(f"{name} = tl.where({MASKS[target]}, {value}, 0.0)")
        return lines

    def core(self, e: Equation, places: Places) -> list[str]:
        """The lines that compute decay, key and value, or queries, or the cotangents of reads."""
        f, decay = self.f, (TIME, KEYS) if self.f.by_key else (TIME,)
        known = {f.decay: ("b_decay", decay), f.key: ("b_key", (TIME, KEYS)), f.value: ("b_value", (TIME, VALUES))}
        queries = {q.name: (f"b_query_{i}", (TIME, KEYS)) for i, q in enumerate(f.queries)}
        d_reads = {q.cotangent: (f"b_d_read_{i}", (TIME, VALUES)) for i, q in enumerate(f.queries)}
        table = {self.ports.name: known, self.decay.name: known, self.queries.name: queries, self.d_reads.name: d_reads}
        pairs = [table[e.name][n] for n in e.outputs]
        return self.bound(e, places, [n for n, _ in pairs], [d for _, d in pairs])

    def read_by(self, equations: Iterable[Equation]) -> set[str]:
        """What functions take, and what they give without computing it."""
        equations = list(equations)
        names = {k[0] for e in equations for k in e.inputs if k[1] == 0}
        return names | {n for e in equations if not e.lines for n in e.outputs}

    # --- memory -----------------------------------------------------------------------------------------------------

    def load(self, name: str, tensor: str, atoms: Sequence[str], places: Places) -> str:
        """The line that loads a value of a chunk's tokens."""
        dims = (TIME, *self.tile.dims(atoms))
        at = places.offset(atoms)
        head = f"{tensor} + i_b * s_{tensor}b + o_p * s_{tensor}t" if dims == (TIME,) else (
            f"{tensor} + i_b * s_{tensor}b + (o_p * s_{tensor}t)[:, None]"
        )  # fmt: skip
        at = plus(at) if dims == (TIME,) else f" + ({at})[None, :]"
        return f"{name} = tl.load({head}{at}, mask={MASKS[dims]}, other=0.0).to(tl.float32)"

    def parameter(self, x: Leaf, places: Places) -> str:
        """The line that loads a parameter."""
        mask = MASKS[self.tile.dims(x.operand.atoms)]
        mask = f", mask={mask}, other=0.0" if mask else ""
        at = plus(places.offset(x.operand.atoms))
        return f"{self.e.name((x.name, 0))} = tl.load({self.tile.name(x.operand.name)}{at}{mask}).to(tl.float32)"

    def missing(self, o: Operand) -> tuple[tuple[str, ...], bool]:
        """(the head atoms an operand lacks, whether it lacks the values): a cotangent has a part for each of them."""
        return tuple(a for a in self.f.heads if a not in o.atoms), not set(o.atoms) & set(self.f.values)

    def _part(self, o: Operand, places: Places, rows: str) -> str:
        """The index of the part of a cotangent that a program writes, times `rows`; empty if there is one part."""
        heads, blocks = self.missing(o)
        code = "i_v" if blocks else ""
        if heads:
            at = places.offset(heads)
            code = f"(i_v * ({self.tile.sizes(heads)}) + {at})" if blocks else f"({at})"
        return f"{code} * {rows} + " if code else ""

    def gradient(self, x: Leaf, name: str, dims: Dims, places: Places) -> str:
        """The line that stores a token operand's cotangent."""
        o, own = x.operand, (TIME, *self.tile.dims(x.operand.atoms))
        width, at = scaled(self.tile.sizes(o.atoms)), places.offset(o.atoms)
        row = f"({self._part(o, places, 'n_tokens')}i_b * T + o_p)"
        value = place(name, dims, own)
        d = self.tile.name(f"d:{o.name}")
        if own == (TIME,):
            return f"tl.store({d} + {row} * {width}{plus(at)}, {value}, mask=m_t)"
        return f"tl.store({d} + ({row} * {width})[:, None] + ({at})[None, :], {value}, mask={MASKS[own]})"

    def total(self, x: Leaf, name: str, dims: Dims, places: Places) -> str:
        """The line that stores a parameter's cotangent, a part for each chunk."""
        o, own = x.operand, self.tile.dims(x.operand.atoms)
        heads, blocks = self.missing(o)
        n = scaled(" * ".join([*(["NV"] if blocks else []), *map(self.tile.size, heads)]) or "1")
        row = f"({self._part(o, places, '1')}i_n * {n})"
        width, mask = scaled(self.tile.sizes(o.atoms)), MASKS[own]
        mask = f", mask={mask}" if mask else ""
        at = plus(places.offset(o.atoms))
        d = self.tile.name(f"d:{o.name}")
        return f"tl.store({d} + {row} * {width}{at}, {place(name, dims, own)}{mask})"

    # --- kernels ----------------------------------------------------------------------------------------------------

    def kernel(self, core: Sequence[Equation], after: Sequence[Equation] = (), gradients: bool = False) -> ChunkKernel:
        """A kernel that evaluates functions `core` for its chunks, and `after` when the core is done."""
        e, places = self.e, Places(self.tile)
        every = [*core, *after, *([self.hoist_vjp] if gradients else [])]
        read = self.read_by(every)
        early = read & ({x.name for x in self.parameters} | set(self.hoist.outputs))
        hoists = bool(early & set(self.hoist.outputs)) and bool(self.hoist.lines)
        early |= self.read_by([self.hoist]) if hoists else set()
        parameters = [x for x in self.parameters if x.name in early]
        leaves = [x for x in self.tokens if x.name in read]
        seeds = [r for r in self.p.results if any(f"g:{part}" in read for part in r.parts)]
        again = [i for i, n in enumerate(self.read_names) if n in read and self.results not in after]
        lines = [self.parameter(x, places) for x in parameters]
        if hoists:
            lines.append(f"{', '.join(e.name((n, 0)) for n in self.hoist.outputs)} = {self.call(self.hoist, places)}")
        loads = [self.load(e.name((x.name, 0)), self.tile.name(x.operand.name), x.operand.atoms, places) for x in leaves]
        loads += [
            self.load(e.name((f"g:{part}", 0)), self.tile.name(f"g:{r.name}"), r.atoms, places)
            for r in seeds
            for part in r.parts
        ]
        atoms = (*self.f.heads, *self.f.values)
        loads += [self.load(f"b_read_{i}", f"read_{i}", atoms, places) for i in again]
        computed = [line for x in core for line in self.core(x, places)]
        stores = self._gradients(places) if gradients else self._results(places) if after else []
        written = self.gradient_tensors() if gradients else self.result_tensors() if after else []
        streamed = [*(x.operand.name for x in leaves), *(f"g:{r.name}" for r in seeds), *(f"read:{i}" for i in again)]
        return ChunkKernel(
            tensors="".join(f"{self.tensor(n)}, " for n in (*streamed, *(x.operand.name for x in parameters))),
            strides="".join(f"s_{self.tensor(n)}b, s_{self.tensor(n)}t, " for n in streamed),
            places=places.text(),
            early=tuple(lines),
            loads=tuple(loads),
            lines=tuple(computed),
            stores=tuple(stores),
            results="".join(f"{t}, " for t in written),
            streamed=tuple(streamed),
            parameters=tuple(x.operand.name for x in parameters),
        )

    def tensor(self, name: str) -> str:
        """The name of a tensor in kernels."""
        return name.replace("read:", "read_") if name.startswith("read:") else self.tile.name(name)

    def reads(self) -> ChunkKernel:
        """The kernel that writes the reads themselves."""
        bare = self.kernel([self.ports, self.queries])
        places = Places(self.tile)
        atoms = (*self.f.heads, *self.f.values)
        width, at = scaled(self.tile.sizes(atoms)), places.offset(atoms)
        row = f"((i_b * T + o_p) * {width})[:, None] + ({at})[None, :]"
        n = range(len(self.f.queries))
        stores = tuple(f"tl.store(read_{i} + {row}, b_read_{i}, mask=m_tv)" for i in n)
        lines = tuple(dict.fromkeys([*bare.places, *places.text()]))
        return replace(bare, stores=stores, results="".join(f"read_{i}, " for i in n), places=lines)

    def result_tensors(self) -> list[str]:
        """The results in kernels."""
        return [self.tile.name(f"y:{r.name}") for r in self.p.results]

    def moving(self) -> list[Leaf]:
        """The leaves that have a cotangent, tokens first."""
        return [x for x in (*self.tokens, *self.parameters) if x.name in self.a.gradients]

    def gradient_tensors(self) -> list[str]:
        """The buffers of cotangents in kernels."""
        return [self.tile.name(f"d:{x.operand.name}") for x in self.moving()]

    def _results(self, places: Places) -> list[str]:
        t, lines = self.tile, []
        if self.results.lines:
            names = ", ".join(self.e.name((n, 0)) for n in self.results.outputs)
            lines.append(f"{names} = {self.call(self.results, places)}")
        own = dict(zip(self.results.outputs, self.results.dims, strict=True))
        for r in self.p.results:
            (part,) = r.parts
            target = (TIME, *t.dims(r.atoms))
            value = place(self.site().get((part, 0), self.e.name((part, 0))), own[part], target)
            width, at, y = scaled(t.sizes(r.atoms)), places.offset(r.atoms), t.name(f"y:{r.name}")
            if target == (TIME,):
                lines.append(f"tl.store({y} + (i_b * T + o_p) * {width}{plus(at)}, {value}, mask=m_t)")
            else:
                p = f"{y} + ((i_b * T + o_p) * {width})[:, None] + ({at})[None, :]"
                lines.append(f"tl.store({p}, {value}, mask={MASKS[target]})")
        return lines

    def _gradients(self, places: Places) -> list[str]:
        e, a, vjp, lines = self.e, self.a, self.vjp, []
        if vjp.lines:
            lines.append(f"{', '.join(e.name((n, 0)) for n in vjp.outputs)} = {self.call(vjp, places)}")
        dims = dict(zip(vjp.outputs, vjp.dims, strict=True))
        site = self.site()
        for x in self.tokens:
            if x.name in a.gradients:
                n = a.gradients[x.name]
                lines.append(self.gradient(x, site.get((n, 0), e.name((n, 0))), dims[n], places))
        for n in a.accumulated:
            target = (TIME, *(d for d in dims[n] if d != TIME))
            value = place(site.get((n, 0), e.name((n, 0))), dims[n], target)
            lines.append(f"{e.name((n, 0))} = tl.sum(tl.where({MASKS[target]}, {value}, 0.0), 0)")
        given = self.hoist_vjp
        if given.lines:
            lines.append(f"{', '.join(e.name((n, 0)) for n in given.outputs)} = {self.call(given, places)}")
        dims = dict(zip(given.outputs, given.dims, strict=True))
        for x in self.parameters:
            if x.name in a.gradients:
                n = a.gradients[x.name]
                lines.append(self.total(x, e.name((n, 0)), dims[n], places))
        return lines

    def build(self) -> ChunkOp:
        """The context."""
        f, t = self.f, self.tile
        states = self.kernel([self.ports])
        outputs = self.kernel([self.ports, self.queries], [self.results])
        wanted = self.kernel([self.decay, self.queries, self.d_reads])
        gradients = self.kernel([self.ports, self.queries, self.d_reads], [self.vjp], gradients=True)
        again = any(n.startswith("read:") for n in (*wanted.streamed, *gradients.streamed))
        atoms = [t.size(x) for x in (*t.channels, *t.inner)]
        return ChunkOp(
            stem=self.o.stem,
            equations=tuple(self.e.made),
            constants="".join(f"{c}: tl.constexpr, " for c in (*atoms, *self.e.constants.values)),
            heads=t.sizes(t.channels),
            keys=t.sizes(t.keys),
            values=t.sizes(t.values),
            by_key=f.by_key,
            position="n - 1 - o_t" if self.p.recurrence.reverse else "o_t",
            reads=tuple(
                ChunkRead(f"b_query_{i}", f"b_read_{i}", f"b_d_query_{i}", f"b_d_read_{i}", q.late, q.cotangent is not None)
                for i, q in enumerate(f.queries)
            ),
            states=states,
            forward=((outputs, "outputs"), *([(self.reads(), "reads")] if again else [])),
            wanted=wanted,
            gradients=gradients,
        )
