"""How a state's update depends on its previous value: a coefficient, a nonlinear function, or through other values."""

from __future__ import annotations

from dataclasses import dataclass

from ssmc.analysis.facts import Facts
from ssmc.ir import build as b
from ssmc.ir import linear
from ssmc.ir.expr import Node, Pointwise, Reduce, Ref, Relabel, refs, walk
from ssmc.ir.layer import State


@dataclass(frozen=True, slots=True)
class Transition:
    """`kind` is `linear` (update = coefficient * previous + rest), `nonlinear`, `rank_one` (see `RankOne`), `coupled`
    (with the states in `partners`), or `dense`: the previous value is met at other indices or through a module."""

    kind: str
    update: Node
    previous: tuple[Ref, ...]
    coefficient: Node
    rest: Node
    partners: tuple[str, ...] = ()
    rank_one: RankOne | None = None


@dataclass(frozen=True, slots=True)
class RankOne:
    """The transition (scale*I + factor * k k^T) on the axes `over`, times a diagonal whose entries are `diagonal`."""

    scale: Node
    factor: Node
    k: Node
    over: tuple[str, ...]
    diagonal: Node


def transition(facts: Facts, state: State) -> Transition:
    """The transition of a state, with the equations at this token put in."""
    update = facts.inline(state.update)
    found = refs(update)
    previous = tuple(r for r in found if r.name == state.name and r.offset == -1)
    states = facts.layer.states
    others = [r.name for r in found if r.name in states and r.name != state.name]
    partners = tuple(dict.fromkeys(n for n in others if state.name in facts.reaches(n)))
    through = [r for r in found if r.name not in states and state.name in facts.reaches(r.name)]
    hidden = bool(through) or any(r.name == state.name and r.offset != -1 for r in found)
    if hidden:
        return Transition("dense", update, previous, b.ZERO, b.ZERO)
    if partners:
        return Transition("coupled", update, previous, b.ZERO, b.ZERO, partners)
    if any(_contains(n, previous) for n in walk(update) if isinstance(n, Reduce | Relabel)):
        found_one = _rank_one(update, previous[0]) if len(previous) == 1 else None
        kind = "dense" if found_one is None else "rank_one"
        return Transition(kind, update, previous, b.ZERO, b.ZERO, (), found_one)
    if not previous:
        return Transition("linear", update, previous, b.ZERO, update)
    split = linear.affine(update, previous[0]) if len(previous) == 1 else None
    if split is None:
        return Transition("nonlinear", update, previous, b.ZERO, b.ZERO)
    return Transition("linear", update, previous, split[0], linear.total(split[1]))


def _contains(node: Node, symbols: tuple[Ref, ...]) -> bool:
    return any(n in symbols for n in walk(node))


# --- diagonal plus rank one ---


def _rank_one(update: Node, previous: Ref) -> RankOne | None:
    """prev*d + u * sum[K](w * prev) with u w^T symmetric up to the diagonal."""
    diagonal: Node = b.ZERO
    outer: tuple[list[Node], Reduce, list[Node]] | None = None
    for term in _terms(update):
        if not linear.contains(term, previous):
            continue
        factors = linear.signed_factors(term)
        sums = [f for f in factors if isinstance(f, Reduce) and linear.contains(f, previous)]
        if not sums:
            c = linear.coefficient(term, previous)
            if c is None:
                return None
            diagonal = b.add(diagonal, c)
        elif len(sums) == 1 and outer is None and sums[0].op == "sum":
            rest = [f for f in factors if f is not sums[0]]
            inner = linear.signed_factors(sums[0].body)
            if any(linear.contains(f, previous) for f in rest) or inner.count(previous) != 1:
                return None
            weights = [f for f in inner if f is not previous]
            if any(linear.contains(f, previous) for f in weights):
                return None
            outer = rest, sums[0], weights
        else:
            return None
    return None if outer is None else _symmetric(diagonal, *outer)


def _symmetric(diagonal: Node, rest: list[Node], total: Reduce, weights: list[Node]) -> RankOne | None:
    over = total.over

    def along(nodes: list[Node]) -> list[Node]:
        return [n for n in nodes if set(n.axes) & set(over)]

    k, w = along(rest), along(weights)
    free = [n for n in [*rest, *weights] if not set(n.axes) & set(over)]
    scale: Node = diagonal
    entries: Node = b.ONE
    if set(diagonal.axes) & set(over):  # (I + s k k^T) diag(d): the weights hold the diagonal, too
        left = _without(weights, linear.signed_factors(diagonal))
        if left is None:
            return None
        w = along(left)
        free = [n for n in [*rest, *left] if not set(n.axes) & set(over)]
        scale, entries = b.ONE, diagonal
    vector = linear.product(k)
    if sorted(map(id, k)) != sorted(map(id, w)) or not set(over) <= set(vector.axes):
        return None
    return RankOne(scale, linear.product(free), vector, over, entries)


def _without(nodes: list[Node], gone: list[Node]) -> list[Node] | None:
    """The list less each of the others once; None if one of them is not there."""
    left = list(nodes)
    for g in gone:
        if g not in left:
            return None
        left.remove(g)
    return left


def _terms(node: Node) -> list[Node]:
    """The summands, products over sums multiplied out as far as needed to see the state's own terms."""
    out: list[Node] = []
    for term in linear.terms(node):
        if isinstance(term, Pointwise) and term.fn == "mul":
            for x, y in (term.args, term.args[::-1]):
                parts = linear.terms(x)
                if len(parts) > 1:
                    for p in parts:
                        out.extend(_terms(b.mul(p, y)))
                    break
            else:
                out.append(term)
        elif isinstance(term, Pointwise) and term.fn == "neg":
            inner = _terms(term.args[0])
            out.extend([b.neg(t) for t in inner] if len(inner) > 1 else [term])
        else:
            out.append(term)
    return out
