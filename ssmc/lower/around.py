"""What stands around a core that evaluates a recurrence for many tokens at once, before it and after it, and back.

The core itself (from token-level inputs and weights known before time, to reads, and back) is the same for every op of
a class and written once; only what surrounds it is derived here.
"""

from __future__ import annotations

from dataclasses import dataclass

from ssmc.calculus.reverse import Tape, cotangent_name
from ssmc.diagnostics.span import Span
from ssmc.ir import build as b
from ssmc.ir.expr import Node, Ref, refs
from ssmc.ir.program import Adjoint, Leaf, Let, Result
from ssmc.lower.hoist import hoist
from ssmc.lower.pairs import pair, part_name
from ssmc.lower.rewriting import rewrite
from ssmc.lower.share import share, slice_lets


@dataclass(frozen=True, slots=True)
class CoreInput:
    """A real value a token that the core is given: its name, its axes there, and the name of what the core wants."""

    name: str
    axes: tuple[str, ...]
    cotangent: str


@dataclass(frozen=True, slots=True)
class Around:
    """The sections and their adjoint; `reads` names the cotangent of each read that a result depends on."""

    hoisted: tuple[Let, ...]
    prologue: tuple[Let, ...]
    epilogue: tuple[Let, ...]
    reads: dict[str, str]
    adjoint: Adjoint


@dataclass
class Draft:
    """The sections as they grow; `hoisted` and `prologue` begin as those of the walk."""

    hoisted: list[Let]
    prologue: list[Let]
    epilogue: list[Let]
    leaves: tuple[Leaf, ...]
    span: Span

    def weight(self, name: str, node: Node, parts: tuple[str, ...]) -> tuple[str, ...]:
        """The names of a weight's parts, bound before time starts."""
        names = []
        re, im = pair(rewrite(node))
        for part, value in zip(parts, (re, im or b.ZERO), strict=False):
            names.append(part_name(name, part))
            self.hoisted.append(Let(names[-1], value.axes, value, self.span))
        return tuple(names)

    def token(self, name: str, value: Node) -> str:
        """The name of a real value a token: the one it has, or a new one."""
        own = {let.name for let in self.prologue} | {x.name for x in self.leaves if x.operand.token}
        if isinstance(value, Ref) and value.name in own and not value.offset:
            return value.name
        self.prologue.append(Let(name, value.axes, value, self.span))
        return name

    def hoist(self, wanted: list[str]) -> None:
        """Move what parameters alone determine ahead of time, and drop what neither results nor the core need."""
        known = {x.name for x in self.leaves if not x.operand.token}
        self.hoisted, (prologue, epilogue) = hoist(self.hoisted, (self.prologue, self.epilogue), known)
        self.epilogue = list(slice_lets(epilogue, wanted))
        needed = {let.name for let in slice_lets([*prologue, *self.epilogue], wanted)}
        self.prologue = [let for let in prologue if let.name in needed]

    def read(self) -> set[str]:
        """The names that the epilogue reads."""
        return {x.name for let in self.epilogue for x in refs(let.node)}


def seeds_of(results: tuple[Result, ...], own: tuple[str, ...]) -> list[tuple[str, str, tuple[str, ...]]]:
    """(name in the epilogue, part, axes) of every result; the parts in `own` are read as `name:after`."""
    return [(f"{p}:after" if p in own else p, p, res.atoms) for res in results for p in res.parts]


def around(
    draft: Draft,
    inputs: list[CoreInput],
    weights: list[str],
    reads: list[str],
    seeds: list[tuple[str, str, tuple[str, ...]]],
) -> Around:
    """Reverse mode through the sections, last to first, with the core's part given; then shared work."""
    tape = Tape()
    for name, part, atoms in seeds:
        tape.add((name, 0), b.ref(f"g:{part}", atoms, "real"))
    back_epilogue = tape.reverse(draft.epilogue)
    cotangents: dict[str, str] = {}
    for name in reads:
        total = tape.pop((name, 0))
        if total is not None:
            cotangents[name] = f"{cotangent_name(name)}:read"
            back_epilogue.append(Let(cotangents[name], total.axes, total, draft.span))
    moving = {let.name: let.atoms for let in draft.prologue}
    moving.update({x.name: x.operand.atoms for x in draft.leaves if x.operand.token})
    for x in inputs:
        whole = b.ref(x.cotangent, x.axes, "real")
        tape.add((x.name, 0), b.reduce("sum", tuple(a for a in x.axes if a not in moving[x.name]), whole))
    back_prologue = tape.reverse(draft.prologue)
    gradients: dict[str, str] = {}
    for leaf in draft.leaves:
        total = tape.pop((leaf.name, 0)) if leaf.operand.token else None
        if total is not None:
            gradients[leaf.name] = f"{cotangent_name(leaf.name)}:leaf"
            back_prologue.append(Let(gradients[leaf.name], total.axes, total, leaf.operand.span))
    accumulated = []
    early = {let.name: let.atoms for let in draft.hoisted}
    early.update({x.name: x.operand.atoms for x in draft.leaves if not x.operand.token})
    for name, atoms in early.items():
        total = tape.pop((name, 0))
        if total is not None:
            accumulated.append(cotangent_name(name))
            back_prologue.append(Let(cotangent_name(name), total.axes, total, draft.span))
            tape.add((name, 0), b.ref(cotangent_name(name), atoms, "real"))
    for name in weights:
        tape.add((name, 0), b.ref(cotangent_name(name), early[name], "real"))
    back_hoisted = tape.reverse(draft.hoisted)
    for leaf in draft.leaves:
        total = tape.pop((leaf.name, 0))
        if total is not None:
            gradients[leaf.name] = f"{cotangent_name(leaf.name)}:leaf"
            back_hoisted.append(Let(gradients[leaf.name], total.axes, total, leaf.operand.span))
    assert not tape.sums, sorted(tape.sums)
    sections = [draft.hoisted, draft.prologue, draft.epilogue, back_epilogue, back_prologue, back_hoisted]
    shared = share(sections, summed=accumulated)
    seen = {x.name for section in shared[1:] for let in section for x in refs(let.node)}
    return Around(
        hoisted=slice_lets(shared[0], (*weights, *seen)),
        prologue=shared[1],
        epilogue=shared[2],
        reads=cotangents,
        adjoint=Adjoint(shared[3], {}, {}, (), {}, shared[4], tuple(accumulated), shared[5], gradients),
    )
