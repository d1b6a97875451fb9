"""The contract of a discretization rule, over every file of the room."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest

from ssmc.discretize import rules
from ssmc.ir import build as b
from ssmc.ir.expr import Node, const
from ssmc.ir.interpret import evaluate

A, DT = b.ref("A", (), "complex"), b.ref("dt", (), "real")
HALF = {"alpha": const(Fraction(1, 2))}


def value(node: Node, a: complex, dt: float) -> complex:
    return complex(evaluate(node, {A: np.asarray(a, dtype=complex), DT: np.asarray(dt)}, {}))


def keywords(name: str) -> tuple[Node, ...]:
    return tuple(HALF[k] for k in rules()[name].keywords)


@pytest.mark.parametrize("name", sorted(rules()))
def test_is_consistent(name: str) -> None:
    """As dt goes to 0, h = h + dt*(A*h + f) to first order."""
    rule = rules()[name]
    a, dt = -0.7 + 0.4j, 1e-6
    assert abs((value(rule.transition(A, DT, *keywords(name)), a, dt) - 1) / dt - a) < 1e-5
    assert abs(value(rule.scale(A, DT, *keywords(name)), a, dt) / dt - 1) < 1e-5


@pytest.mark.parametrize("name", sorted(n for n, r in rules().items() if r.preserves))
def test_keeps_what_it_says(name: str) -> None:
    rule, rng = rules()[name], np.random.default_rng(0)
    for _ in range(200):
        a = complex(-(10 ** rng.uniform(-4, 4)), rng.normal() * 10 ** rng.uniform(-2, 3))
        assert abs(value(rule.transition(A, DT, *keywords(name)), a, 10 ** rng.uniform(-4, 2))) <= 1 + 1e-12


@pytest.mark.parametrize("name", sorted(n for n, r in rules().items() if not r.preserves and not r.keywords))
def test_fails_where_it_says(name: str) -> None:
    assert abs(value(rules()[name].transition(A, DT), -16, 0.2)) > 1


@pytest.mark.parametrize("name", sorted(rules()))
def test_scale_integrates_a_constant_input(name: str) -> None:
    """The fixed point of a constant input is -f/A, by every rule."""
    rule = rules()[name]
    a, dt = -1.5 + 0.3j, 0.1
    fixed = value(rule.scale(A, DT, *keywords(name)), a, dt) / (
        1 - value(rule.transition(A, DT, *keywords(name)), a, dt)
    )
    assert abs(fixed + 1 / a) < 1e-12


def test_gbt_is_the_others() -> None:
    rule = rules()["gbt"]
    for alpha, other in ((0, "euler"), (Fraction(1, 2), "bilinear"), (1, "backward_euler")):
        for ours, theirs in ((rule.transition, rules()[other].transition), (rule.scale, rules()[other].scale)):
            assert abs(value(ours(A, DT, const(alpha)), -2 + 1j, 0.3) - value(theirs(A, DT), -2 + 1j, 0.3)) < 1e-14
