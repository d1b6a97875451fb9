"""Layer -> Layer: states that gather exponentials without bound, read only where their scale cancels, are given one.

p = a * prev(p) + e^i * v overflows where i is large, though p / q of two such states does not. Where every value that
depends on p is a quotient of such sums, p is kept divided by e^m, with the running maximum m = max(prev(m) + log a, i)
as one more state: then no exponent is positive, in the state or in the quotient. m is a gauge: any m gives the same
results. States of one decay and one set of exponents share it. What is not recognised stays as it is written.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

from ssmc.analysis.bounds import Prover
from ssmc.analysis.facts import Facts
from ssmc.analysis.interval import INF
from ssmc.analysis.logs import log_of
from ssmc.analysis.weighted import FLOOR, Unscaled, Weighted
from ssmc.diagnostics.sink import Sink
from ssmc.ir import build as b
from ssmc.ir import linear
from ssmc.ir.expr import Node, Pointwise, Ref, refs, walk
from ssmc.ir.layer import Gauge, Layer, State, Time, Value
from ssmc.sema.binding import binding_times, node_time

SCALE = "log_scale"


@dataclass(frozen=True, slots=True)
class Gathers:
    """A state s = decay * prev(s) + inputs, an input of which holds the exponential `grows`; `symbol` is prev(s)."""

    state: State
    symbol: Ref
    decay: Node
    inputs: tuple[Node, ...]
    grows: Node


def stabilise(layer: Layer, sink: Sink) -> Layer:
    """The layer with gauges where they are recognised; a warning where a sum may overflow and they are not."""
    return _Stabiliser(layer).run(sink)


class _Stabiliser:
    def __init__(self, layer: Layer) -> None:
        self.layer, self.facts = layer, Facts(layer)
        self.why: dict[str, str] = {}  # the states that gather exponentials and have no gauge
        self.taken = {*layer.values, *layer.states, *layer.params, *layer.inputs, *layer.axes.axes}
        self.taken |= {o.name for m in layer.modules for o in m.outputs}
        self._unbounded: dict[Node, bool] = {}

    def run(self, sink: Sink) -> Layer:
        gathering = {g.state.name: g for s in self.layer.states.values() if (g := self._gathers(s)) is not None}
        found = {n: g for n, g in gathering.items() if self._free_of(g, set(gathering))}
        layer = self.layer
        while found:
            try:
                layer = self._rewritten(found)
                break
            except _Refused as refused:
                self.why |= {n: refused.why for n in refused.states if n in found and refused.why}
                found = {n: g for n, g in found.items() if n not in refused.states}
        for name, why in self.why.items():
            g = gathering[name]
            sink.report(
                "SSM0306", f"`{name}` gathers exponentials that may overflow", g.state.span, "has no bound",
                notes=(why,),
                help="read such sums through their quotients alone, or take a running maximum out of the exponent",
            )  # fmt: skip
        return layer

    # --- which states ---

    def _gathers(self, s: State) -> Gathers | None:
        symbols = {r for r in refs(s.update) if r.name == s.name}
        if s.dtype != "real" or len(symbols) != 1 or s.continuous is not None:
            return None
        (symbol,) = symbols
        split = linear.affine(s.update, symbol)
        if split is None:
            return None
        weighted = Weighted(self.layer, {}, self.unbounded, str)
        grows = [t.log for x in split[1] for t in weighted.split(x) if t.log is not None]
        return Gathers(s, symbol, split[0], tuple(split[1]), grows[0]) if grows else None

    def unbounded(self, node: Node) -> bool:
        """Whether an exponential depends on the token and has no upper bound."""
        if any(r.name not in self.layer.times for r in refs(node)):
            return False  # made here: a difference to a maximum
        if node not in self._unbounded:
            inner = self.facts.inline(node)
            if isinstance(inner, Pointwise) and inner.fn == "exp":
                inner = b.apply("exp", self._level(inner.args[0]))
            late = node_time(node, self.layer.times) >= Time.TOKEN
            self._unbounded[node] = late and Prover(self.facts.known([inner], ranges=False)).real(inner).hi == INF
        return self._unbounded[node]

    def _level(self, exponent: Node) -> Node:
        """What of an exponent may overflow: of e^(log p + q) that is q, if p is a number as others are."""

        def tame(p: Node) -> bool:
            wild = any(isinstance(n, Pointwise) and n.fn in ("exp", "expm1", "pow") for n in walk(p))
            return not wild and all(self.layer.times[r.name] < Time.STATE for r in refs(p))

        match exponent:
            case Pointwise(fn="log" | "log1p", args=(p,)) if tame(p):
                return b.ZERO
            case Pointwise(fn="add" | "max" | "min", args=(x, y)):
                return b.apply(exponent.fn, self._level(x), self._level(y))
            case Pointwise(fn="sub", args=(x, y)):
                return b.sub(self._level(x), y)
            case Pointwise(fn="where", args=(c, x, y)):
                return b.apply("where", c, self._level(x), self._level(y))
        return exponent

    def _free_of(self, g: Gathers, gathering: set[str]) -> bool:
        """Whether a state's update needs no other one that is to be scaled, and is one to scale."""
        name, log = g.state.name, self._log(g.decay)
        if g.symbol.init is not None:
            self.why[name] = f"`{name}` starts from a value of its own, which no running maximum is known for"
        elif log is None:
            self.why[name] = "its decay is not proven positive, so that it has no logarithm"
        else:
            sources = [r.name for x in (g.decay, *g.inputs) for r in refs(x)]
            met = {s for n in sources for s in (n, *self.facts.reaches(n))} & gathering
            if not met:
                return True
            self.why[name] = f"what it gathers depends on `{min(met)}`, which gathers exponentials too"
        return False

    def _log(self, decay: Node) -> Node | None:
        def positive(node: Node) -> bool:
            inner = self.facts.inline(node)
            if isinstance(inner, Pointwise) and inner.fn == "exp":
                inner = b.apply("exp", self._level(inner.args[0]))
            return Prover(self.facts.known([inner], ranges=False)).real(inner).positive

        def meaning(r: Ref) -> Node | None:
            v = self.layer.values.get(r.name)
            return v.node if v is not None and set(v.node.axes) == set(r.axes) else None

        return log_of(decay, meaning, positive)

    # --- the layer with them ---

    def _rewritten(self, found: dict[str, Gathers]) -> Layer:
        names = _Names(self.taken)
        shared: dict[str, Value] = {}
        states, gauges, scales = self._scaled(found, names, shared)
        forms = Weighted(self.layer, scales, self.unbounded, names.new)
        values = dict(self._values(found, forms))
        for n, s in self.layer.states.items():
            if n not in found:
                states[n] = replace(s, update=self._ordinary(s, forms, found))
        wanted = {self.layer.result: "the result", **{m.input: f"module `{m.name}`" for m in self.layer.modules}}
        wanted |= dict.fromkeys(forms.late, "another token")
        for name, reader in wanted.items():
            if name in found or (name in self.layer.values and name not in values):
                why = f"{reader} reads `{name}`, in which the scale does not cancel"
                raise self._refused(why, _scaled_in(name, forms, found) or [name], found)
        shifts = {v.name: v for v in forms.shifts.values()}
        values = _used({**shared, **_placed(values, shifts)}, states, {*wanted})
        order = [*dict.fromkeys([*(n for n in self.layer.states if n in states), *states])]
        kept = tuple(replace(g, cancels=tuple(n for n, s in forms.cancels.items() if g.scale in s)) for g in gauges)
        unread = [n for g in kept if not g.cancels for n in g.written]
        if unread:
            raise _Refused("", set(unread))
        layer = replace(self.layer, values=values, states={n: states[n] for n in order}, gauges=kept)
        return replace(layer, times=binding_times(layer))

    def _values(self, found: dict[str, Gathers], forms: Weighted) -> Iterator[tuple[str, Value]]:
        """The values that are ordinary: as they are, or rewritten."""
        for name, v in self.layer.values.items():
            try:
                form = forms.value(name)
            except Unscaled as why:
                raise self._refused(f"{why}, in `{name}`", [name], found) from why
            if isinstance(form, Node):
                yield name, v if form is v.node else replace(v, node=form)

    def _scaled(
        self, found: dict[str, Gathers], names: _Names, values: dict[str, Value]
    ) -> tuple[dict[str, State], list[Gauge], dict[str, Ref]]:
        """The scaled states, their running maxima, and which state has which. What states share that have axes beside
        those of their maximum becomes `values`."""
        plain = Weighted(self.layer, {}, self.unbounded, names.new)
        shared: dict[tuple[Node, frozenset[Node]], dict[str, Gathers]] = {}
        for n, g in found.items():
            key = frozenset(t.log or b.ZERO for x in g.inputs for t in plain.split(x))
            shared.setdefault((self._log(g.decay) or b.ZERO, key), {})[n] = g
        states: dict[str, State] = {}
        gauges: list[Gauge] = []
        scales: dict[str, Ref] = {}
        for (log, _), group in shared.items():
            first = next(iter(group.values()))
            logs = tuple(dict.fromkeys(t.log or b.ZERO for x in first.inputs for t in plain.split(x)))
            atoms = tuple(a for a in self.layer.axes.atoms(first.state.axes) if any(a in x.axes for x in (log, *logs)))
            m = b.ref(names.new(SCALE), atoms, "real")
            before = b.ref(m.name, atoms, "real", first.symbol.offset, FLOOR)
            update = b.apply("max", b.add(before, log), *logs)
            axes = self.layer.axes.regroup(atoms, first.state.axes)
            apart = any(set(self.layer.axes.atoms(g.state.axes)) != set(atoms) for g in group.values())

            def less(stem: str, node: Node, apart: bool = apart, state: State = first.state) -> Node:
                if not apart:
                    return node
                own = self.layer.axes.regroup(node.axes, state.axes)
                v = Value(names.new(stem), own, node, state.span, True)
                values[v.name] = v
                return b.ref(v.name, node.axes, "real")

            keep = less("log_keep", b.add(b.sub(before, m), log))
            added = {x: less("log_add", plain.less(x, m)) for x in logs}
            for n, g in group.items():
                total = b.mul(b.apply("exp", keep), g.symbol)
                for t in (t for x in g.inputs for t in plain.split(x)):
                    total = b.add(total, b.mul(b.apply("exp", added[t.log or b.ZERO]), t.rest))
                states[n] = replace(g.state, update=total)
                scales[n] = m
            states[m.name] = State(m.name, axes, "real", update, None, False, first.state.span)
            gauges.append(Gauge(m.name, log, logs, {n: g.state.update for n, g in group.items()}, ()))
        return states, gauges, scales

    def _ordinary(self, s: State, forms: Weighted, found: dict[str, Gathers]) -> Node:
        """The update of a state that is not scaled."""
        names = [r.name for r in refs(s.update)]
        try:
            form = forms.form(s.update)
        except Unscaled as why:
            raise self._refused(f"{why}, in `{s.name}`", names, found) from why
        if isinstance(form, Node):
            return form
        raise self._refused(f"`{s.name}` gathers sums in which the scale does not cancel", names, found)

    def _refused(self, why: str, names: list[str], found: dict[str, Gathers]) -> _Refused:
        """A refusal that takes states out of the group: those named, or those that the names depend on."""
        met = set(names) & set(found) or {s for n in names for s in self.facts.reaches(n)} & set(found)
        return _Refused(why, met or set(found))


class _Refused(Exception):
    def __init__(self, why: str, states: set[str]) -> None:
        super().__init__(why)
        self.why, self.states = why, states


class _Names:
    """Names that nothing else has."""

    def __init__(self, taken: set[str]) -> None:
        self.taken = set(taken)

    def new(self, stem: str) -> str:
        """The stem, with a number if it is taken."""
        name, i = stem, 1
        while name in self.taken:
            i += 1
            name = f"{stem}_{i}"
        self.taken.add(name)
        return name


def _scaled_in(name: str, forms: Weighted, found: dict[str, Gathers]) -> list[str]:
    """The states whose scale does not cancel in a value."""
    form = forms.value(name) if name in forms.layer.values else ()
    terms = () if isinstance(form, Node) else form
    return [r.name for t in terms if t.log is not None for r in refs(t.rest) if r.name in found]


def _placed(values: dict[str, Value], shifts: dict[str, Value]) -> dict[str, Value]:
    """The values, each after the shifts that it is the first to read."""
    out: dict[str, Value] = {}

    def put(v: Value) -> None:
        for r in refs(v.node):
            if r.name in shifts and r.name not in out:
                put(shifts[r.name])
        out[v.name] = v

    for v in values.values():
        put(v)
    return out


def _used(values: dict[str, Value], states: dict[str, State], wanted: set[str]) -> dict[str, Value]:
    """The values without those that only the old equations read."""
    kept: set[str] = set()
    nodes = [s.update for s in states.values()]
    pending = [*wanted, *(r.name for r in refs(*nodes))]
    while pending:
        name = pending.pop()
        if name in values and name not in kept:
            kept.add(name)
            pending += [r.name for r in refs(values[name].node)]
    return {n: v for n, v in values.items() if n in kept}
