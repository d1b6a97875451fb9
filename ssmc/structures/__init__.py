"""Structure classes: each file of this room holds one `STRUCTURE`, found by listing the room.

A structure looks at a recurrence's carried updates (each an expression in the values before this token) and says
whether
the recurrence is of its class; the first in order of `rank` that does is taken. What the class allows (which
solver, which
modes) hangs on it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from importlib import import_module
from pkgutil import iter_modules

from ssmc.ir.expr import Node, Ref
from ssmc.ir.regions import Recurrence


@dataclass(frozen=True, slots=True)
class Facts:
    """What classes decide on. `updates` holds, for each carried value, its symbol before this token and its next
    value as
    an expression in such symbols; `local` whether every access is at the identical index; `relabelled` and `reduced`
    what stands in the way if not."""

    recurrence: Recurrence
    updates: tuple[tuple[Ref, Node], ...]
    local: bool
    reduced: bool
    relabelled: bool


@dataclass(frozen=True, slots=True)
class Match:
    """A class found: its letter and title, reasons, and (coefficient, input) of each carried value if linear."""

    letter: str
    title: str
    reasons: tuple[str, ...]
    linear: tuple[tuple[Node, Node], ...] = ()


@dataclass(frozen=True, slots=True)
class Structure:
    """One class: `match` gives a Match, or None if the recurrence is not of it. `solver` names how a chunk's fields are
    solved (`scan`: associative, `walk`: token after token); `kernel` whether the walk kernel by channels fits."""

    name: str
    rank: int
    match: Callable[[Facts], Match | None]
    solver: str
    kernel: bool


@cache
def structures() -> tuple[Structure, ...]:
    """Every structure of the room, in the order they are tried."""
    names = sorted(m.name for m in iter_modules(__path__))
    found = [import_module(f"{__name__}.{name}").STRUCTURE for name in names]
    return tuple(sorted(found, key=lambda s: s.rank))


def structure(name: str) -> Structure:
    """The structure of a name."""
    return next(s for s in structures() if s.name == name)
