"""Dense: the update reads the state at other indices, through a sum over its axes or a renaming. No fast kernel yet."""

from __future__ import annotations

from ssmc.structures import Facts, Match, Structure


def match(facts: Facts) -> Match | None:
    """Whatever the other classes refused."""
    how = "under a sum over its axes" if facts.reduced else "under other axis names"
    return Match("X", "dense", (f"the update reads the state {how}",))


STRUCTURE = Structure("dense", 90, match, solver="walk", kernel=False)
