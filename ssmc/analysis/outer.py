"""Does a recurrence gather outer products? Its input must factor over disjoint axes, its reads must sum one of the two.

The decay is taken as its logarithm: exactly, where the expression says it (exp, sigmoid), or of a value that is proven
positive. A decay of unknown sign is no decay: the walk multiplies by it, and nothing else can be done.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from ssmc.analysis.logs import complement, log_of
from ssmc.ir import build as b
from ssmc.ir import linear
from ssmc.ir.expr import Node, Pointwise, Reduce, Ref, refs
from ssmc.ir.layer import Time
from ssmc.ir.outer import Outer, OuterRead
from ssmc.ir.regions import Recurrence


class NotOuter(Exception):
    """The reason why it does not."""


def find_outer(
    r: Recurrence,
    updates: tuple[tuple[Node, Node], ...],
    times: Mapping[str, Time],
    positive: Callable[[Node], bool],
) -> Outer | str:
    """The outer-product form of a recurrence whose carried values are h = a*prev(h) + input for each (a, input);
    `positive` tells of an expression in the op's operands whether it is proven to be."""
    if len(updates) != 1 or r.carried[0].dtype != "real":
        return "its state is not one real value"
    if not r.inner:
        return "no read sums an axis of the state"
    try:
        return _Search(r, times, positive).find(*updates[0])
    except NotOuter as why:
        return str(why)


class _Search:
    def __init__(self, r: Recurrence, times: Mapping[str, Time], positive: Callable[[Node], bool]) -> None:
        self.r, self.times, self.state, self.positive = r, times, r.carried[0], positive
        self.keys = r.inner

    def find(self, coefficient: Node, inputs: Node) -> Outer:
        """The form, or NotOuter."""
        reads = self._reads()
        factors = self._factors(inputs)
        taken = {a for f in (coefficient, *(x.weight for x in reads)) for a in f.axes}
        values = tuple(a for a in self.r.channels if a not in taken and not self._beside_keys(a, factors))
        if not values:
            raise NotOuter(self._why_no_values(coefficient, inputs, factors))
        key: list[Node] = []
        value: list[Node] = []
        for f in factors:
            both = set(f.axes) & set(values) and set(f.axes) & set(self.keys)
            if both:
                raise NotOuter(
                    "the input does not factor over the axes " + ", ".join(f"`{a}`" for a in self.state.atoms)
                )
            (key if set(f.axes) & set(self.keys) else value).append(f)
        by_key = bool(set(coefficient.axes) & set(self.keys))
        k, v = linear.product(key), linear.product(value)
        moving = [x for f in (k, *(y.weight for y in reads)) for x in refs(f) if self.times[x.name] > Time.PARAMETER]
        if not moving:
            raise NotOuter("neither the key nor a read depends on the token")
        heads = tuple(a for a in self.r.channels if a not in values)
        return Outer(self._log(coefficient), k, v, reads, heads, self.keys, values, by_key)

    def _why_no_values(self, coefficient: Node, inputs: Node, factors: list[Node]) -> str:
        if len(linear.terms(inputs)) > 1:
            return "its input is a sum, not one product of a key and a value"
        apart = [a for a in self.r.channels if not self._beside_keys(a, factors)]
        own = [a for a in apart if a in coefficient.axes]
        if own:
            return f"the decay differs along {', '.join(f'`{a}`' for a in own)}, which no read sums"
        if apart:
            return f"a read's weight differs along {', '.join(f'`{a}`' for a in apart)}"
        return "no axis of the state belongs to one factor of its input alone"

    def _beside_keys(self, axis: str, factors: list[Node]) -> bool:
        """Whether the axis is one of a factor that has keys."""
        return any(axis in f.axes and set(f.axes) & set(self.keys) for f in factors)

    def _factors(self, node: Node) -> list[Node]:
        """The factors of an input, looked for in what it is made of while they have keys and other axes at once."""
        parts = linear.signed_factors(node)
        if len(parts) > 1:
            return [f for part in parts for f in self._factors(part)]
        whole = set(self.state.atoms)
        match node:
            case Pointwise(fn="div", args=(x, y)):
                return [*self._factors(x), b.div(b.ONE, y)]
            case Pointwise(fn="sub", args=(one, x)) if one is b.ONE:
                return [complement(x, self._meaning) or node]
            case Ref() if not node.offset and self._is_complement(node):
                return self._factors(self.r.definitions[node.name].node)
            case Ref() if not node.offset and set(node.axes) == whole and node.name in self.r.definitions:
                return self._factors(self.r.definitions[node.name].node)
        return [node]

    def _is_complement(self, node: Ref) -> bool:
        """Whether a name stands for 1 - x, which is taken where it keeps its digits."""
        match self._meaning(node):
            case Pointwise(fn="sub", args=(one, x)) if one is b.ONE:
                return complement(x, self._meaning) is not None
        return False

    def _reads(self) -> tuple[OuterRead, ...]:
        r, name, found = self.r, self.state.of, []
        if name in r.results:
            raise NotOuter(f"`{name}` itself is a result")
        for d in r.epilogue:
            symbols = [x for x in refs(d.node) if x.name == name]
            if not symbols:
                continue
            if not isinstance(d.node, Reduce) or d.node.op != "sum" or set(d.node.over) != set(self.keys):
                raise NotOuter(f"`{d.name}` reads the state otherwise than by a sum over {list(self.keys)}")
            split = linear.affine(d.node.body, symbols[0]) if len(symbols) == 1 else None
            if split is None:
                raise NotOuter(f"`{d.name}` does not read the state once, times a weight")
            rest = _summed(d.node.over, split[1])
            found.append(OuterRead(d.name, bool(symbols[0].offset), split[0], rest))
        return tuple(found)

    def _log(self, node: Node) -> Node:
        """log of a decay."""
        found = log_of(node, self._meaning, lambda x: self.positive(self._inlined(x)))
        if found is None:
            raise NotOuter("the decay is not proven positive, so it has no logarithm")
        return found

    def _inlined(self, node: Node) -> Node:
        """A value in terms of the op's operands."""
        while any(self._meaning(x) is not None for x in refs(node)):
            node = b.substitute(node, lambda n: self._meaning(n) if isinstance(n, Ref) else None)
        return node

    def _meaning(self, n: Ref) -> Node | None:
        found = self.r.definitions.get(n.name)
        return None if found is None or n.offset else found.node


def _summed(over: tuple[str, ...], terms: list[Node]) -> Node:
    """The sum of terms over axes, with the factors that lack them taken out."""
    out: Node = b.ZERO
    for term in terms:
        factors = linear.signed_factors(term)
        inside = [f for f in factors if set(f.axes) & set(over)]
        outside = linear.product([f for f in factors if f not in inside])
        body = linear.product(inside)
        total = b.reduce("sum", over, body)
        for a in over:
            if a not in body.axes:
                total = b.mul(b.size(a), total)
        out = b.add(out, b.mul(outside, total) if outside is not b.ONE else total)
    return out
