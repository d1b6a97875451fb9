"""Classified -> Program: the one entry of this room."""

from __future__ import annotations

from ssmc.calculus.reverse import Tape, cotangent_name
from ssmc.ir import build as b
from ssmc.ir.classified import Classified
from ssmc.ir.expr import Node, Ref, walk
from ssmc.ir.layer import Time
from ssmc.ir.program import Adjoint, Field, Leaf, Let, Port, Program, Result
from ssmc.ir.regions import Definition, Recurrence
from ssmc.lower.filters import lower_filter
from ssmc.lower.hoist import hoist
from ssmc.lower.outer import lower_outer
from ssmc.lower.pairs import pair, part_name, real
from ssmc.lower.rewriting import rewrite
from ssmc.lower.share import share
from ssmc.structures import structure

PARTS = {"real": ("",), "bool": ("",), "complex": ("re", "im")}


def lower(c: Classified) -> Program:
    """The program of a recurrence, forward and adjoint."""
    r = c.recurrence
    leaves = _leaves(r)
    fields = tuple(Field(part_name(k.of, p), k.of, k.atoms, p, k.init) for k in r.carried for p in PARTS[k.dtype])
    hoisted, prologue, update, ports = _forward(c)
    epilogue = [let for d in r.epilogue for let in _lets(d.name, d.atoms, d.node, r, d)]
    results = tuple(_result(r, name) for name in r.results)
    known = {leaf.name for leaf in leaves if not leaf.operand.token}
    filtered = lower_filter(c, leaves, hoisted, prologue, epilogue, results)
    outer = None if filtered else lower_outer(c, leaves, hoisted, prologue, epilogue, results)
    hoisted, (prologue, update, epilogue) = hoist(hoisted, (prologue, update, epilogue), known)
    adjoint, sections = _adjoint(leaves, fields, hoisted, prologue, update, epilogue, results)
    shared = share([hoisted, prologue, update, epilogue, *sections], summed=adjoint.accumulated)
    used = {n.name for section in shared[:4] for let in section for n in walk(let.node) if isinstance(n, Ref)}
    kept = tuple(leaf for leaf in leaves if leaf.name in used)
    if not any(leaf.operand.streams for leaf in kept):  # an operand that only tells how many tokens there are
        kept = (next(leaf for leaf in leaves if leaf.operand.streams), *kept)
    return Program(
        recurrence=r,
        structure=c.structure,
        leaves=kept,
        fields=fields,
        ports=ports if structure(c.structure).solver == "scan" else (),
        hoisted=shared[0],
        prologue=shared[1],
        update=shared[2],
        epilogue=shared[3],
        results=results,
        adjoint=Adjoint(
            epilogue=shared[4],
            reads=adjoint.reads,
            reads_before=adjoint.reads_before,
            update=shared[5],
            carries=adjoint.carries,
            prologue=shared[6],
            accumulated=adjoint.accumulated,
            hoisted=shared[7],
            gradients=adjoint.gradients,
        ),
        filter=filtered,
        outer=outer,
    )


def _leaves(r: Recurrence) -> tuple[Leaf, ...]:
    return tuple(Leaf(part_name(o.name, p), o, p) for o in r.operands for p in PARTS[o.dtype])


def _previous(node: Node, r: Recurrence) -> Node:
    """An op that runs backward in time reads its own fields at the token before in its own order."""
    own = {c.of for c in r.carried}

    def replace(n: Node) -> Node | None:
        if isinstance(n, Ref) and n.name in own and n.offset:
            return b.ref(n.name, n.axes, n.dtype, -1, None, n.span)
        return None

    return b.substitute(node, replace)


def _lets(name: str, atoms: tuple[str, ...], node: Node, r: Recurrence, d: Definition) -> list[Let]:
    """The real assignments of a definition."""
    node = rewrite(_previous(node, r))
    if d.dtype != "complex":
        return [Let(name, atoms, real(node), d.span)]
    re, im = pair(node)
    parts = (("re", re), ("im", im or b.ZERO))
    return [Let(part_name(name, p), atoms, _full(x, atoms), d.span) for p, x in parts]


def _full(node: Node, atoms: tuple[str, ...]) -> Node:
    """The node on all of the atoms; a part of a complex value may lack some."""
    for atom in atoms:
        if atom not in node.axes:
            node = b.add(node, b.mul(b.ZERO, b.index(atom)))
    return node


def _forward(c: Classified) -> tuple[list[Let], list[Let], list[Let], tuple[Port, ...]]:
    r = c.recurrence
    hoisted = [let for d in r.hoisted for let in _lets(d.name, d.atoms, d.node, r, d)]
    prologue = [let for d in r.prologue for let in _lets(d.name, d.atoms, d.node, r, d)]
    if not c.linear:
        return hoisted, prologue, [let for d in r.update for let in _lets(d.name, d.atoms, d.node, r, d)], ()
    times = {d.name: d.time for d in r.definitions.values()}
    times.update({o.name: Time.TOKEN if o.token else Time.PARAMETER for o in r.operands})
    update: list[Let] = []
    ports: list[Port] = []
    for k, (coefficient, inputs) in zip(r.carried, c.linear, strict=True):
        d = r.definitions[k.of]
        names: list[tuple[str, ...]] = []
        for stem, node in (("a", coefficient), ("b", inputs)):
            known = isinstance(node, Ref) and node.offset == 0 and node.dtype == k.dtype
            base = node.name if known and isinstance(node, Ref) else f"{stem}:{k.of}"
            names.append(tuple(part_name(base, p) for p in PARTS[k.dtype]))
            if known:
                continue
            early = all(times[n.name] <= Time.PARAMETER for n in walk(node) if isinstance(n, Ref))
            target = hoisted if early else prologue
            parts = pair(rewrite(_previous(node, r)))
            for name, part in zip(names[-1], parts, strict=False):
                full = _full(part or b.ZERO, node.axes) if k.dtype == "complex" else part or b.ZERO
                target.append(Let(name, full.axes, full, d.span))
        ports.append(Port(tuple(part_name(k.of, p) for p in PARTS[k.dtype]), names[0], names[1]))
        symbols = [_symbol(n, hoisted, prologue, r, k.dtype) for n in (*names[0], *names[1])]
        previous = [b.ref(part_name(k.of, p), k.atoms, "real", -1) for p in PARTS[k.dtype]]
        if k.dtype == "real":
            a, x = symbols
            update.append(Let(k.of, k.atoms, b.add(b.mul(a, previous[0]), x), d.span))
        else:
            ar, ai, xr, xi = symbols
            hr, hi = previous
            re = b.add(b.sub(b.mul(ar, hr), b.mul(ai, hi)), xr)
            im = b.add(b.add(b.mul(ar, hi), b.mul(ai, hr)), xi)
            update += [Let(part_name(k.of, "re"), k.atoms, re, d.span), Let(part_name(k.of, "im"), k.atoms, im, d.span)]
    return hoisted, prologue, update, tuple(ports)


def _symbol(name: str, hoisted: list[Let], prologue: list[Let], r: Recurrence, dtype: str) -> Node:
    for let in (*prologue, *hoisted):
        if let.name == name:
            return b.ref(name, let.atoms, "real")
    for o in r.operands:
        if name in (part_name(o.name, p) for p in PARTS[o.dtype]):
            return b.ref(name, o.atoms, "real")
    raise AssertionError(name)


def _result(r: Recurrence, name: str) -> Result:
    d = r.definitions[name]
    return Result(name, d.axes, d.atoms, tuple(part_name(name, p) for p in PARTS[d.dtype]))


def _adjoint(
    leaves: tuple[Leaf, ...],
    fields: tuple[Field, ...],
    hoisted: list[Let],
    prologue: list[Let],
    update: list[Let],
    epilogue: list[Let],
    results: tuple[Result, ...],
) -> tuple[Adjoint, list[list[Let]]]:
    """Reverse mode through the sections, last to first."""
    tape = Tape()
    span = {let.name: let.span for let in (*hoisted, *prologue, *update, *epilogue)}
    for result in results:
        for part in result.parts:
            tape.add((part, 0), b.ref(seed_name(part), result.atoms, "real"))
    adj_epilogue = tape.reverse(epilogue)
    reads: dict[str, str] = {}
    reads_before: dict[str, str] = {}
    for f in fields:
        for offset, into, suffix in ((0, reads, "read"), (-1, reads_before, "before")):
            total = tape.pop((f.name, offset))
            if total is not None:
                into[f.name] = f"d:{f.name}:{suffix}"
                adj_epilogue.append(Let(into[f.name], total.axes, total, span[f.name]))
    for f in fields:
        tape.add((f.name, 0), b.ref(cotangent_name(f.name), f.atoms, "real"))
    adj_update = tape.reverse(update)
    carries: dict[str, str] = {}
    for f in fields:
        total = tape.pop((f.name, -1))
        if total is not None:
            carries[f.name] = f"carry:{f.name}"
            adj_update.append(Let(carries[f.name], total.axes, total, span[f.name]))
    adj_prologue = tape.reverse(prologue)
    gradients: dict[str, str] = {}
    accumulated: list[str] = []
    early = {let.name: let.atoms for let in hoisted}
    early.update({leaf.name: leaf.operand.atoms for leaf in leaves if not leaf.operand.token})
    for leaf in leaves:
        total = tape.pop((leaf.name, 0)) if leaf.operand.token else None
        if total is not None:
            gradients[leaf.name] = _gradient(
                tape, adj_prologue, leaf.name, leaf.operand.atoms, total, leaf.operand.span
            )
    for name, atoms in early.items():
        total = tape.pop((name, 0))
        if total is not None:
            accumulated.append(cotangent_name(name))
            adj_prologue.append(
                Let(cotangent_name(name), total.axes, total, span.get(name) or _leaf_span(leaves, name))
            )
            tape.add((name, 0), b.ref(cotangent_name(name), atoms, "real"))
    adj_hoisted = tape.reverse(hoisted)
    for leaf in leaves:
        total = tape.pop((leaf.name, 0))
        if total is not None:
            gradients[leaf.name] = _gradient(tape, adj_hoisted, leaf.name, leaf.operand.atoms, total, leaf.operand.span)
    assert not tape.sums, sorted(tape.sums)
    done = Adjoint((), reads, reads_before, (), carries, (), tuple(accumulated), (), gradients)
    return done, [adj_epilogue, adj_update, adj_prologue, adj_hoisted]


def seed_name(part: str) -> str:
    """The name of the cotangent an op's backward is given for a result."""
    return f"g:{part}"


def _leaf_span(leaves: tuple[Leaf, ...], name: str):  # type: ignore[no-untyped-def]
    return next(leaf.operand.span for leaf in leaves if leaf.name == name)


def _gradient(tape: Tape, lets: list[Let], name: str, atoms: tuple[str, ...], total: Node, span) -> str:  # type: ignore[no-untyped-def]
    """The name of a leaf's cotangent; a Let of its own unless it is one already."""
    if isinstance(total, Ref) and total.axes == atoms and total.name.startswith("d:"):
        return total.name
    own = cotangent_name(name)
    if any(let.name == own for let in lets) or any(isinstance(n, Ref) and n.name == own for n in walk(total)):
        own += ":total"
    lets.append(Let(own, total.axes, total, span))
    return own
