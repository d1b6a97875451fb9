"""A layer's equations put into one another, and what is known of the leaves that remain.

Inputs and module outputs range over all reals. A parameter that is trained may go anywhere: its declared range is an
assumption. One that is not trained keeps its range, or what its initial value can be.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from fractions import Fraction

from ssmc.analysis.bounds import Prover
from ssmc.analysis.interval import NATURAL, TOP, ZERO, Interval, exactly
from ssmc.ir import build as b
from ssmc.ir.expr import Node, Ref, refs, walk
from ssmc.ir.layer import Layer
from ssmc.ir.regions import Partition

Known = dict[Node, Interval]


class Facts:
    """One layer, its equations inlined on demand."""

    def __init__(self, layer: Layer) -> None:
        self.layer = layer
        self._inlined: dict[str, Node] = {}
        self._reach: dict[str, frozenset[str]] = {}
        self._modules = {o.name: m.input for m in layer.modules for o in m.outputs}

    # --- equations ---

    def definition(self, name: str) -> Node | None:
        """The right side of an equation or a state's update; None for inputs, parameters and module outputs."""
        if name in self.layer.values:
            return self.layer.values[name].node
        return self.layer.states[name].update if name in self.layer.states else None

    def inline(self, node: Node, keep: frozenset[str] = frozenset()) -> Node:
        """The expression with every value at this token replaced by its equation, except those named in `keep`."""

        def replace(n: Node) -> Node | None:
            if not isinstance(n, Ref) or n.offset != 0 or n.name in keep:
                return None
            found = self.definition(n.name)
            if found is None or set(found.axes) != set(n.axes):  # a broadcast would change what a sum over it counts
                return None
            key = n.name if not keep else ""
            if key and key in self._inlined:
                return self._inlined[key]
            result = self.inline(found, keep)
            if key:
                self._inlined[key] = result
            return result

        return b.substitute(node, replace)

    def reaches(self, name: str) -> frozenset[str]:
        """Every state that a value depends on, at any token."""
        if name not in self._reach:
            seen: set[str] = set()
            pending = [name]
            while pending:
                at = pending.pop()
                found = self.definition(at)
                sources = [] if found is None else [r.name for r in refs(found)]
                for s in [self._modules[at]] if at in self._modules else sources:
                    if s not in seen:
                        seen.add(s)
                        pending.append(s)
            self._reach[name] = frozenset(s for s in seen if s in self.layer.states)
        return self._reach[name]

    # --- leaves ---

    def known(self, roots: Iterable[Node], ranges: bool, defaults: bool = False) -> Known:
        """Facts about the leaves below the roots; `ranges` takes the declared ranges of trained parameters for granted,
        `defaults` sets layer arguments to theirs."""
        known = self._arguments(defaults)
        for ref in refs(*roots):
            if ref.name in self.layer.params:
                self._parameter(ref, known, ranges)
            elif ref.offset != 0 and ref.name in self.layer.values and ref.dtype != "complex":
                known[ref] = self._late(ref, known)
        return known

    def _arguments(self, defaults: bool) -> Known:
        known: Known = {}
        for a in self.layer.args:
            node = b.arg(a.name, "bool" if a.kind == "bool" else "real")
            if isinstance(a.fixed, int | float):
                known[node] = exactly(Fraction(a.fixed))
            elif defaults and a.default is not None:
                known[node] = Prover(known).real(a.default)
            elif a.name in self.layer.axes.axes:  # a size, which the layer checks when it is made
                known[node] = NATURAL
        for axis in self.layer.axes.axes.values():
            known[b.size(axis.name)] = Prover(known).real(self._spelled(axis.size)).meet(NATURAL)
        return known

    def _spelled(self, size: Node) -> Node:
        table = self.layer.axes.axes
        while any(n.axis in table for n in walk(size) if hasattr(n, "axis")):
            size = b.substitute(size, lambda n: table[n.axis].size if hasattr(n, "axis") else None)
        return size

    def _parameter(self, ref: Ref, known: Known, ranges: bool) -> None:
        spec = self.layer.params[ref.name]
        parts = [ref] if ref.dtype != "complex" else [b.apply("re", ref), b.apply("im", ref)]
        if spec.range is not None and ref.dtype != "complex" and (ranges or not spec.trainable):
            known[ref] = declared(spec.range, known)
        elif not spec.trainable:
            init = self._initial(spec.init)
            prover = Prover(self.known([init], ranges=False) if refs(init) else known)
            for part in parts:
                known[part] = prover.real(init if part is ref else b.apply(part.fn, init))  # type: ignore[attr-defined]

    def _initial(self, init: Node) -> Node:
        """An initial value; the initial values of other parameters in it are those parameters' own formulas."""

        def replace(n: Node) -> Node | None:
            if isinstance(n, Ref) and n.name in self.layer.params and not self.layer.params[n.name].trainable:
                other = self.layer.params[n.name].init
                return self._initial(other) if set(other.axes) == set(n.axes) else None
            return None

        return b.substitute(init, replace)

    def _late(self, ref: Ref, known: Mapping[Node, Interval]) -> Interval:
        """A value at another token: within its equation's bounds, or what is read beyond the edge."""
        here = self.inline(self.layer.values[ref.name].node)
        facts: Known = {**known, **self.known_leaves(here)}
        facts |= {r: TOP for r in refs(here) if r.offset != 0}
        prover = Prover(facts)
        return prover.real(here).hull(ZERO if ref.init is None else prover.real(self.inline(ref.init)))

    def known_leaves(self, node: Node) -> Known:
        """Facts about the untrained parameters below a node."""
        known: Known = {}
        for ref in refs(node):
            if ref.name in self.layer.params:
                self._parameter(ref, known, ranges=False)
        return known


def unaided(node: Node) -> bool:
    """Whether an expression is positive whatever its leaves are."""
    return Prover({}).real(node).positive


def positive_in(partition: Partition) -> Callable[[Node], bool]:
    """Whether an expression in the operands of an op is positive, by the equations and parameters they come from."""
    facts, definitions = Facts(partition.layer), partition.definitions

    def meaning(n: Node) -> Node | None:
        known = isinstance(n, Ref) and not n.offset and n.name in definitions
        found = definitions[n.name].node if known and isinstance(n, Ref) else None
        return None if found is None or set(found.axes) != set(n.axes) else found

    def positive(node: Node) -> bool:
        while any(meaning(r) is not None for r in refs(node)):
            node = b.substitute(node, meaning)
        return Prover(facts.known([node], ranges=False)).real(node).positive

    return positive


def declared(ends: tuple[Node, Node], known: Mapping[Node, Interval]) -> Interval:
    """A declared range, with its ends as far apart as they can be."""
    low, high = (Prover(known).real(e) for e in ends)
    return Interval(low.lo, high.hi)
