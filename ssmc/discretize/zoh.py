"""Zero-order hold: exact for an input held constant over a step."""

from __future__ import annotations

from ssmc.discretize import Rule
from ssmc.ir import build as b
from ssmc.ir.expr import Node


def transition(a: Node, dt: Node) -> Node:
    """exp(dt*a)."""
    return b.apply("exp", b.mul(dt, a))


def scale(a: Node, dt: Node) -> Node:
    """dt * phi1(dt*a), with phi1(z) = (exp(z) - 1)/z: no division where a vanishes."""
    return b.mul(dt, b.apply("phi1", b.mul(dt, a)))


RULE = Rule(
    "zoh",
    transition,
    scale,
    preserves=True,
    condition="|exp(dt*A)| = exp(dt*re(A)) <= 1 for re(A) <= 0 and every dt >= 0",
    source="Gu et al. 2022, diagonal state spaces, section 2.2",
)
