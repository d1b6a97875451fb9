"""Pointwise: any function of the values before this token, each at the identical index. Solved by a walk over time."""

from __future__ import annotations

from ssmc.structures import Facts, Match, Structure


def match(facts: Facts) -> Match | None:
    """Every access is at the identical index."""
    if not facts.local:
        return None
    why = "the update is not affine in the state"
    if len(facts.updates) > 1:
        why = f"{len(facts.updates)} values depend on each other at the identical index"
    return Match("P", "pointwise", ("every access to the state is at the identical index", why))


STRUCTURE = Structure("pointwise", 20, match, solver="walk", kernel=True)
