"""Equations as lines of text: the name, its axes, and the right side as a spec would write it."""

from __future__ import annotations

from collections.abc import Sequence

from ssmc.ir.expr import Node
from ssmc.ir.layer import Gauge
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


def gauge_lines(g: Gauge) -> tuple[str, ...]:
    """What a gauge is: the equations as the spec has them, what is kept, and why nothing depends on it."""
    names = ", ".join(g.written)
    return (
        *(f"the spec's {n} = {pretty(node)}" for n, node in g.written.items()),
        f"{names} kept divided by e^{g.scale}, {g.scale} = max(prev({g.scale}) + log decay, exponents)",
        f"the log decay is {pretty(g.log_decay)}, the exponents are {', '.join(map(pretty, g.exponents))}",
        f"e^{g.scale} cancels in {', '.join(g.cancels)}: a quotient of sums that have it as a factor",
    )


def gauge_meaning(name: str, gauges: Sequence[Gauge]) -> str | None:
    """What a state stands for if it has a gauge, or is one."""
    for g in gauges:
        if name in g.written:
            return f"state `{name}` divided by e^{g.scale}"
        if name == g.scale:
            return f"scale of {', '.join(f'`{n}`' for n in g.written)}"
    return None


def optional(node: Node | None) -> str | None:
    """An expression, if there is one."""
    return None if node is None else pretty(node)
