"""Evaluation modes: each file of this room holds one `MODE`, found by listing the room.

A mode looks at a classified recurrence and either takes it or refuses with a reason, which is data: under `auto` it is
a note, under a forced mode it is the error. `cost` counts work a token and index, and the serial depth, as expressions;
`seconds` is an estimate from the same counts, good for comparing modes on one device and for nothing else.
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
class Job:
    """One call as an estimate sees it: its length, sequences, and numbers of state and channels of a sequence; and the
    device: how many numbers it works on at a time, one step of a chain of dependent operations, the share of a further
    number in a full device, and a further kernel (seconds). The defaults are measured on an H200 (`bench/NOTES.md`; a
    number took 5.5e-13 s in the selective scan, 3.5e-13 s in S4D)."""

    length: int
    rows: int
    numbers: int
    channels: int
    lanes: int = 132 * 1024
    step: float = 50e-9
    number: float = 4.5e-13
    launch: float = 5e-6

    def pieces(self) -> int:
        """Into how many pieces time is cut so that all of them fill the device; pieces have 64 tokens or more."""
        return max(1, min(self.lanes // max(1, self.rows * self.numbers), self.length // 64))

    def walk(self, pieces: int = 1) -> float:
        """One walk over time in that many pieces: bound by the chain of steps, or by the numbers."""
        return max(self.length / pieces * self.step, self.length * self.rows * self.numbers * self.number)


@dataclass(frozen=True, slots=True)
class Mode:
    """One mode. `refuse` gives the reason it cannot evaluate a recurrence, or None; `why` says when it is the one to
    take, `seconds` estimates how long it takes."""

    name: str
    refuse: Callable[[Classified], str | None]
    cost: Callable[[Classified], Cost]
    why: str
    seconds: Callable[[Classified, Job], float]


@cache
def modes() -> tuple[Mode, ...]:
    """Every mode of the room by name."""
    names = sorted(m.name for m in iter_modules(__path__))
    return tuple(import_module(f"{__name__}.{name}").MODE for name in names)
