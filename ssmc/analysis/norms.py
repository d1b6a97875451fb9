"""Normalisations written out as equations, found again: where torch has one kernel, six passes over memory are five too
many, forward and backward.

`layernorm` and `rms` of the language are sums, and so may a spec write them itself; what counts is the expression. Its
mean may stand in two sums of their own, which nobody else needs then.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

from ssmc.ir import build as b
from ssmc.ir.expr import Node, Pointwise, Reduce, Ref, Size, refs, walk
from ssmc.ir.layer import Time
from ssmc.ir.linear import factors
from ssmc.ir.regions import Definition, Partition


@dataclass(frozen=True, slots=True)
class Norm:
    """`node` is `of` divided by its root mean square over axes, after its mean is taken off if `centred`; then times
    `scale`, plus `shift`: values of parameters on just these axes, or None. `eps` is added to the mean square. `sums`
    are the definitions that hold the sums."""

    node: Node
    of: Node
    over: tuple[str, ...]
    centred: bool
    eps: Node
    scale: Node | None
    shift: Node | None
    sums: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Norms:
    """The normalisations inside each value outside ops, and the sums that are read by them only."""

    inside: dict[str, tuple[Norm, ...]]
    absorbed: frozenset[str]


def find_norms(p: Partition) -> Norms:
    """All normalisations of token values outside ops."""
    inside = {}
    for d in p.definitions.values():
        uses = Counter(c for n in walk(d.node) for c in n.children)
        found = [_grown(p, d, m, uses) for n in walk(d.node) if (m := _match(p, n)) is not None]
        if found:
            inside[d.name] = tuple(found)
    sums = {s for norms in inside.values() for m in norms for s in m.sums}
    absorbed: set[str] = set()
    while True:  # a sum goes when what reads it has gone or reads it through a normalisation only
        more = {s for s in sums - absorbed if all(_does_without(p, inside, absorbed, r, s) for r in _readers(p, s))}
        if not more:
            return Norms(inside, frozenset(absorbed))
        absorbed |= more


def _readers(p: Partition, name: str) -> list[str]:
    reads = [r.name if r.kind != "op" else "" for r in p.regions if name in r.reads]
    starts = [d.init for d in p.delays.values() if d.init is not None]
    starts += [c.init for r in p.recurrences.values() for c in r.carried if c.init is not None]
    return reads + ([""] if name == p.layer.result or any(r.name == name for r in refs(*starts)) else [])


def _does_without(
    p: Partition, inside: dict[str, tuple[Norm, ...]], absorbed: set[str], reader: str, name: str
) -> bool:
    d = p.definitions.get(reader)
    if d is None or reader in p.delays:
        return False
    norms = inside.get(reader, ())
    left = [without(d.node, norms), *(without(m.of, norms) for m in norms)]
    return reader in absorbed or name not in {r.name for r in refs(*left)}


def without(node: Node, norms: tuple[Norm, ...]) -> Node:
    """The expression with a reference `norm:0`, `norm:1`, ... in place of each normalisation; what one is
    applied to may hold those before it."""
    names = {m.node: b.ref(f"norm:{i}", m.node.axes, "real") for i, m in enumerate(norms)}
    return b.substitute(node, names.get)


def _sum(p: Partition, node: Node, over: tuple[str, ...] | None) -> tuple[str, Reduce] | None:
    """What a node is the mean of, over axes if they are given: its sum's name, and the sum."""
    match node:
        case Pointwise(fn="div", args=(Ref(offset=0) as r, count)) if r.name in p.definitions:
            total = p.definitions[r.name].node
            if isinstance(total, Reduce) and total.op == "sum" and over in (None, total.over):
                sizes = factors(count)
                if all(isinstance(s, Size) for s in sizes) and {s.axis for s in sizes} == set(total.over):  # type: ignore[attr-defined]
                    return (r.name, total) if len(sizes) == len(total.over) else None
    return None


def _match(p: Partition, node: Node) -> Norm | None:
    """x / sqrt(mean(x**2) + eps), with x as it is or less its mean."""
    for x, root in _both_ways(node, "mul"):
        if not (isinstance(root, Pointwise) and root.fn == "rsqrt"):
            continue
        for mean, eps in _both_ways(root.args[0], "add"):
            squares = _sum(p, mean, None)
            if squares is None or squares[1].body != b.apply("square", x) or refs(eps) or eps.axes:
                continue
            name, total = squares
            if not any(_streams(p, r.name) for r in refs(x)) or x.dtype != "real":
                continue
            if isinstance(x, Pointwise) and x.fn == "sub":
                middle = _sum(p, x.args[1], total.over)
                if middle is not None and middle[1].body == x.args[0]:
                    return Norm(node, x.args[0], total.over, True, eps, None, None, (middle[0], name))
            return Norm(node, x, total.over, False, eps, None, None, (name,))
    return None


def _both_ways(node: Node, fn: str) -> list[tuple[Node, Node]]:
    """The two arguments of a commutative function, either first; none if it is another."""
    if not (isinstance(node, Pointwise) and node.fn == fn):
        return []
    x, y = node.args
    return [(x, y), (y, x)]


def _grown(p: Partition, d: Definition, m: Norm, uses: Counter[Node]) -> Norm:
    """With the scale and the shift that follow, where nobody else reads what they are applied to."""
    node, scale, shift = m.node, m.scale, m.shift
    for fn in ("mul", "add") if m.centred else ("mul",):
        for outer in walk(d.node):
            other = next((y for x, y in _both_ways(outer, fn) if x is node and y is not node), None)
            if other is None or uses[node] > 1 or set(other.axes) != set(m.over) or not refs(other):
                continue
            if other.dtype == "real" and not any(_streams(p, r.name) for r in refs(other)):
                scale, shift = (other, shift) if fn == "mul" else (scale, other)
                node = outer
                break
    return Norm(node, m.of, m.over, m.centred, m.eps, scale, shift, m.sums)


def _streams(p: Partition, name: str) -> bool:
    if name in p.layer.params:
        return False
    return name not in p.definitions or p.definitions[name].time > Time.PARAMETER
