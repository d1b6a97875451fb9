"""A matrix-valued state that gathers outer products under a decay: S = exp(z) * prev(S) + k * v, read by sum_K q * S.

Axes: `heads` are independent, `keys` are summed by the reads, `values` belong to v alone. The log decay z has no axis
of the values; without one of the keys, a chunk of tokens is three matrix products (class O1), with one, the same with
weights inside the sum over keys (class O2).
"""

from __future__ import annotations

from dataclasses import dataclass

from ssmc.ir.expr import Node


@dataclass(frozen=True, slots=True)
class OuterRead:
    """The definition `name` is sum over the keys of weight * S, of the state after the token or, if `late`, before it,
    plus `rest`, which needs no state."""

    name: str
    late: bool
    weight: Node
    rest: Node


@dataclass(frozen=True, slots=True)
class Outer:
    """What makes a recurrence one of class O1 (`by_key` false) or O2 (`by_key` true)."""

    log_decay: Node
    key: Node
    value: Node
    reads: tuple[OuterRead, ...]
    heads: tuple[str, ...]
    keys: tuple[str, ...]
    values: tuple[str, ...]
    by_key: bool
