"""An op with a filter as a program without time: what stands before the filters, the filters, what stands after them.

The filters themselves (streams to reads, and back to the cotangents of streams, coefficient and weights) are the same
for every such op; only what surrounds them is derived here.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from ssmc.analysis.filters import real_weights
from ssmc.calculus.reverse import Tape, cotangent_name
from ssmc.diagnostics.span import Span
from ssmc.ir import build as b
from ssmc.ir.classified import Classified
from ssmc.ir.expr import Node, Ref, refs
from ssmc.ir.filters import Filter
from ssmc.ir.program import Adjoint, FilterProgram, FilterRead, FilterStream, Leaf, Let, Result
from ssmc.lower.hoist import hoist
from ssmc.lower.pairs import pair, part_name
from ssmc.lower.rewriting import rewrite
from ssmc.lower.share import share, slice_lets

PARTS = {"real": ("",), "complex": ("re", "im")}


@dataclass
class _Draft:
    """The program as it grows."""

    hoisted: list[Let]
    prologue: list[Let]
    epilogue: list[Let]
    span: Span

    def weight(self, name: str, node: Node, parts: tuple[str, ...]) -> tuple[str, ...]:
        """The names of a weight's parts, bound before time starts."""
        names = []
        re, im = pair(rewrite(node))
        for part, value in zip(parts, (re, im or b.ZERO), strict=False):
            names.append(part_name(name, part))
            self.hoisted.append(Let(names[-1], value.axes, value, self.span))
        return tuple(names)

    def binding(self, node: Node, leaves: tuple[Leaf, ...]) -> str | None:
        """The name a real value has already."""
        if isinstance(node, Ref) and (
            any(let.name == node.name for let in self.prologue) or any(x.name == node.name for x in leaves)
        ):
            return node.name
        return None


def lower_filter(
    c: Classified,
    leaves: tuple[Leaf, ...],
    hoisted: list[Let],
    prologue: list[Let],
    epilogue: list[Let],
    results: tuple[Result, ...],
) -> FilterProgram | None:
    """The program of an op through its filters; None if it has none. The lists are those of `lower`, before work is
    hoisted or shared."""
    if isinstance(c.filter, str):
        return None
    found, state = c.filter, c.recurrence.carried[0]
    parts = PARTS[state.dtype]
    draft = _Draft(list(hoisted), list(prologue), [], state.span)
    coefficient = draft.weight("filter:a", found.coefficient, parts)
    streams = _streams(draft, found, leaves, parts)
    reads = _reads(draft, found, state.dtype, parts, bool(c.recurrence.inner))
    own = () if c.recurrence.inner else tuple(part_name(state.of, p) for p in parts)
    draft.epilogue = [_read_as(let, own) for let in epilogue if let.name not in {r.name for r in reads}]
    known = {x.name for x in leaves if not x.operand.token}
    early, (prologue, epilogue) = hoist(draft.hoisted, (draft.prologue, draft.epilogue), known)
    seeds = [(f"{p}:after" if p in own else p, p, res.atoms) for res in results for p in res.parts]
    wanted = [name for name, _, _ in seeds]
    epilogue = list(slice_lets(epilogue, wanted))
    needed = {let.name for let in slice_lets([*prologue, *epilogue], [*wanted, *(s.name for s in streams)])}
    prologue = [let for let in prologue if let.name in needed]
    used = {x.name for let in epilogue for x in refs(let.node)} | set(wanted)
    reads = [r for r in reads if r.name in used]
    draft.hoisted = early
    return _assembled(draft, prologue, epilogue, coefficient, streams, reads, leaves, seeds, c.recurrence.channels)


def _streams(draft: _Draft, found: Filter, leaves: tuple[Leaf, ...], parts: tuple[str, ...]) -> list[FilterStream]:
    """Every real stream: what the imaginary part of a stream drives is what the real part drives, times i."""
    out = []
    for j, (weight, stream) in enumerate(found.inputs):
        weights = draft.weight(f"filter:b:{j}", weight, parts)
        for part, value in zip(("", "im"), pair(rewrite(stream)), strict=True):
            if value is None or value is b.ZERO:
                continue
            name = draft.binding(value, leaves)
            if name is None:
                name = part_name(f"x:{j}", part)
                draft.prologue.append(Let(name, value.axes, value, draft.span))
            out.append(FilterStream(name, weights, bool(part), f"{cotangent_name(name)}:filtered"))
    return out


def _reads(draft: _Draft, found: Filter, state: str, parts: tuple[str, ...], inner: bool) -> list[FilterRead]:
    """Every real part of a read that the epilogue or a result needs; cotangents are filled in later."""
    out = []
    for k, read in enumerate(found.reads):
        suffix = "" if inner else ":before" if read.late else ":after"
        names = [part_name(read.name, p) + suffix for p in PARTS[read.dtype]]
        weights = real_weights(read, state)
        if len(names) == 2 and state == "complex" and read.mirrored is b.ZERO:  # Im(c h) = Re(-i c h)
            bound = draft.weight(f"filter:c:{k}", weights[0], parts)
            out += [FilterRead(n, read.late, bound, bool(i), None) for i, n in enumerate(names)]
        else:
            for i, (n, w) in enumerate(zip(names, weights, strict=True)):
                bound = draft.weight(f"filter:c:{k}{'i' * i}", w, parts)
                out.append(FilterRead(n, read.late, bound, False, None))
    return out


def _read_as(let: Let, state: tuple[str, ...]) -> Let:
    """The assignment, with the state's parts, which nothing sums, read as values of their own."""

    def replace(n: Node) -> Node | None:
        if isinstance(n, Ref) and n.name in state:
            return b.ref(f"{n.name}:{'before' if n.offset else 'after'}", n.axes, n.dtype)
        return None

    return Let(let.name, let.atoms, b.substitute(let.node, replace), let.span)


def _assembled(
    draft: _Draft,
    prologue: list[Let],
    epilogue: list[Let],
    coefficient: tuple[str, ...],
    streams: list[FilterStream],
    reads: list[FilterRead],
    leaves: tuple[Leaf, ...],
    seeds: list[tuple[str, str, tuple[str, ...]]],
    channels: tuple[str, ...],
) -> FilterProgram:
    """The adjoint, section by section, last to first, and shared work."""
    tape = Tape()
    for name, part, atoms in seeds:
        tape.add((name, 0), b.ref(f"g:{part}", atoms, "real"))
    back_epilogue = tape.reverse(epilogue)
    cotangents: dict[str, str] = {}
    for read in reads:
        total = tape.pop((read.name, 0))
        if total is not None:
            cotangents[read.name] = f"{cotangent_name(read.name)}:read"
            back_epilogue.append(Let(cotangents[read.name], total.axes, total, draft.span))
    moving = {let.name: let.atoms for let in prologue}
    moving.update({x.name: x.operand.atoms for x in leaves if x.operand.token})
    for x in streams:
        whole = b.ref(x.cotangent, channels, "real")
        tape.add((x.name, 0), b.reduce("sum", tuple(a for a in channels if a not in moving[x.name]), whole))
    back_prologue = tape.reverse(prologue)
    gradients: dict[str, str] = {}
    for leaf in leaves:
        total = tape.pop((leaf.name, 0)) if leaf.operand.token else None
        if total is not None:
            gradients[leaf.name] = f"{cotangent_name(leaf.name)}:leaf"
            back_prologue.append(Let(gradients[leaf.name], total.axes, total, leaf.operand.span))
    accumulated = []
    early = {let.name: let.atoms for let in draft.hoisted}
    early.update({x.name: x.operand.atoms for x in leaves if not x.operand.token})
    for name, atoms in early.items():
        total = tape.pop((name, 0))
        if total is not None:
            accumulated.append(cotangent_name(name))
            back_prologue.append(Let(cotangent_name(name), total.axes, total, draft.span))
            tape.add((name, 0), b.ref(cotangent_name(name), atoms, "real"))
    driven = [n for x in streams for n in x.weights]
    weights = dict.fromkeys((*coefficient, *driven, *(n for r in reads for n in r.weights)))
    for name in weights:
        tape.add((name, 0), b.ref(cotangent_name(name), early[name], "real"))
    back_hoisted = tape.reverse(draft.hoisted)
    for leaf in leaves:
        total = tape.pop((leaf.name, 0))
        if total is not None:
            gradients[leaf.name] = f"{cotangent_name(leaf.name)}:leaf"
            back_hoisted.append(Let(gradients[leaf.name], total.axes, total, leaf.operand.span))
    assert not tape.sums, sorted(tape.sums)
    sections = [draft.hoisted, prologue, epilogue, back_epilogue, back_prologue, back_hoisted]
    shared = share(sections, summed=accumulated)
    seen = {x.name for section in shared[1:] for let in section for x in refs(let.node)}
    return FilterProgram(
        hoisted=slice_lets(shared[0], (*weights, *seen)),
        prologue=shared[1],
        epilogue=shared[2],
        coefficient=coefficient,
        streams=tuple(streams),
        reads=tuple(replace(r, cotangent=cotangents.get(r.name)) for r in reads),
        given=tuple(cotangent_name(n) for n in weights),
        adjoint=Adjoint(shared[3], {}, {}, (), {}, shared[4], tuple(accumulated), shared[5], gradients),
    )
