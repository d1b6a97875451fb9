"""The generalised bilinear transform: alpha 0 is forward Euler, 1/2 bilinear, 1 backward Euler."""

from __future__ import annotations

from ssmc.discretize import Rule
from ssmc.ir import build as b
from ssmc.ir.expr import Node


def transition(a: Node, dt: Node, alpha: Node) -> Node:
    """(1 + (1 - alpha)*dt*a) / (1 - alpha*dt*a)."""
    z = b.mul(dt, a)
    return b.div(b.add(b.ONE, b.mul(b.sub(b.ONE, alpha), z)), b.sub(b.ONE, b.mul(alpha, z)))


def scale(a: Node, dt: Node, alpha: Node) -> Node:
    """dt / (1 - alpha*dt*a)."""
    return b.div(dt, b.sub(b.ONE, b.mul(alpha, b.mul(dt, a))))


RULE = Rule(
    "gbt",
    transition,
    scale,
    preserves=False,
    condition="inside for every re(A) <= 0 if alpha >= 1/2; below, dt*|A|*(1 - 2*alpha) <= 2 for real A",
    source="Zhang et al. 2007, generalised bilinear transform; Gu et al. 2021, linear state space layers, equation 3",
    keywords=("alpha",),
)
