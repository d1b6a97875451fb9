"""Evaluation modes: each file of this room holds one `MODE`, found by listing the room.

A mode looks at a classified recurrence and either takes it or refuses with a reason, which is data: under `auto` it is a
note, under a forced mode it is the error. `cost` counts work a token and index, and the serial depth, as expressions.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from importlib import import_module
from pkgutil import iter_modules

from ssmc.ir.classified import Classified


@dataclass(frozen=True, slots=True)
class Cost:
    """What a mode costs for one sequence of T tokens and M state numbers: FLOPs and bytes as functions of both, and the
    length of the longest chain of dependent steps, each as text in T and M."""

    flops: str
    bytes: str
    depth: str


@dataclass(frozen=True, slots=True)
class Mode:
    """One mode. `refuse` gives the reason it cannot evaluate a recurrence, or None; `why` says when it is the one to take."""

    name: str
    refuse: Callable[[Classified], str | None]
    cost: Callable[[Classified], Cost]
    why: str


@cache
def modes() -> tuple[Mode, ...]:
    """Every mode of the room by name."""
    names = sorted(m.name for m in iter_modules(__path__))
    return tuple(import_module(f"{__name__}.{name}").MODE for name in names)
