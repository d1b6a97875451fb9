"""The derived adjoint of an op as equations one can read.

A program's names become those of the paper: the cotangent of `x` is `dx`. Shared subexpressions are written out again,
what was rewritten to keep its digits stays so.
"""

from __future__ import annotations

from collections.abc import Iterable

from ssmc.ir import build as b
from ssmc.ir.equations import assignment
from ssmc.ir.expr import Node, Ref, walk
from ssmc.ir.program import Let, Program


class Spelling:
    """Names of a program as one writes them, none of them twice and none taken from the layer. `totals` has the values
    whose cotangent is gathered from more than one place, so that what the loss wants of them needs another name."""

    def __init__(self, taken: Iterable[str], totals: Iterable[str]) -> None:
        self._taken, self._totals = set(taken), set(totals)
        self._given: dict[str, str] = {}

    def __call__(self, name: str) -> str:
        """`d:x` and `g:y` as `dx` and `dy`, `carry:h` as `dh_prev`, `d:h:read` as `dh_read`, `a:h` as `a_h`."""
        if ":" not in name:
            return name
        if name not in self._given:
            head, _, rest = name.partition(":")
            rest = rest.replace(":", "_")
            given = f"g{rest}" if name.partition(":")[2] in self._totals else f"d{rest}"
            wish = {"d": f"d{rest}", "g": given, "carry": f"d{rest}_prev"}.get(head, f"{head}_{rest}")
            while wish in self._taken:
                wish += "_"
            self._taken.add(wish)
            self._given[name] = wish
        return self._given[name]


def adjoint_lines(p: Program, taken: Iterable[str]) -> dict[str, list[str]]:
    """The adjoint in three parts: for each token from the last to the first; summed over tokens; after that. `given`
    names what comes from the loss, `where` spells what the forward pass names for itself."""
    a = p.adjoint
    lets = (*a.epilogue, *a.update, *a.prologue, *a.hoisted)
    spell = Spelling(taken, [*(f.name for f in p.fields), *(x.name.partition(":")[2] for x in lets)])
    hidden: dict[str, Node] = {}

    def line(let: Let) -> str | None:
        node = b.substitute(let.node, lambda n: _written(n, hidden, spell))
        if let.name.startswith("w:"):
            hidden[let.name] = node
            return None
        return assignment(Let(spell(let.name), let.atoms, node, let.span))

    ahead = [(let.name, line(let)) for let in (*p.hoisted, *p.prologue)]
    for let in (*p.update, *p.epilogue):
        line(let)
    token = [x for let in a.epilogue if (x := line(let))]
    token += [_total(p, spell, f.name) for f in p.fields]
    summed = set(a.accumulated)
    rest = [(let.name, x) for let in (*a.update, *a.prologue) if (x := line(let))]
    token += [x for name, x in rest if name not in summed]
    read = {n.name for let in lets for n in walk(let.node) if isinstance(n, Ref)}
    return {
        "given": [spell(f"g:{part}") for r in p.results for part in r.parts],
        "where": [x for name, x in ahead if x and ":" in name and name in read],
        "each_token": token,
        "summed_over_tokens": [x for name, x in rest if name in summed],
        "afterwards": [x for let in a.hoisted if (x := line(let))],
    }


def _written(n: Node, hidden: dict[str, Node], spell: Spelling) -> Node | None:
    if not isinstance(n, Ref):
        return None
    if n.name in hidden and n.offset == 0:
        return hidden[n.name]
    if ":" not in n.name:
        return None
    return b.ref(spell(n.name), n.axes, n.dtype, n.offset, n.init)


def _total(p: Program, spell: Spelling, field: str) -> str:
    """The whole cotangent of a field: what reads want of it, and what the token after it hands back."""
    parts = []
    if field in p.adjoint.reads:
        parts.append(spell(p.adjoint.reads[field]))
    if field in p.adjoint.reads_before:
        parts.append(f"next({spell(p.adjoint.reads_before[field])})")
    if field in p.adjoint.carries:
        parts.append(f"next({spell(p.adjoint.carries[field])})")
    axes = next(f.atoms for f in p.fields if f.name == field)
    name = spell(f"d:{field}")
    return f"{name}[{', '.join(axes)}] = {' + '.join(parts) or '0'}" if axes else f"{name} = {' + '.join(parts) or '0'}"
