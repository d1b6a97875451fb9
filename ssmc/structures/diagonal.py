"""Diagonal: h = a*prev(h) + b at every index by itself. An associative scan solves it; so does a walk."""

from __future__ import annotations

from ssmc.analysis.affine import affine
from ssmc.ir.expr import Node
from ssmc.structures import Facts, Match, Structure


def match(facts: Facts) -> Match | None:
    """Every carried value is affine in itself alone, at the identical index."""
    if not facts.local or len(facts.updates) != 1:
        return None
    linear: list[tuple[Node, Node]] = []
    for symbol, update in facts.updates:
        split = affine(update, symbol)
        if split is None:
            return None
        linear.append(split)
    is_complex = any(symbol.dtype == "complex" for symbol, _ in facts.updates)
    return Match(
        "Dc" if is_complex else "D",
        "diagonal, complex" if is_complex else "diagonal",
        ("every access to the state is at the identical index", "the update is affine in the state"),
        tuple(linear),
    )


STRUCTURE = Structure("diagonal", 10, match, solver="scan", kernel=True)
