"""The program as a kernel wants it: products by dimension, sums over little, exponentials as powers of two.

All of it is algebra on the DAG that changes no more than rounding.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from fractions import Fraction

from ssmc.backends.triton.tiles import Dims, Tile
from ssmc.calculus.reverse import cotangent_name
from ssmc.ir import build as b
from ssmc.ir.expr import Arg, Const, Node, Pointwise, Reduce, Ref, Size, const, fold, rebuild, walk
from ssmc.ir.linear import signed_factors
from ssmc.ir.program import Let, Program
from ssmc.lower.share import share

LOG2E, LN2 = const(Fraction(math.log2(math.e))), const(Fraction(math.log(2)))


@dataclass(frozen=True, slots=True)
class Sections:
    """The assignments of a program, rewritten. `early` are the names known before time starts."""

    hoisted: tuple[Let, ...]
    token: tuple[Let, ...]
    back: tuple[Let, ...]
    hoisted_back: tuple[Let, ...]
    early: frozenset[str]

    def let(self, name: str) -> Let:
        """The assignment of a name; of a cotangent that is assigned twice the last one."""
        return next(x for x in reversed((*self.hoisted, *self.token, *self.back, *self.hoisted_back)) if x.name == name)

    def slice(self, wanted: Iterable[str], known: Iterable[str] = ()) -> tuple[Let, ...]:
        """What one token needs for the wanted names, where the known ones are given."""
        known = set(known)
        return needed([x for x in (*self.token, *self.back) if x.name not in known], wanted)


def needed(lets: Iterable[Let], wanted: Iterable[str]) -> tuple[Let, ...]:
    """The assignments that the wanted names need; a name may be assigned twice (a cotangent that is added to)."""
    lets = list(lets)
    by_name: dict[str, list[Let]] = {}
    for let in lets:
        by_name.setdefault(let.name, []).append(let)
    keep: set[str] = set()
    stack = [w for w in wanted if w in by_name]
    while stack:
        name = stack.pop()
        if name not in keep:
            keep.add(name)
            read = [n for let in by_name[name] for n in walk(let.node) if isinstance(n, Ref) and not n.offset]
            stack.extend(n.name for n in read if n.name in by_name)
    return tuple(let for let in lets if let.name in keep)


def sections(p: Program, tile: Tile) -> Sections:
    """The rewritten assignments."""
    a = p.adjoint
    early = {x.name for x in p.leaves if not x.operand.token} | {x.name for x in p.hoisted}
    token = [*p.prologue, *p.update, *p.epilogue]
    back = [*a.epilogue, *_whole(p), *a.update, *_carried(p), *a.prologue]
    hoisted, (token, back) = _powers_of_two(list(p.hoisted), (token, back), early)
    early |= {x.name for x in hoisted}
    outer = _outer_products([*token, *back], tile)

    def tidy(lets: list[Let]) -> list[Let]:
        return [Let(x.name, x.atoms, _products(x.node, outer, tile), x.span) for x in lets]

    shared = share([hoisted, tidy(token), tidy(back)], "v:")
    late = {x.name for x in shared[0]} - {x.name for x in hoisted}
    return Sections(shared[0], shared[1], _reuse(shared[2]), a.hoisted, frozenset(early | late))


def _reuse(lets: Iterable[Let]) -> tuple[Let, ...]:
    """`p = x * y; q = x * z; r = q * y` as `r = p * z`: nothing may be left that reads q."""
    made: dict[str, list[Node]] = {}  # products of two names
    out = []
    for let in lets:
        parts = signed_factors(let.node)
        wide = _opened(parts, made)
        if len(parts) == 2 and len(wide) == 3:
            for name, pair in made.items():
                if all(x in wide for x in pair) and not any(isinstance(x, Ref) and x.name == name for x in parts):
                    rest = list(wide)
                    for x in pair:
                        rest.remove(x)
                    let = Let(let.name, let.atoms, b.mul(b.ref(name, pair[0].axes, "real"), rest[0]), let.span)
                    break
        made = {n: pair for n, pair in made.items() if n != let.name and not _names(pair, let.name)}
        alike = all(isinstance(x, Ref) and x.axes == let.node.axes for x in parts)
        if len(parts) == 2 and alike and not _names(parts, let.name):
            made[let.name] = parts
        out.append(let)
    return tuple(out)


def _names(nodes: Iterable[Node], name: str) -> bool:
    return any(isinstance(x, Ref) and x.name == name for x in nodes)


def _whole(p: Program) -> list[Let]:
    """The cotangent of a field: what later tokens pass back, and what this token's reads want."""
    out = []
    for f in p.fields:
        if f.name in p.adjoint.reads:
            d = cotangent_name(f.name)
            read = next(x for x in p.adjoint.epilogue if x.name == p.adjoint.reads[f.name])
            total = b.add(b.ref(d, f.atoms, "real"), b.ref(read.name, read.node.axes, "real"))
            out.append(Let(d, f.atoms, total, read.span))
    return out


def _carried(p: Program) -> list[Let]:
    """What the token passes to the fields before it, by `back:<field>`."""
    a, out = p.adjoint, []
    lets = {x.name: x for x in (*a.epilogue, *a.update)}
    for f in p.fields:
        names = [m[f.name] for m in (a.carries, a.reads_before) if f.name in m]
        total: Node = b.ZERO
        for n in names:
            total = b.add(total, b.ref(n, lets[n].node.axes, "real"))
        span = lets[names[0]].span if names else p.recurrence.span
        out.append(Let(f"back:{f.name}", f.atoms, total, span))
    return out


# --- exp(x * A) = exp(ln 2 * x * (A * log2 e)), which the printer writes as a power of two --------------------------


def _powers_of_two(
    hoisted: list[Let], groups: tuple[list[Let], ...], early: set[str]
) -> tuple[list[Let], tuple[list[Let], ...]]:
    """Where an exponent has a factor A known before time, log2(e) is multiplied into that, once; other readers of A get
    ln 2 in front."""
    new = list(hoisted)
    scaled: dict[Node, Node] = {}

    def known(node: Node) -> bool:
        found = [n for n in walk(node) if isinstance(n, Ref)]
        return bool(found) and all(n.offset == 0 and n.name in early for n in found)

    def rate(node: Node) -> Node | None:
        """The factor of an exponential's argument that is known before time."""
        if not isinstance(node, Pointwise) or node.fn != "exp" or known(node):
            return None
        parts = signed_factors(node.args[0])
        fixed = [x for x in parts if known(x)]
        return product(fixed) if fixed else None

    for let in (x for group in groups for x in group):
        for r in (rate(n) for n in walk(let.node)):
            if r is not None and r not in scaled:
                stem = r.name if isinstance(r, Ref) else f"rate:{len(scaled) + 1}"
                new.append(Let(f"{stem}:log2", r.axes, b.mul(LOG2E, r), let.span))
                scaled[r] = b.mul(LN2, b.ref(f"{stem}:log2", r.axes, "real"))

    def step(node: Node, children: tuple[Node, ...]) -> Node:
        if node in scaled and isinstance(node, Ref):
            return scaled[node]
        r = rate(node)
        if r is not None and not isinstance(r, Ref) and isinstance(node, Pointwise):
            rest = [x for x in signed_factors(node.args[0]) if not known(x)]
            return b.apply("exp", product([*(fold(x, step) for x in rest), scaled[r]]), span=node.span)
        return rebuild(node, children, b.remake)

    return new, tuple([Let(x.name, x.atoms, fold(x.node, step), x.span) for x in group] for group in groups)


# --- products -------------------------------------------------------------------------------------------------------


def product(parts: list[Node]) -> Node:
    """The factors multiplied, numbers first."""
    number = math.prod((Fraction(x.value) for x in parts if isinstance(x, Const)), start=Fraction(1))
    rest = [x for x in parts if not isinstance(x, Const)]
    if not rest:
        return const(number)
    out = rest[0]
    for x in rest[1:]:
        out = b.mul(out, x)
    if number == -1:
        return b.neg(out)
    return b.mul(const(number), out) if number != 1 else out


def _opened(parts: list[Node], products: dict[str, list[Node]]) -> list[Node]:
    """The factors, those in place of a name that stands for a product."""
    return [y for x in parts for y in (products.get(x.name, [x]) if isinstance(x, Ref) and not x.offset else [x])]


def _outer_products(lets: list[Let], tile: Tile) -> dict[str, list[Node]]:
    """The assigned products of values on different dimensions: what reads them multiplies in a better order."""
    out: dict[str, list[Node]] = {}
    for let in lets:
        parts = _opened(signed_factors(let.node), out)
        simple = all(isinstance(x, Ref | Const | Size | Arg) for x in parts)
        if simple and len({tile.dims(x.axes) for x in parts if x.axes}) > 1:
            out[let.name] = parts
    return out


def _products(root: Node, outer: dict[str, list[Node]], tile: Tile) -> Node:
    def flat(node: Node) -> list[Node]:
        return _opened(signed_factors(node), outer)

    def step(node: Node, children: tuple[Node, ...]) -> Node:
        new = rebuild(node, children, b.remake)
        match new:
            case Pointwise(fn="mul" | "neg"):
                return by_dims(flat(new), tile)
            case Reduce(op="sum") if any(a in tile.inner for a in new.over):
                return _summed(flat(new.body), new.over, tile)
            case Reduce(op="sum"):
                return b.reduce("sum", new.over, by_dims(flat(new.body), tile))
        return new

    out: Node = fold(root, step)
    return out


def _summed(parts: list[Node], over: tuple[str, ...], tile: Tile) -> Node:
    """The sum of a product, factors that are the same along the inner atoms summed taken out of it."""
    inner = tuple(a for a in over if a in tile.inner)
    outside = [x for x in parts if not any(a in inner for a in x.axes)]
    inside = [x for x in parts if any(a in inner for a in x.axes)]
    lanes = tuple(a for a in over if a not in inner)
    if not inside or {a for x in inside for a in x.axes} & set(inner) != set(inner):
        return b.reduce("sum", over, by_dims(parts, tile))
    total = by_dims([*outside, b.reduce("sum", inner, by_dims(inside, tile))], tile)
    return b.reduce("sum", lanes, total)


def by_dims(parts: list[Node], tile: Tile) -> Node:
    """A product with factors of equal dimensions multiplied first, small ones before large ones."""
    number = product([x for x in parts if isinstance(x, Const)])
    groups: dict[Dims, list[Node]] = {}
    for x in parts:
        if not isinstance(x, Const):
            groups.setdefault(tile.dims(x.axes), []).append(x)
    ordered = [product(groups[d]) for d in sorted(groups, key=lambda d: (len(d), d))]
    if not ordered:
        return number
    return product([product([number, ordered[0]]), *ordered[1:]])
