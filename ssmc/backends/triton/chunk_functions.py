"""An op that gathers outer products as small Triton functions on the tiles of a chunk: what they take and give."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import chain

from ssmc.backends.triton.chunk_tile import KEYS, SKELETON, TIME, VALUES, ChunkEquations, ChunkTile
from ssmc.backends.triton.equations import Equation, Key, Unfit
from ssmc.backends.triton.sections import needed
from ssmc.backends.triton.tiles import Dims
from ssmc.codegen.names import Names
from ssmc.codegen.op_text import OpText
from ssmc.ir.expr import Reduce, Ref, walk
from ssmc.ir.program import Leaf, OuterProgram


class ChunkFunctions:
    """Makes the functions of an op; Unfit, if its equations do not fit a chunk's tiles. `core` is what the core is
    given by a function: names in kernels, with their dimensions; `site`, what other values are called there.
    `blocks`: the keys may be taken block by block; `strips`: what needs none of the values' cotangents needs no values
    either, so that these may be taken strip by strip. `mixed`: what results want of the reads is made of keys too.
    `apart`: results are worked out of the reads by a kernel of their own, and what they want of these by another."""

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
        self.lets = {x.name: x for x in (*s.token, *s.back)}
        self.known: dict[str, str] = {}  # what is found apart, and what the core calls it
        queries, wants = [q.name for q in f.queries], [q.cotangent for q in f.queries if q.cotangent is not None]
        known = [f.decay, f.key, *queries]
        self.site: dict[Key, str] = {
            (n, 0): c for n, c in zip(f.given, ("b_d_decay", "b_d_key", "b_d_value"), strict=True)
        }
        for i, q in enumerate(f.queries):
            self.site |= {(q.read, 0): f"b_read_{i}", (q.wanted, 0): f"b_d_query_{i}"}
        moving = [a.gradients[x.name] for x in self.tokens if x.name in a.gradients]
        outputs = [*moving, *a.accumulated]
        used = s.slice([*known, f.value, *wants, *e.results, *outputs])
        early = {n.name for x in used for n in walk(x.node) if isinstance(n, Ref) and n.name in s.early}
        early |= {*known, f.value} & s.early
        hoisted = [x.name for x in s.hoisted if x.name in early]
        keyed = [n for n in hoisted if KEYS in self.tile.dims(s.let(n).node.axes)]
        plain = [n for n in hoisted if n not in keyed]
        self.hoists = [
            e.make("chunk_hoist", "What depends on parameters only.", needed(s.hoisted, plain), plain),
            e.make("chunk_keyed_hoist", "The same, along the keys.", needed(s.hoisted, keyed), keyed),
        ]
        for h in self.hoists:
            e.bind(zip(h.outputs, h.dims, strict=True))
        decay = (TIME, KEYS) if f.by_key else (TIME,)
        asked = [(f"b_query_{i}", (TIME, KEYS)) for i in range(len(queries))]
        seeded = [(f"b_d_read_{i}", (TIME, VALUES)) for i, q in enumerate(f.queries) if q.cotangent is not None]
        self.core: dict[str, Sequence[tuple[str, Dims]]] = {}
        self.decay = self._core("decay", "Log decay of tokens.", [f.decay], [("b_decay", decay)])
        self.key = self._core("key", "What tokens add to, along the keys.", [f.key], [("b_key", (TIME, KEYS))])
        self.value = self._core("value", "What tokens add, along the values.", [f.value], [("b_value", (TIME, VALUES))])
        self.queries = self._core("queries", "What tokens ask of the state.", queries, asked)
        self.d_reads = self.wants = self._core("d_reads", "What results want of the reads.", wants, seeded)
        self.results = e.make("chunk_results", "The results of tokens.", s.slice(e.results), e.results)
        axes = {n: s.let(n).node.axes for n in outputs}
        cores = {f.given[0], f.given[1], *(q.wanted for q in f.queries)}
        late = [n for n in outputs if self._beside_values(n, axes[n], cores)]
        soon = [n for n in outputs if n not in late]
        aside = [n for n in late if f.given[2] not in self._read([n])]
        self.apart = self._apart(wants, aside)
        self.vjp_reads = self._vjp("reads", "reads", aside if self.apart else [])
        if self.apart:
            late = [n for n in late if n not in aside]
            roots = [self._root(n) for n in wants]
            self.known = {n: name for n, (name, _) in zip(reversed(roots), reversed(seeded), strict=True)}
            e.bind((n, dims) for n, (_, dims) in zip(roots, seeded, strict=True))
            self.d_reads = self._core("d_reads", "", roots, seeded)
        alone = [] if f.by_key else [n for n in soon if not self._read([n]) & set(f.given)]
        keyed = [n for n in soon if n not in alone and KEYS in self.tile.dims(axes[n])]
        plain = [n for n in soon if n not in [*alone, *keyed]]
        self.vjp_queries = self._vjp("queries", "queries", alone)
        self.vjp_keys = self._vjp("keys", "keys and queries", keyed)
        self.vjp_heads = self._vjp("heads", "decays", plain)
        self.vjp_values = self._vjp("values", "values", late)
        self.vjps = ((self.vjp_reads,), (self.vjp_queries,), (self.vjp_keys, self.vjp_heads), (self.vjp_values,))
        for v in chain(*self.vjps):
            summed = [(n, d) for n, d in zip(v.outputs, v.dims, strict=True) if n in a.accumulated]
            e.bind((n, tuple(x for x in d if x != TIME)) for n, d in summed)
        given = {a.gradients[x.name]: x.operand.atoms for x in self.parameters if x.name in a.gradients}
        doc = "From sums over tokens to the cotangents of parameters{}."
        of = [[n for n, atoms in given.items() if (KEYS in self.tile.dims(atoms)) == k] for k in (False, True)]
        back = [*s.hoisted, *s.hoisted_back]
        self.hoist_vjp = e.make("chunk_hoist_vjp", doc.format(""), needed(back, of[0]), of[0])
        self.hoist_vjp_keys = e.make("chunk_hoist_vjp_keys", doc.format(" with keys"), needed(back, of[1]), of[1])
        wanted = self._read(late if f.by_key else [*keyed, *plain, *late])
        self.decayed = f.given[0] in self._read(outputs)
        begun = [n for n in f.given[:2] if n in self._read(late)]
        self.passed = [*begun, *(q.wanted for q in f.queries if q.wanted in wanted)]
        after = (self.vjp_queries, self.vjp_keys, self.vjp_heads, self.hoist_vjp, self.hoist_vjp_keys)
        self.strips = not any(VALUES in e.dims(k[0]) for v in after for k in v.inputs if k[1] == 0)
        self.mixed = any(KEYS in e.dims(k[0]) for k in self.d_reads.inputs if k[1] == 0)
        keyless = s.slice(known), s.slice(wants), s.slice(soon), s.hoisted_back
        reduced = [n for lets in keyless for x in lets for n in walk(x.node) if isinstance(n, Reduce)]
        self.blocks = not any(set(n.over) & set(f.keys) for n in reduced)

    def _vjp(self, what: str, of: str, outputs: list[str]) -> Equation:
        doc = f"From the cotangents of results and of {of} to those of the operands."
        return self.e.make(f"chunk_vjp_{what}", doc, self.e.s.slice(outputs, self.known), outputs)

    def _apart(self, wants: Sequence[str], aside: Sequence[str]) -> bool:
        """Whether results are worth a kernel of their own, and what they want of the reads another: they read more of
        the values than the reads, so that each kernel that needs it would load as much, and nothing of the keys."""
        if self.f.by_key or not all(self._root(n) in self.lets for n in wants):
            return False
        wide = {q.read for q in self.f.queries} | {x.name for x in self.tokens if VALUES in self.e.dims(x.name)}
        own = self._read([*self.e.results, *wants, *aside])
        keyed = any(x.name in own and KEYS in self.e.dims(x.name) for x in self.p.leaves)
        return bool(wide & self._read(wants)) and not keyed

    def _root(self, name: str) -> str:
        """What a value is another name of."""
        node = self.lets[name].node if name in self.lets else None
        return self._root(node.name) if isinstance(node, Ref) and not node.offset else name

    def _beside_values(self, name: str, axes: Sequence[str], cores: set[str]) -> bool:
        """Whether an output is evaluated where the values' cotangents are: it needs them, or nothing of the keys."""
        read = self._read([name])
        return self.f.given[2] in read or not (read & cores or KEYS in self.tile.dims(axes))

    def _read(self, outputs: Sequence[str]) -> set[str]:
        """What some outputs are made of."""
        lets = self.e.s.slice(outputs)
        return {n.name for x in lets for n in walk(x.node) if isinstance(n, Ref)} | set(outputs)

    def _core(self, what: str, doc: str, names: list[str], targets: Sequence[tuple[str, Dims]]) -> Equation:
        made = self.e.make(f"chunk_{what}", doc, self.e.s.slice(names, self.known), names)
        self.core[made.name] = targets
        return made

    def moving(self, *vjps: Equation) -> tuple[list[Leaf], list[Leaf]]:
        """The token leaves and the parameters whose cotangents a kernel has, or has a part of."""
        outputs = {n for v in vjps for n in v.outputs}
        tokens = [x for x in self.tokens if self.a.gradients.get(x.name) in outputs]
        sums = outputs & set(self.a.accumulated)
        return tokens, [x for x in self.parameters if sums & self._sums_below(self.a.gradients.get(x.name))]

    def _sums_below(self, gradient: str | None) -> set[str]:
        """The sums over tokens that a parameter's cotangent is made of."""
        if gradient is None:
            return set()
        lets = needed(self.e.s.hoisted_back, [gradient])
        return {gradient} | {r.name for x in lets for r in walk(x.node) if isinstance(r, Ref)}
