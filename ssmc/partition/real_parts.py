"""Of a complex sum that is only read through `re`, the real part is summed: half the products, and half the bytes.

Inside an op complex values become pairs of real ones later on, and what nobody reads goes away there; outside of ops a
value stays complex, so it is done to whole definitions here.
"""

from __future__ import annotations

from dataclasses import replace

from ssmc.ir import build as b
from ssmc.ir.expr import Node, Pointwise, Reduce, Ref, walk
from ssmc.ir.regions import Definition, Partition


def real_parts(p: Partition) -> Partition:
    """The partition with those sums real."""
    done = dict(p.definitions)
    for d in p.definitions.values():
        body = _real_product(d)
        readers = [r.name for r in p.regions if d.name in r.reads]
        if body is None or not readers or not all(n in p.definitions and n not in p.delays for n in readers):
            continue
        assert isinstance(d.node, Reduce)
        if not all(_only_real(p.definitions[n].node, d.name) for n in readers):
            continue
        total = b.reduce("sum", d.node.over, body, d.node.span)
        done[d.name] = replace(done[d.name], dtype="real", node=total)
        for n in readers:
            done[n] = replace(done[n], node=_reading_real(done[n].node, d))
    return replace(p, definitions=done)


def _real_product(d: Definition) -> Node | None:
    """The real part of what a definition of ours sums, if that is a product of two factors."""
    if not (d.anonymous and d.dtype == "complex" and isinstance(d.node, Reduce) and d.node.op == "sum"):
        return None
    body = d.node.body
    if not (isinstance(body, Pointwise) and body.fn == "mul"):
        return None
    x, y = body.args
    if any(isinstance(f, Pointwise) and f.fn == "mul" for f in (x, y)):
        return None
    if x.dtype == y.dtype == "complex":
        return b.apply("re", body)
    return b.mul(x, b.apply("re", y)) if x.dtype == "real" else b.mul(b.apply("re", x), y)


def _only_real(node: Node, name: str) -> bool:
    """Whether a value is read as `re(value)` and in no other way."""
    for n in walk(node):
        for c in n.children:
            if isinstance(c, Ref) and c.name == name and (c.offset or not isinstance(n, Pointwise) or n.fn != "re"):
                return False
    return not (isinstance(node, Ref) and node.name == name)


def _reading_real(node: Node, d: Definition) -> Node:
    value = b.ref(d.name, d.atoms, "real")

    def step(n: Node) -> Node | None:
        whole = isinstance(n, Pointwise) and n.fn == "re" and isinstance(n.args[0], Ref) and n.args[0].name == d.name
        return value if whole else None

    return b.substitute(node, step)
