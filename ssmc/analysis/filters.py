"""Has a recurrence a filter? Its coefficient, its input weights and its reads must be known before time starts.

The input is split into weights times streams, the reads into functionals of the state, by looking at the expressions.
"""

from __future__ import annotations

from collections.abc import Mapping
from fractions import Fraction

from ssmc.ir import build as b
from ssmc.ir.expr import Node, Pointwise, Reduce, Ref, const, refs
from ssmc.ir.filters import Filter, Read
from ssmc.ir.layer import Time
from ssmc.ir.regions import Recurrence

HALF = const(Fraction(1, 2))
I = b.apply("complex", b.ZERO, b.ONE)  # noqa: E741
Term = tuple[Node, Node]  # weight, stream
Functional = tuple[Node, Node]  # of h and of conj(h)


class NoFilter(Exception):
    """The reason why there is none."""


def find_filter(r: Recurrence, updates: tuple[tuple[Node, Node], ...], times: Mapping[str, Time]) -> Filter | str:
    """The filter of a recurrence whose carried values are h = a*prev(h) + input for each (a, input) of `updates`; or
    why there is none."""
    if len(updates) != 1:
        return "its states depend on each other"
    coefficient, inputs = updates[0]
    varying = [x.name for x in refs(coefficient) if times[x.name] > Time.PARAMETER]
    if varying:
        return "the coefficient depends on the token, through " + ", ".join(f"`{n}`" for n in dict.fromkeys(varying))
    search = _Search(r, times)
    try:
        return Filter(coefficient, search.inputs(inputs), search.reads())
    except NoFilter as why:
        return str(why)


class _Search:
    def __init__(self, r: Recurrence, times: Mapping[str, Time]) -> None:
        self.r, self.times, self.definitions = r, times, r.definitions
        self.state = r.carried[0]

    def early(self, node: Node) -> bool:
        """Whether a value is known before time starts."""
        return all(x.offset == 0 and self.times[x.name] <= Time.PARAMETER for x in refs(node))

    # --- what drives the state ---

    def inputs(self, node: Node) -> tuple[Term, ...]:
        """The terms of an input, one a stream."""
        weights: dict[Node, Node] = {}
        for weight, stream in self.terms(node):
            weights[stream] = b.add(weights[stream], weight) if stream in weights else weight
        return tuple((w, x) for x, w in weights.items())

    def terms(self, node: Node) -> list[Term]:
        """weight * stream, for each term of a sum."""
        if self.early(node):
            return [(node, b.ONE)]
        match node:  # a weight is taken out of a stream, too: then nothing is computed a token
            case Pointwise(fn="neg", args=(x,)):
                return [(b.neg(w), s) for w, s in self.terms(x)]
            case Pointwise(fn="mul", args=(x, y)) if self.early(x) or self.early(y):
                weight, rest = (x, y) if self.early(x) else (y, x)
                return [(product(weight, w), s) for w, s in self.terms(rest)]
            case Pointwise(fn="div", args=(x, y)) if self.early(y):
                return [(b.div(w, y), s) for w, s in self.terms(x)]
        if set(node.axes) <= set(self.r.channels):
            return [(b.ONE, node)]
        match node:
            case Ref() if node.name in self.definitions and not node.offset:
                return self.terms(self.definitions[node.name].node)
            case Pointwise(fn="add", args=(x, y)):
                return self.terms(x) + self.terms(y)
            case Pointwise(fn="sub", args=(x, y)):
                return self.terms(x) + [(b.neg(w), s) for w, s in self.terms(y)]
            case Pointwise(fn="complex", args=(x, y)):
                return self.terms(x) + [(b.mul(I, w), s) for w, s in self.terms(y)]
            case Pointwise(fn="mul", args=(x, y)):
                return [(product(v, w), product(s, t)) for v, s in self.terms(x) for w, t in self.terms(y)]
            case Pointwise(fn="div", args=(x, y)) if set(y.axes) <= set(self.r.channels):
                return [(w, b.div(s, y)) for w, s in self.terms(x)]
        along = ", ".join(f"`{a}`" for a in node.axes if a not in self.r.channels)
        raise NoFilter(f"the input varies by token along {along}, which the reads sum")

    # --- what reads it ---

    def reads(self) -> tuple[Read, ...]:
        """Every read of the state, after the token or before it."""
        r, name, found = self.r, self.state.of, []
        if not r.inner:
            late = {bool(x.offset) for d in r.epilogue for x in refs(d.node) if x.name == name}
            late |= {False} if name in r.results else set()
            return tuple(Read(name, self.state.dtype, x, b.ONE, b.ZERO) for x in sorted(late))
        if name in r.results:
            raise NoFilter(f"`{name}` itself is a result, with its axes {list(r.inner)}")
        for d in r.epilogue:
            symbols = [x for x in refs(d.node) if x.name == name]
            if not symbols:
                continue
            if not isinstance(d.node, Reduce) or d.node.op != "sum" or set(d.node.over) != set(r.inner):
                raise NoFilter(f"`{d.name}` reads the state otherwise than by a sum over {list(r.inner)}")
            if len({x.offset for x in symbols}) > 1:
                raise NoFilter(f"`{d.name}` reads the state before and after the token at once")
            direct_part, mirrored = self.functional(d.node.body, d.name)
            found.append(Read(d.name, d.dtype, bool(symbols[0].offset), direct_part, mirrored))
        return tuple(found)

    def functional(self, node: Node, read: str) -> Functional:
        """(p, q) with node = p*h + q*conj(h)."""
        if isinstance(node, Ref) and node.name == self.state.of:
            return b.ONE, b.ZERO
        match node:
            case Pointwise(fn="neg", args=(x,)):
                p, q = self.functional(x, read)
                return b.neg(p), b.neg(q)
            case Pointwise(fn=("add" | "sub") as fn, args=(x, y)):
                (p, q), (v, w) = self.functional(x, read), self.functional(y, read)
                return b.apply(fn, p, v), b.apply(fn, q, w)
            case Pointwise(fn="complex", args=(x, y)):
                (p, q), (v, w) = self.functional(x, read), self.functional(y, read)
                return b.add(p, b.mul(I, v)), b.add(q, b.mul(I, w))
            case Pointwise(fn="mul", args=(x, y)) if self.early(x) or self.early(y):
                weight, rest = (x, y) if self.early(x) else (y, x)
                p, q = self.functional(rest, read)
                return product(weight, p), product(weight, q)
            case Pointwise(fn="div", args=(x, y)) if self.early(y):
                p, q = self.functional(x, read)
                return b.div(p, y), q if q is b.ZERO else b.div(q, y)
            case Pointwise(fn="conj", args=(x,)):
                p, q = self.functional(x, read)
                return _conj(q), _conj(p)
            case Pointwise(fn=("re" | "im") as fn, args=(x,)):
                p, q = self.functional(x, read)
                p = b.mul(HALF, b.apply("add" if fn == "re" else "sub", p, _conj(q)))
                p = p if fn == "re" else b.neg(b.mul(I, p))
                return p, _conj(p)
        varying = [x.name for x in refs(node) if x.name != self.state.of and self.times.get(x.name, 0) > Time.PARAMETER]
        if varying:
            raise NoFilter(f"`{read}` weighs the state by `{varying[0]}`, which depends on the token")
        raise NoFilter(f"`{read}` is not linear in the state")


def product(x: Node, y: Node) -> Node:
    """x*y, where a factor of one or zero is not written."""
    return y if x is b.ONE else x if y is b.ONE else b.ZERO if b.ZERO in (x, y) else b.mul(x, y)


def _conj(x: Node) -> Node:
    return x if x.dtype == "real" else b.apply("conj", x)


def real_weights(read: Read, state: str) -> tuple[Node, ...]:
    """For each real part of a read, g with part = Re sum(g * h); real for a real state."""
    p, q = read.direct, read.mirrored
    if state == "real":
        return (b.apply("re", p), b.apply("im", p)) if read.dtype == "complex" else (p,)
    total = p if q is b.ZERO else b.add(p, _conj(q))
    if read.dtype != "complex":
        return (total,)
    return total, b.neg(b.mul(I, p if q is b.ZERO else b.sub(p, _conj(q))))
