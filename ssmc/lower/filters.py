"""An op with a filter as a program without time: the filters, what stands before them and what stands after."""

from __future__ import annotations

from dataclasses import replace

from ssmc.analysis.filters import real_weights
from ssmc.calculus.reverse import cotangent_name
from ssmc.ir import build as b
from ssmc.ir.classified import Classified
from ssmc.ir.expr import Node, Ref
from ssmc.ir.filters import Filter
from ssmc.ir.program import FilterProgram, FilterRead, FilterStream, Leaf, Let, Result
from ssmc.lower.around import CoreInput, Draft, around, seeds_of
from ssmc.lower.pairs import pair, part_name
from ssmc.lower.rewriting import rewrite

PARTS = {"real": ("",), "complex": ("re", "im")}


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
    found, state, r = c.filter, c.recurrence.carried[0], c.recurrence
    parts = PARTS[state.dtype]
    draft = Draft(list(hoisted), list(prologue), [], leaves, state.span)
    coefficient = draft.weight("filter:a", found.coefficient, parts)
    streams = _streams(draft, found, parts)
    reads = _reads(draft, found, state.dtype, parts, bool(r.inner))
    own = () if r.inner else tuple(part_name(state.of, p) for p in parts)
    draft.epilogue = [_read_as(let, own) for let in epilogue if let.name not in {x.name for x in reads}]
    seeds = seeds_of(results, own)
    draft.hoist([*(name for name, _, _ in seeds), *(s.name for s in streams)])
    used = draft.read() | {name for name, _, _ in seeds}
    reads = [x for x in reads if x.name in used]
    driven = [n for x in streams for n in x.weights]
    weights = list(dict.fromkeys((*coefficient, *driven, *(n for x in reads for n in x.weights))))
    inputs = [CoreInput(s.name, r.channels, s.cotangent) for s in streams]
    done = around(draft, inputs, weights, [x.name for x in reads], seeds)
    return FilterProgram(
        hoisted=done.hoisted,
        prologue=done.prologue,
        epilogue=done.epilogue,
        coefficient=coefficient,
        streams=tuple(streams),
        reads=tuple(replace(x, cotangent=done.reads.get(x.name)) for x in reads),
        given=tuple(cotangent_name(n) for n in weights),
        adjoint=done.adjoint,
    )


def _streams(draft: Draft, found: Filter, parts: tuple[str, ...]) -> list[FilterStream]:
    """Every real stream: what the imaginary part of a stream drives is what the real part drives, times i."""
    out = []
    for j, (weight, stream) in enumerate(found.inputs):
        weights = draft.weight(f"filter:b:{j}", weight, parts)
        for part, value in zip(("", "im"), pair(rewrite(stream)), strict=True):
            if value is not None and value is not b.ZERO:
                name = draft.token(part_name(f"x:{j}", part), value)
                out.append(FilterStream(name, weights, bool(part), f"{cotangent_name(name)}:filtered"))
    return out


def _reads(draft: Draft, found: Filter, state: str, parts: tuple[str, ...], inner: bool) -> list[FilterRead]:
    """Every real part of a read; cotangents are filled in later."""
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

    def replaced(n: Node) -> Node | None:
        if isinstance(n, Ref) and n.name in state:
            return b.ref(f"{n.name}:{'before' if n.offset else 'after'}", n.axes, n.dtype)
        return None

    return Let(let.name, let.atoms, b.substitute(let.node, replaced), let.span)
