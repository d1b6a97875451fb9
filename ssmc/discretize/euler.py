"""Forward Euler: the slope at the beginning of the step."""

from __future__ import annotations

from ssmc.discretize import Rule
from ssmc.ir import build as b
from ssmc.ir.expr import Node


def transition(a: Node, dt: Node) -> Node:
    """1 + dt*a."""
    return b.add(b.ONE, b.mul(dt, a))


def scale(a: Node, dt: Node) -> Node:
    """dt."""
    return dt


RULE = Rule(
    "euler",
    transition,
    scale,
    preserves=False,
    condition="|1 + dt*A| <= 1: for real A needs dt*|A| <= 2",
    source="Hairer, Norsett, Wanner 1993, section I.7",
    nonlinear=True,
)
