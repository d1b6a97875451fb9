"""Backward Euler: the slope at the end of the step."""

from __future__ import annotations

from ssmc.discretize import Rule
from ssmc.ir import build as b
from ssmc.ir.expr import Node


def transition(a: Node, dt: Node) -> Node:
    """1 / (1 - dt*a)."""
    return b.div(b.ONE, b.sub(b.ONE, b.mul(dt, a)))


def scale(a: Node, dt: Node) -> Node:
    """dt / (1 - dt*a)."""
    return b.div(dt, b.sub(b.ONE, b.mul(dt, a)))


RULE = Rule(
    "backward_euler",
    transition,
    scale,
    preserves=True,
    condition="|1/(1 - dt*A)| <= 1 for re(A) <= 0 and every dt >= 0",
    source="Hairer, Wanner 1996, section IV.3",
)
