"""Discretization rules: each file of this room holds one `RULE`, found by listing the room.

A rule turns `h' = a*h + f` with step `dt` into `h = transition(a, dt) * prev(h) + scale(a, dt) * f`. Rules may be
mixed, one
for the transition and one for each input term.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from importlib import import_module
from pkgutil import iter_modules

from ssmc.ir.expr import Node


@dataclass(frozen=True, slots=True)
class Rule:
    """Two formulas and a stability condition.

    `transition(a, dt, *keywords)` and `scale(a, dt, *keywords)` build the discrete coefficient and the factor of
    the input
    terms. `keywords` names extra arguments. `preserves` says whether every a with negative real part gives a transition
    inside the unit disk for every dt > 0; `condition` is that, or what it takes instead, in words. `nonlinear` tells
    that the rule also makes sense for a right side that is not affine: prev(h) + dt * rate.
    """

    name: str
    transition: Callable[..., Node]
    scale: Callable[..., Node]
    preserves: bool
    condition: str
    source: str
    keywords: tuple[str, ...] = ()
    nonlinear: bool = False


@cache
def rules() -> dict[str, Rule]:
    """Every rule of the room by name, sorted."""
    names = sorted(m.name for m in iter_modules(__path__))
    found = [import_module(f"{__name__}.{name}").RULE for name in names]
    return {rule.name: rule for rule in found}
