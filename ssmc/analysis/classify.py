"""Recurrence -> Classified: access analysis, then the structures of the room in their order."""

from __future__ import annotations

from collections.abc import Callable

from ssmc.analysis.facts import unaided
from ssmc.analysis.filters import find_filter
from ssmc.analysis.outer import find_outer
from ssmc.ir import build as b
from ssmc.ir.classified import Classified
from ssmc.ir.expr import Node, Reduce, Ref, Relabel, refs, walk
from ssmc.ir.filters import Filter
from ssmc.ir.layer import Time
from ssmc.ir.outer import Outer
from ssmc.ir.regions import Recurrence
from ssmc.structures import Facts, structures


def facts(recurrence: Recurrence) -> Facts:
    """The carried updates in terms of the values before this token, and how they reach the state."""
    carried = {c.of for c in recurrence.carried}
    inlined: dict[str, Node] = {}
    for d in recurrence.update:
        node = b.substitute(d.node, lambda n: inlined.get(n.name) if isinstance(n, Ref) and n.offset == 0 else None)
        inlined[d.name] = node
    offset = 1 if recurrence.reverse else -1
    updates = []
    for c in recurrence.carried:
        symbol = next(
            (r for d in recurrence.update for r in refs(d.node) if r.name == c.of and r.offset == offset),
            b.ref(c.of, c.atoms, c.dtype, offset, c.init),
        )
        updates.append((symbol, inlined[c.of]))
    nodes = [u for _, u in updates]

    def under(kind: type[Node]) -> bool:
        return any(isinstance(n, kind) and any(r.name in carried and r.offset for r in refs(n)) for n in walk(*nodes))

    reduced, relabelled = under(Reduce), under(Relabel)
    same = len({frozenset(c.atoms) for c in recurrence.carried}) == 1
    return Facts(recurrence, tuple(updates), not reduced and not relabelled and same, reduced, relabelled)


def classify(recurrence: Recurrence, positive: Callable[[Node], bool] = unaided) -> Classified:
    """The class of a recurrence: the first structure that takes it. `positive` tells of an expression in its operands
    whether it is proven to be."""
    found = facts(recurrence)
    for s in structures():
        match = s.match(found)
        if match is not None:
            times = {d.name: d.time for d in recurrence.definitions.values()}
            times.update({o.name: Time.TOKEN if o.token else Time.PARAMETER for o in recurrence.operands})
            coefficients = [a for a, _ in match.linear]
            time = max((times[r.name] for a in coefficients for r in refs(a)), default=Time.LITERAL)
            letter, title = match.letter, match.title
            nonlinear = match.reasons[-1] if letter == "X" else f"a recurrence of class {letter} is not linear"
            outer: Outer | str = nonlinear
            impulse: Filter | str = nonlinear
            if match.linear:
                impulse = find_filter(recurrence, match.linear, times)
                outer = find_outer(recurrence, match.linear, times, positive)
                title += ", varying"
                if isinstance(outer, Outer):
                    letter = "O2" if outer.by_key else "O1"
                    title = "outer products under a decay a " + ("key" if outer.by_key else "head")
                elif time <= Time.PARAMETER:
                    letter, title = "LTI", f"LTI {match.title}"
            return Classified(recurrence, s.name, letter, title, match.linear, time, match.reasons, impulse, outer)
    raise AssertionError("the last structure takes everything")
