"""Decays that several ops share, or that others read too, are worked out in each op that multiplies a state by them.

A decay of 0.998 is 1 or 0.996 in 16 bits, so as an operand it has lost what tells how long a state lasts; the gate that
it is made of has not. An op reads that instead, where it is one number a token. A decay made of more is cut into what
it is a function of, which is handed over, and the function.
"""

from __future__ import annotations

from collections.abc import Container, Iterator, Mapping
from dataclasses import replace

from ssmc.ir import build as b
from ssmc.ir import linear
from ssmc.ir.expr import Const, Node, Pointwise, Reduce, Ref, Relabel, refs
from ssmc.ir.layer import Time
from ssmc.ir.regions import Definition
from ssmc.partition.fuse import Fused, Graph

Definitions = Mapping[str, Definition]
CUT = ("exp", "sigmoid")


def own_decays(
    graph: Graph, fused: list[Fused], early: Container[str], taken: set[str], outside: dict[str, set[str]]
) -> dict[str, Definition] | None:
    """The definitions with one such decay copied for one op that is not the only one to read it; None if there is none.
    `early` are names of no definition that are known before any token; new names are added to those `taken`, and what
    an op is to leave to another to those `outside` it, by its component."""
    definitions = graph.definitions
    inside = {m for f in fused for m in (*f.prologue, *f.component)}
    after = {m: f.component[0] for f in fused for m in f.epilogue}
    for f in fused:
        for name in dict.fromkeys(n for m in f.component for n in _decays(definitions[m], f, definitions)):
            alone = {*graph.readers(name)} <= {*_members(f)}
            if name in inside or not _may_move(definitions[name]) or (alone and name not in after):
                continue
            done = _cut(definitions, name, early, taken)
            if len(_streaming(done[name].node, done, early)) < 2:
                own, done = (name, done) if alone else _copied(done, name, f, taken)
                if name in after:
                    outside[after[name]].add(own)
                return done
    return None


def _members(f: Fused) -> tuple[str, ...]:
    return (*f.prologue, *f.component, *f.epilogue)


def _copied(done: Definitions, name: str, f: Fused, taken: set[str]) -> tuple[str, dict[str, Definition]]:
    """A value of the op's own, and the definitions with it in place of the named one."""
    there = (m for m in f.prologue if done[m].node is done[name].node and done[m].axes == done[name].axes)
    own = next(there, None) or fresh(name, taken)
    members, out = _members(f), dict[str, Definition]()
    for n, d in done.items():
        out[n] = replace(d, node=renamed(d.node, name, own)) if n in members else d
        if n == name and own not in done:
            out[own] = replace(d, name=own, anonymous=True)
    return own, out


def _decays(d: Definition, f: Fused, definitions: Definitions) -> Iterator[str]:
    """Names of values outside of an op that multiply a state of it."""
    for r in refs(d.node):
        if r.name in f.component and r.offset and not isinstance(d.node, Reduce | Relabel):
            split = linear.affine(d.node, r)
            yield from _factors(split[0], f, definitions) if split is not None else ()


def _factors(node: Node, f: Fused, definitions: Definitions) -> Iterator[str]:
    """The names in a product whose digits near 1 count in it."""
    match node:
        case Ref() if not node.offset and node.name in definitions:
            if node.name in f.prologue:
                yield from _factors(definitions[node.name].node, f, definitions)
            else:
                yield node.name
        case Pointwise(fn="mul" | "div", args=(x, y)) | Pointwise(fn="where", args=(_, x, y)):
            yield from _factors(x, f, definitions)
            yield from _factors(y, f, definitions)
        case Pointwise(fn="sub", args=(one, x)) if one is b.ONE:
            yield from _factors(x, f, definitions)
        case Pointwise(fn="pow", args=(x, Const())) | Pointwise(fn="sqrt" | "square", args=(x,)):
            yield from _factors(x, f, definitions)


def _may_move(d: Definition) -> bool:
    """Whether it is a real pointwise equation of values at this token; what is known before is in float32 anyway."""
    late = any(r.offset for r in refs(d.node))
    return d.time > Time.PARAMETER and not (
        d.state or late or d.dtype != "real" or isinstance(d.node, Reduce | Relabel | Ref)
    )


def _cut(done: Definitions, name: str, early: Container[str], taken: set[str]) -> dict[str, Definition]:
    """The definitions with what a decay is a function of as a value, if it is made of more than one number a token."""
    d = done[name]
    if not isinstance(d.node, Pointwise) or d.node.fn not in CUT or len(_streaming(d.node, done, early)) < 2:
        return dict(done)
    (x,) = d.node.args
    if set(x.axes) != set(d.atoms):
        return dict(done)
    part = fresh(f"{name}_part", taken)
    out: dict[str, Definition] = {}
    for n, own in done.items():
        if n == name:
            out[part] = replace(d, name=part, node=x, anonymous=True)
            own = replace(d, node=b.apply(d.node.fn, b.ref(part, x.axes, x.dtype)))
        out[n] = own
    return out


def _streaming(node: Node, done: Definitions, early: Container[str]) -> set[str]:
    """The values in an equation that are numbers a token."""
    known = {r.name: done[r.name].time > Time.PARAMETER if r.name in done else r.name not in early for r in refs(node)}
    return {n for n, moves in known.items() if moves}


def renamed(node: Node, name: str, other: str) -> Node:
    """An equation that reads another value at this token."""

    def step(n: Node) -> Node | None:
        return b.ref(other, n.axes, n.dtype) if isinstance(n, Ref) and n.name == name and not n.offset else None

    return b.substitute(node, step)


def fresh(stem: str, taken: set[str]) -> str:
    """A name that is not taken, and is from now on."""
    name, i = stem, 1
    while name in taken:
        i += 1
        name = f"{stem}_{i}"
    taken.add(name)
    return name
