"""Layer -> Partition: the one entry of this room."""

from __future__ import annotations

from ssmc.diagnostics.sink import Label, Sink
from ssmc.ir.components import components
from ssmc.ir.expr import Const, Pointwise, Reduce, Ref, Relabel, refs, walk
from ssmc.ir.layer import Conv, Layer, Linear, Split, Time
from ssmc.ir.regions import Carried, Definition, Delay, Operand, Partition, Recurrence, Region
from ssmc.partition.conditions import own_conditions
from ssmc.partition.decays import own_decays
from ssmc.partition.delays import is_delay, offsets, split_delays
from ssmc.partition.factors import delay_factors
from ssmc.partition.fine import with_fine
from ssmc.partition.fuse import Fused, Graph, fuse
from ssmc.partition.join import join
from ssmc.partition.normal import POSITION, normalise, uses_position
from ssmc.partition.real_parts import real_parts

CYCLIC = {
    Linear: "declare its weight with `param` and write the product: `sum[N](W * prev(h))`",
    Conv: "write its taps out: `w * prev(x) + v * prev(prev(x))`",
    Split: "keep the parts as values, and states, of their own",
}


def partition(layer: Layer, sink: Sink) -> Partition | None:
    """The layer as regions in order of evaluation."""
    return _Partitioner(delay_factors(layer), sink).run()


class _Partitioner:
    """The working tables of one partition."""

    def __init__(self, layer: Layer, sink: Sink) -> None:
        self.layer, self.sink = layer, sink
        self.definitions = normalise(layer)
        self.modules = {m.name: m for m in layer.modules}
        self.module_of = {o.name: m.name for m in layer.modules for o in m.outputs}
        self.module_input = {m.name: m.input for m in self.modules.values()}
        self.outside: dict[str, set[str]] = {}  # by component, what its op does not take in
        self.taken = {*self.definitions, *self.module_of, *layer.inputs, *layer.params, *layer.axes.axes, POSITION}

    def edges(self) -> dict[str, list[str]]:
        """What every value depends on, modules seen through."""
        edges: dict[str, list[str]] = {d.name: [r.name for r in refs(d.node)] for d in self.definitions.values()}
        edges.update({name: [self.module_input[m]] for name, m in self.module_of.items()})
        return edges

    def graph(self) -> Graph:
        """The dependency graph of the current definitions."""
        return Graph(self.definitions, {m: [s] for m, s in self.module_input.items()}, self.layer.result)

    def dims(self, name: str) -> tuple[str, ...]:
        """The tensor dimensions of any value."""
        layer = self.layer
        if name in self.definitions:
            return self.definitions[name].axes
        if name in layer.inputs:
            return layer.inputs[name].axes
        if name in layer.params:
            return layer.params[name].axes
        return next((o.axes for m in layer.modules for o in m.outputs if o.name == name), ())

    def dtype(self, name: str) -> str:
        """`real` or `complex`."""
        if name in self.definitions:
            return self.definitions[name].dtype
        return self.layer.params[name].dtype if name in self.layer.params else "real"

    def run(self) -> Partition | None:
        found = [c for c in components(self.edges()) if self._cyclic(c)]
        if not all(self._check(c) for c in found):
            return None
        self._drop_unused()
        found = [c for c in found if c[0] in self.definitions]
        found = join(found, self.layer.gauges, self.graph(), self.module_of, self.module_input)
        home = {m: c for c in found for m in c}
        direction = {r.name: r.offset for c in found for m in c for r in offsets(self.definitions[m]) if r.name in c}

        def keep(d: Definition, r: Ref) -> bool:
            inside = d.name in home.get(r.name, ()) or r.name != d.name
            return direction.get(r.name) == r.offset and inside

        self.definitions = split_delays(self.definitions, self.taken, self.dims, self._time, keep)
        fused = self._fused(found)
        while own := own_decays(self.graph(), fused, self.layer.params, self.taken, self.outside):
            self.definitions = own
            fused = self._fused(found)
        inside = {m for f in fused for m in (*f.component, *f.prologue, *f.epilogue)}

        def keep_inside(d: Definition, r: Ref) -> bool:
            return any(d.name in (*f.component, *f.epilogue) and r.name in f.component for f in fused)

        self.definitions = split_delays(self.definitions, self.taken, self.dims, self._time, keep_inside)
        recurrences = {f.component[0]: self._recurrence(f) for f in fused}
        if self.sink.failed:
            return None
        return self._ordered({r.name: r for r in recurrences.values()}, inside)

    def _fused(self, found: list[tuple[str, ...]]) -> list[Fused]:
        """What the op around each component takes in."""
        fused: list[Fused] = []
        inside: set[str] = {m for c in found for m in c}
        for c in found:
            stay = self.outside.setdefault(c[0], set())
            while True:
                f = fuse(self.graph(), c, inside - set(c) | stay, self.module_of, self.module_input)
                if (own := own_conditions(self.definitions, f, stay, self.taken)) is None:
                    break
                self.definitions = own
            fused.append(f)
            inside |= {*f.prologue, *f.epilogue}
        return fused

    def _drop_unused(self) -> None:
        """Forget what neither the result nor a module reads: the analysis has warned of it."""
        edges, reached = self.edges(), set[str]()
        for d in self.definitions.values():
            edges[d.name] += [n.name for r in refs(d.node) if r.init is not None for n in refs(r.init)]
        pending = [self.layer.result, *self.module_input.values()]
        while pending:
            name = pending.pop()
            if name not in reached:
                reached.add(name)
                pending += edges.get(name, [])
        self.definitions = {n: d for n, d in self.definitions.items() if n in reached}

    def _cyclic(self, c: tuple[str, ...]) -> bool:
        return len(c) > 1 or (
            c[0] in self.definitions and any(r.name == c[0] for r in refs(self.definitions[c[0]].node))
        )

    def _check(self, c: tuple[str, ...]) -> bool:
        """A component is made of equations, and runs in one direction."""
        for m in c:
            if m in self.module_of:
                module = self.modules[self.module_of[m]]
                named = [n for n in c if n in self.definitions and not self.definitions[n].anonymous]
                self.sink.report(
                    "SSM0304",
                    f"module `{module.name}` is inside a recurrence",
                    module.span,
                    "needs its own earlier output",
                    secondary=tuple(Label(self.definitions[n].span, "in the same circle") for n in named),
                    notes=("a module is evaluated for all tokens at once, a recurrence token by token",),
                    help=CYCLIC[type(module)],
                )
                return False
        back = [(m, r) for m in c for r in offsets(self.definitions[m]) if r.name in c]
        if {r.offset for _, r in back} == {-1, 1}:
            a, z = (next(m for m, r in back if r.offset == o) for o in (-1, 1))
            both = f"`{a}` depends on itself" if a == z else f"`{a}` and `{z}` depend on each other"
            self.sink.report(
                "SSM0217",
                f"{both} through both `prev` and `next`",
                self.definitions[z].span,
                "reads the next token",
                secondary=(Label(self.definitions[a].span, "reads the previous token"),),
                notes=("a recurrence runs through time in one direction",),
                help="split it into two states, one for each direction",
            )
            return False
        return True

    def _recurrence(self, f: Fused) -> Recurrence:
        ds = self.definitions
        members = {*f.component, *f.prologue, *f.epilogue}
        back = [(m, r) for m in f.component for r in offsets(ds[m]) if r.name in f.component]
        starts = {r.name: r.init for _, r in back}
        carried = tuple(
            Carried(n, n, ds[n].axes, ds[n].atoms, ds[n].dtype, starts[n], True, ds[n].span)
            for n in f.component
            if n in starts
        )
        inner_refs = [r for m in members for r in refs(ds[m].node)] + [
            r for i in starts.values() if i is not None for r in refs(i)
        ]
        names = [r.name for r in inner_refs if r.name not in members]
        operands = self._operands(dict.fromkeys(names))
        if not any(o.streams for o in operands):  # the layer's input tells how many tokens there are, and of what dtype
            operands = self._operands(dict.fromkeys([next(iter(self.layer.inputs)), *names]))
        hoisted = tuple(ds[n] for n in f.prologue if ds[n].time <= Time.PARAMETER)
        prologue = tuple(ds[n] for n in f.prologue if ds[n].time > Time.PARAMETER)
        state_atoms = tuple(dict.fromkeys(a for c in carried for a in c.atoms))
        name = next((n for n in f.component if ds[n].state), f.component[0])
        return Recurrence(
            name=name,
            operands=operands,
            carried=carried,
            hoisted=self._sorted(hoisted),
            prologue=self._sorted(prologue),
            update=self._sorted(tuple(ds[n] for n in f.component)),
            epilogue=self._sorted(tuple(ds[n] for n in f.epilogue)),
            results=f.results,
            channels=tuple(a for a in state_atoms if a not in f.inner),
            inner=f.inner,
            reverse=any(r.offset > 0 for _, r in back),
            frontier=f.reasons,
            span=ds[name].span,
            gauges=tuple(g for g in self.layer.gauges if {g.scale, *g.written} & set(starts)),
        )

    def _operands(self, names: dict[str, None]) -> tuple[Operand, ...]:
        layer = self.layer
        order = [*layer.inputs, POSITION, *self.module_of, *self.definitions, *layer.params]
        spans = {**{n: i.span for n, i in layer.inputs.items()}, **{n: p.span for n, p in layer.params.items()}}
        out = []
        for name in sorted(names, key=order.index):
            axes = self.dims(name)
            token = name not in layer.params and self._time(name) > Time.PARAMETER
            module = self.module_of.get(name)
            own = self.definitions[name].span if name in self.definitions else layer.span
            span = self.modules[module].span if module else spans.get(name) or own
            out.append(Operand(name, axes, layer.axes.atoms(axes), self.dtype(name), token, span))
        return tuple(sorted(out, key=lambda o: not o.token))

    def _time(self, name: str) -> Time:
        if name in self.definitions:
            return self.definitions[name].time
        return self.layer.times.get(name, Time.TOKEN)

    def _sorted(self, group: tuple[Definition, ...]) -> tuple[Definition, ...]:
        """In order of evaluation within a token."""
        by_name = {d.name: d for d in group}
        edges = {d.name: [r.name for r in refs(d.node) if not r.offset and r.name in by_name] for d in group}
        return tuple(by_name[c[0]] for c in components(edges))

    def _ordered(self, recurrences: dict[str, Recurrence], inside: set[str]) -> Partition:
        layer, ds = self.layer, self.definitions
        owner = {d: r.name for r in recurrences.values() for d in r.definitions}
        node_of: dict[str, str] = {n: f"module {m}" for n, m in self.module_of.items()}
        node_of.update({n: f"op {o}" for n, o in owner.items()})
        activations = self._activations(owner)
        node_of.update({d: f"module {c}" for c, d in activations.items()})
        edges: dict[str, list[str]] = {}

        def at(name: str) -> list[str]:
            return [node_of.get(name, name)] if name in ds or name in node_of else []

        for name in ds:
            if name not in owner and name not in activations.values():
                edges[name] = [x for r in refs(ds[name].node) for x in at(r.name)]
        for m, s in self.module_input.items():
            edges[f"module {m}"] = at(s)
        for r in recurrences.values():
            edges[f"op {r.name}"] = [x for o in r.operands for x in at(o.name)]
        regions = [self._region(c[0], recurrences, activations) for c in components(edges)]
        outside = {n: d for n, d in ds.items() if n not in owner}
        delays = {
            n: Delay(n, d.node.name, d.node.offset, d.axes, d.dtype, d.node.init, d.span)
            for n, d in outside.items()
            if isinstance(d.node, Ref) and d.node.offset
        }
        position = uses_position(layer)
        found = Partition(layer, tuple(regions), outside, recurrences, delays, position, activations)
        return with_fine(real_parts(found))

    def _activations(self, owner: dict[str, str]) -> dict[str, str]:
        """For each convolution the pointwise value that alone reads it and reads nothing else."""
        graph, found = self.graph(), {}
        for c in self.layer.convs.values():
            readers = graph.readers(c.output.name)
            d = self.definitions.get(readers[0]) if len(readers) == 1 else None
            if d is None or d.name in owner or not graph.pointwise(d) or d.axes != c.output.axes or d.dtype != "real":
                continue
            plain = all(isinstance(n, Const | Pointwise | Ref) and n.dtype != "complex" for n in walk(d.node))
            if plain and all(r.name == c.output.name and r.offset == 0 for r in refs(d.node)):
                found[c.name] = d.name
        return found

    def _region(self, key: str, recurrences: dict[str, Recurrence], activations: dict[str, str]) -> Region:
        layer = self.layer
        if key.startswith("module "):
            name = key.removeprefix("module ")
            kind = "linear" if name in layer.linears else "conv" if name in layer.convs else "split"
            writes = tuple(n for n, m in self.module_of.items() if m == name)
            return Region(
                kind, name, (self.module_input[name],), (activations[name],) if name in activations else writes
            )
        if key.startswith("op "):
            r = recurrences[key.removeprefix("op ")]
            return Region("op", r.name, tuple(o.name for o in r.operands), r.results)
        d = self.definitions[key]
        return Region(_kind(d), key, tuple(dict.fromkeys(r.name for r in refs(d.node))), (key,))


def _kind(d: Definition) -> str:
    if is_delay(d):
        return "delay"
    if isinstance(d.node, Relabel):
        return "relabel"
    if d.time <= Time.PARAMETER:
        return "parameter"
    if isinstance(d.node, Reduce):
        factors = {r.axes for r in refs(d.node.body)}
        return "contraction" if d.node.op == "sum" and len(factors) > 1 else "row"
    return "pointwise"
