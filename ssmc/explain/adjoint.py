"""The derived adjoint of an op as equations one can read.

A program's names become those of the paper: the cotangent of `x` is `dx`. Short subexpressions that several lines share
are written out again, long ones keep a name; what was rewritten to keep its digits stays so.
"""

from __future__ import annotations

from collections.abc import Iterable

from ssmc.ir import build as b
from ssmc.ir.equations import typed
from ssmc.ir.expr import Node, Ref, walk
from ssmc.ir.pretty import pretty
from ssmc.ir.program import Let, Program

SHORT, LONG = 32, 4000  # characters of what is written out where it is read; of a line


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
    forward, lets = (*p.hoisted, *p.prologue, *p.update, *p.epilogue), (*a.epilogue, *a.update, *a.prologue, *a.hoisted)
    spell = Spelling(taken, [*(f.name for f in p.fields), *(x.name.partition(":")[2] for x in lets)])
    nodes = _written_out((*forward, *lets))
    known = {x.name for x in (*p.update, *p.epilogue, *lets) if not _is_helper(x)}
    needed = _needed(nodes, known, [x.name for x in lets if not _is_helper(x)])

    def lines(some: Iterable[Let]) -> list[str]:
        kept = (x for x in some if x.name in nodes and (x.name in needed or (x in lets and not _is_helper(x))))
        return [f"{typed(spell(x.name), x.atoms)} = {pretty(_spelled(nodes[x.name], spell), LONG)}" for x in kept]

    summed = set(a.accumulated)
    each = [x for x in (*a.update, *a.prologue) if x.name not in summed]
    return {
        "given": [spell(f"g:{part}") for r in p.results for part in r.parts],
        "where": lines(forward),
        "each_token": [*lines(a.epilogue), *(_total(p, spell, f.name) for f in p.fields), *lines(each)],
        "summed_over_tokens": lines(x for x in (*a.update, *a.prologue) if x.name in summed),
        "afterwards": lines(a.hoisted),
    }


def _is_helper(let: Let) -> bool:
    """Whether an assignment only names what several others share."""
    return let.name.startswith("w:")


def _written_out(lets: Iterable[Let]) -> dict[str, Node]:
    """The right sides by name, helpers of a few characters put in where they are read."""
    short: dict[str, Node] = {}
    nodes: dict[str, Node] = {}
    for let in lets:
        node = b.substitute(let.node, lambda n: short.get(n.name) if isinstance(n, Ref) and not n.offset else None)
        if _is_helper(let) and len(pretty(node)) <= SHORT:
            short[let.name] = node
        else:
            nodes[let.name] = node
    return nodes


def _needed(nodes: dict[str, Node], known: set[str], shown: list[str]) -> set[str]:
    """What the lines shown read, through one another, besides one another and the values of the layer."""
    needed: set[str] = set()
    todo = list(shown)
    while todo:
        read = {n.name for n in walk(nodes[todo.pop()]) if isinstance(n, Ref) and ":" in n.name}
        read = {name for name in read if name in nodes and name not in known}
        todo += read - needed
        needed |= read
    return needed


def _spelled(node: Node, spell: Spelling) -> Node:
    def rename(n: Node) -> Node | None:
        return b.ref(spell(n.name), n.axes, n.dtype, n.offset, n.init) if isinstance(n, Ref) and ":" in n.name else None

    return b.substitute(node, rename)


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
