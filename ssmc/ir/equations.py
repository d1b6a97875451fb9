"""Equations as lines of text: the name, its axes, and the right side as a spec would write it."""

from __future__ import annotations

from ssmc.ir.expr import Node
from ssmc.ir.pretty import pretty
from ssmc.ir.program import Let
from ssmc.ir.regions import Definition, Recurrence


def typed(name: str, axes: tuple[str, ...]) -> str:
    """`h[E, N]`."""
    return f"{name}[{', '.join(axes)}]" if axes else name


def equation(d: Definition) -> str:
    """`h[E, N] = exp(dt*A)*prev(h) + dt*B*x`."""
    return f"{typed(d.name, d.axes)} = {pretty(d.node)}"


def assignment(let: Let) -> str:
    """The same for a line of a program."""
    return f"{typed(let.name, let.atoms)} = {pretty(let.node)}"


def equations(r: Recurrence) -> tuple[str, ...]:
    """Everything an op computes, in order of evaluation."""
    return tuple(equation(d) for d in (*r.hoisted, *r.prologue, *r.update, *r.epilogue))


def optional(node: Node | None) -> str | None:
    """An expression, if there is one."""
    return None if node is None else pretty(node)
