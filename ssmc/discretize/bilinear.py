"""Bilinear (Tustin, trapezoidal): the mean of the slopes at both ends, the input held constant."""

from __future__ import annotations

from fractions import Fraction

from ssmc.discretize import Rule
from ssmc.ir import build as b
from ssmc.ir.expr import Node, const

HALF = const(Fraction(1, 2))


def transition(a: Node, dt: Node) -> Node:
    """(1 + dt*a/2) / (1 - dt*a/2)."""
    z = b.mul(b.mul(HALF, dt), a)
    return b.div(b.add(b.ONE, z), b.sub(b.ONE, z))


def scale(a: Node, dt: Node) -> Node:
    """dt / (1 - dt*a/2)."""
    return b.div(dt, b.sub(b.ONE, b.mul(b.mul(HALF, dt), a)))


RULE = Rule(
    "bilinear",
    transition,
    scale,
    preserves=True,
    condition="|(1 + dt*A/2)/(1 - dt*A/2)| <= 1 for re(A) <= 0 and every dt >= 0",
    source="Gu et al. 2022, structured state spaces, equation 3",
)
