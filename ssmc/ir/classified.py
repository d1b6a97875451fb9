"""A recurrence with what analysis found: its structure class, and for a linear one its coefficient and input."""

from __future__ import annotations

from dataclasses import dataclass

from ssmc.ir.expr import Node
from ssmc.ir.filters import Filter
from ssmc.ir.layer import Time
from ssmc.ir.outer import Outer
from ssmc.ir.regions import Recurrence


@dataclass(frozen=True, slots=True)
class Classified:
    """`structure` is the file of `ssmc/structures/` that evaluates it, `letter` the class of the design (D, Dc, P,
    X, ...).

    `linear` holds (coefficient, input) of each carried value, in order, if every one is linear in itself alone.
    `coefficient_time` tells whether the coefficients depend on the token (selective) or not (time-invariant).
    `filter` is the impulse response of a time-invariant one, or the reason why it has none; `outer` the form
    of one that gathers outer products, or why it does not.
    """

    recurrence: Recurrence
    structure: str
    letter: str
    title: str
    linear: tuple[tuple[Node, Node], ...]
    coefficient_time: Time
    reasons: tuple[str, ...]
    filter: Filter | str
    outer: Outer | str
