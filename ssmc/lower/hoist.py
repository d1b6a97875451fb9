"""What depends on parameters only is worked out before time starts, also inside a token's expressions.

Done before the adjoint is derived: its sums over time are then of cotangents of few coefficients, and everything behind
those is differentiated once.
"""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction

from ssmc.ir import build as b
from ssmc.ir.expr import Const, Node, Pointwise, Ref, const, fold, rebuild, walk
from ssmc.ir.linear import factors
from ssmc.ir.program import Let

Term = tuple[int, list[Node]]


def hoist(
    hoisted: Sequence[Let], sections: Sequence[Sequence[Let]], early: set[str]
) -> tuple[list[Let], list[list[Let]]]:
    """The sections with every value that needs only `early` names bound in the first list, by `c:1, c:2, ...`."""
    return _Hoister(hoisted, early | {let.name for let in hoisted}).run(sections)


class _Hoister:
    def __init__(self, hoisted: Sequence[Let], early: set[str]) -> None:
        self.out, self.early = list(hoisted), early
        self.names: dict[Node, Node] = {
            let.node: b.ref(let.name, let.atoms, "real") for let in hoisted if set(let.atoms) == set(let.node.axes)
        }
        self.known: dict[Node, bool] = {}

    def run(self, sections: Sequence[Sequence[Let]]) -> tuple[list[Let], list[list[Let]]]:
        done = [[Let(x.name, x.atoms, self._rewrite(x), x.span) for x in section] for section in sections]
        return self.out, done

    def _early(self, node: Node) -> bool:
        """Whether a node has references, all of them to what is known before time."""
        if node not in self.known:
            found = [n for n in walk(node) if isinstance(n, Ref)]
            self.known[node] = bool(found) and all(n.offset == 0 and n.name in self.early for n in found)
        return self.known[node]

    def _rewrite(self, let: Let) -> Node:
        def step(node: Node, children: tuple[Node, ...]) -> Node:
            new = rebuild(node, children, b.remake)
            if self._early(new) or new.dtype != "real" or not isinstance(new, Pointwise):
                return new
            match new.fn:
                case "add" | "sub":
                    return self._sum(new)
                case "mul":
                    return _product(self._grouped(factors(new)))
            return new

        grouped: Node = fold(let.node, step, {})
        return self._bound(grouped, let, {})

    def _bound(self, node: Node, let: Let, memo: dict[Node, Node]) -> Node:
        """The node with the largest early values that cost something exchanged for their names."""
        if node in memo:
            return memo[node]
        if isinstance(node, Pointwise) and node.dtype == "real" and self._early(node) and not _cheap(node):
            if node not in self.names:
                name = f"c:{sum(x.name.startswith('c:') for x in self.out) + 1}"
                self.out.append(Let(name, node.axes, node, let.span))
                self.early.add(name)
                self.names[node] = b.ref(name, node.axes, "real")
            memo[node] = self.names[node]
        else:
            memo[node] = rebuild(node, tuple(self._bound(c, let, memo) for c in node.children), b.remake)
        return memo[node]

    def _grouped(self, parts: list[Node]) -> list[Node]:
        """The early factors of a product as one, unless that has axes which none of them has alone."""
        fixed = [x for x in parts if self._early(x)]
        if len(fixed) < 2 or not any(set(x.axes) == set(b.union(*fixed)) for x in fixed):
            return parts
        numbers = [x for x in parts if isinstance(x, Const)]
        rest = [x for x in parts if not isinstance(x, Const) and x not in fixed]
        return [_product([*numbers, *fixed]), *rest]

    def _sum(self, node: Pointwise) -> Node:
        """u*a + u*b = u*(a + b), where a and b are early."""
        terms = _terms(node)
        groups: dict[tuple[Node, ...], list[Term]] = {}
        for sign, parts in terms:
            moving = tuple(sorted((x for x in parts if not self._early(x) and not isinstance(x, Const)), key=id))
            groups.setdefault(moving, []).append((sign, parts))
        gathered = {
            moving
            for moving, group in groups.items()
            if len(group) > 1 and moving and all(any(self._early(x) for x in p) for _, p in group)
        }
        if not gathered:
            return node
        out: list[tuple[int, Node]] = []
        for moving, group in groups.items():
            if moving in gathered:
                first = [x for x in group[0][1] if x in moving]
                fixed = [(s, _product([x for x in p if x not in moving])) for s, p in group]
                out.append((1, _product([*first, _added(fixed)])))
            else:
                out += [(sign, _product(self._grouped(parts))) for sign, parts in group]
        return _added(out)


def _cheap(node: Pointwise) -> bool:
    """A sign, or a number times a name: not worth a register."""
    if node.fn == "neg":
        return not isinstance(node.args[0], Pointwise) or _cheap(node.args[0])
    return False


def _terms(node: Node, sign: int = 1) -> list[Term]:
    if isinstance(node, Pointwise):
        if node.fn == "add":
            return _terms(node.args[0], sign) + _terms(node.args[1], sign)
        if node.fn == "sub":
            return _terms(node.args[0], sign) + _terms(node.args[1], -sign)
        if node.fn == "neg":
            return _terms(node.args[0], -sign)
    return [(sign, factors(node))]


def _product(parts: Sequence[Node]) -> Node:
    number, out = Fraction(1), None
    for x in parts:
        if isinstance(x, Const) and not isinstance(x.value, bool):
            number *= x.value
        else:
            out = x if out is None else b.mul(out, x)
    if out is None:
        return const(number)
    return out if number == 1 else b.mul(const(number), out)


def _added(terms: Sequence[tuple[int, Node]]) -> Node:
    total: Node | None = None
    for sign, value in terms:
        if total is None:
            total = b.neg(value) if sign < 0 else value
        else:
            total = b.sub(total, value) if sign < 0 else b.add(total, value)
    assert total is not None
    return total
