"""Summed: the update reads the state under sums over some of its axes, and everywhere else at the identical index.

Delta rules are of this kind: what a key finds in the state is taken away before the next value is written. The channels
that are never summed do not see each other, so a walk over time holds all that a sum runs over in one program.
"""

from __future__ import annotations

from ssmc.structures import Facts, Match, Structure


def match(facts: Facts) -> Match | None:
    """Every sum in the update leaves channels that are independent of each other."""
    if not (facts.reduced and facts.recurrence.inner):
        return None
    over = ", ".join(f"`{a}`" for a in facts.recurrence.inner)
    local = "every other access to the state is at the identical index"
    return Match("X", "sums in the update", (local, f"the update reads the state under a sum over {over}"))


STRUCTURE = Structure("summed", 80, match, solver="walk", kernel=True)
