"""A recurrence's filter in closed form, and its poles."""

from __future__ import annotations

from typing import Any

from ssmc.analysis.filters import product, real_weights
from ssmc.ir.classified import Classified
from ssmc.ir.expr import Node, Pointwise, Ref
from ssmc.ir.filters import Filter, Read
from ssmc.ir.pretty import pretty
from ssmc.ir.program import Program


def filter_of(c: Classified, program: Program) -> dict[str, Any] | None:
    """Streams, reads, and one impulse response for each pair of them; None if the recurrence has no filter."""
    if isinstance(c.filter, str) or program.filter is None:
        return None
    found, state = c.filter, c.recurrence.carried[0]
    log = _log(found.coefficient, c)
    used = {r.name.removesuffix(":after").removesuffix(":before") for r in program.filter.reads}
    lines = []
    for read in found.reads:
        parts = real_weights(read, state.dtype)
        suffixes = ("",) if len(parts) == 1 else ("re", "im")
        for part, g in zip(suffixes, parts, strict=True):
            if (f"{read.name}:{part}" if part else read.name) in used:
                for weight, stream in found.inputs:
                    way = f"from {pretty(stream)} to {_read(read, part)}"
                    lines.append(f"K[l] = {_response(c, g, weight, log, found, read.late)}   {way}")
    return {
        "streams": [pretty(x) for _, x in found.inputs],
        "reads": [_read(r, "") for r in found.reads],
        "closed_form": lines,
        "poles": pretty(found.coefficient),
        "log_poles": None if log is None else pretty(log),
    }


def _read(read: Read, part: str) -> str:
    name = f"prev({read.name})" if read.late else read.name
    return f"{part}({name})" if part else name


def _response(c: Classified, g: Node, weight: Node, log: Node | None, found: Filter, late: bool) -> str:
    factor, lag = product(g, weight), "(l - 1)" if late else "l"
    if log is not None:
        power = f"exp({lag}*{_factor(log)})"
    else:
        base = pretty(found.coefficient)
        power = f"{base if base.isidentifier() else f'({base})'}**{lag}"
    body = power if pretty(factor) == "1" else f"{_factor(factor)}*{power}"
    if c.recurrence.inner:
        body = f"sum[{', '.join(c.recurrence.inner)}]({body})"
    return f"re({body})" if c.recurrence.carried[0].dtype == "complex" else body


def _factor(node: Node) -> str:
    """A product or anything tighter as it is, a sum in parentheses."""
    text = pretty(node)
    loose = isinstance(node, Pointwise) and node.fn in ("add", "sub", "neg", "div")
    return f"({text})" if loose else text


def _log(coefficient: Node, c: Classified) -> Node | None:
    """z of a coefficient exp(z)."""
    node = coefficient
    while isinstance(node, Ref) and node.name in c.recurrence.definitions and not node.offset:
        node = c.recurrence.definitions[node.name].node
    return node.args[0] if isinstance(node, Pointwise) and node.fn == "exp" else None
