"""Additive terms, factors, and the coefficient of a symbol an expression is visibly linear in.

This is structural: it looks at the expression as it was written. What it cannot see, `analysis` asks SymPy.
"""

from __future__ import annotations

from ssmc.ir import build as b
from ssmc.ir.expr import Node, Pointwise, const, walk


def terms(node: Node) -> list[Node]:
    """The summands of an expression, signs pushed in: `a - (b + c)` is a, -b, -c."""
    if isinstance(node, Pointwise):
        match node.fn:
            case "add":
                return terms(node.args[0]) + terms(node.args[1])
            case "sub":
                return terms(node.args[0]) + [b.neg(t) for t in terms(node.args[1])]
            case "neg":
                return [b.neg(t) for t in terms(node.args[0])]
    return [node]


def factors(node: Node) -> list[Node]:
    """The factors of a product; a negation is one of them, whatever it negates."""
    if isinstance(node, Pointwise) and node.fn == "mul":
        return factors(node.args[0]) + factors(node.args[1])
    return [node]


def signed_factors(node: Node) -> list[Node]:
    """The factors of a product, signs taken off: `-(a * b) * c` is -1, a, b, c."""
    out: list[Node] = []
    for f in factors(node):
        if isinstance(f, Pointwise) and f.fn == "neg":
            out += [const(-1), *signed_factors(f.args[0])]
        else:
            out.append(f)
    return out


def contains(node: Node, symbol: Node) -> bool:
    """Whether the symbol occurs in the expression."""
    return any(n is symbol for n in walk(node))


def coefficient(term: Node, symbol: Node) -> Node | None:
    """c with term = c * symbol, if the term is visibly such a product; None if it is not."""
    if term is symbol:
        return b.ONE
    if not isinstance(term, Pointwise):
        return None
    match term.fn, term.args:
        case "neg", (a,):
            c = coefficient(a, symbol)
            return None if c is None else b.neg(c)
        case "mul", (a, x):
            if contains(a, symbol) == contains(x, symbol):
                return None
            inner, other = (a, x) if contains(a, symbol) else (x, a)
            c = coefficient(inner, symbol)
            return None if c is None else c if other is b.ONE else b.mul(c, other) if c is not b.ONE else other
        case "div", (a, x):
            if contains(x, symbol):
                return None
            c = coefficient(a, symbol)
            return None if c is None else b.div(c, x)
        case "where", (cond, x, y):
            if contains(cond, symbol):
                return None
            cx = coefficient(x, symbol) if contains(x, symbol) else (b.ZERO if x is b.ZERO else None)
            cy = coefficient(y, symbol) if contains(y, symbol) else (b.ZERO if y is b.ZERO else None)
            return None if cx is None or cy is None else b.apply("where", cond, cx, cy)
        case (("add" | "sub"), (a, x)):
            cs = [coefficient(t, symbol) for t in terms(term)]
            return None if any(c is None for c in cs) else total([c for c in cs if c is not None])
    return None


def affine(node: Node, symbol: Node) -> tuple[Node, list[Node]] | None:
    """(a, terms) with node = a * symbol + sum(terms), if that can be seen; a is ZERO if the symbol does not occur."""
    found: list[Node] = []
    rest: list[Node] = []
    for term in terms(node):
        if not contains(term, symbol):
            rest.append(term)
            continue
        c = coefficient(term, symbol)
        if c is not None:
            found.append(c)
            continue
        inner = _distribute(term)
        if inner is None:
            return None
        sub = affine(inner, symbol)
        if sub is None:
            return None
        found.append(sub[0])
        rest.extend(sub[1])
    return total(found), rest


def _distribute(term: Node) -> Node | None:
    """One step of (p + q) * r = p*r + q*r, of (p + q) / r, or of where(c, p, q) with a constant branch; None if
    none applies."""
    if not isinstance(term, Pointwise):
        return None
    match term.fn, term.args:
        case "mul", (x, y):
            for p, r in ((x, y), (y, x)):
                parts = terms(p)
                if len(parts) > 1:
                    return total([b.mul(q, r) for q in parts])
        case "div", (x, y):
            parts = terms(x)
            if len(parts) > 1:
                return total([b.div(q, y) for q in parts])
        case "where", (c, x, y):
            if x is not b.ZERO and y is not b.ZERO:
                return b.add(b.apply("where", c, x, b.ZERO), b.apply("where", c, b.ZERO, y))
            parts = terms(x if y is b.ZERO else y)
            if len(parts) > 1:
                return total([b.apply("where", c, *((q, b.ZERO) if y is b.ZERO else (b.ZERO, q))) for q in parts])
    return None


def product(nodes: list[Node]) -> Node:
    """The product of a list; ONE if it is empty."""
    out: Node = b.ONE
    for n in nodes:
        out = b.mul(out, n)
    return out


def total(nodes: list[Node]) -> Node:
    """The sum of a list; ZERO if it is empty."""
    out: Node = b.ZERO
    for n in nodes:
        out = b.add(out, n)
    return out
