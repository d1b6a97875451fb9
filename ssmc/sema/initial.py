"""Functions that only initial values may use: random draws, and the spectra of the HiPPO theory.

`hippo_diagonal` follows Gu et al. 2022, "On the parameterization and initialization of diagonal state space models" (S4D),
section 4: the axis holds the half of the spectrum with positive imaginary parts.
"""

from __future__ import annotations

from fractions import Fraction
from typing import TYPE_CHECKING

from ssmc.ir import build as b
from ssmc.ir.expr import Node, const
from ssmc.sema.context import Context, Refused
from ssmc.syntax import ast

if TYPE_CHECKING:
    from ssmc.sema.values import Resolver

INITIALISERS = {"uniform": 2, "normal": 2, "log_uniform": 2, "hippo_diagonal": 2}
SPECTRA = ("lin", "inv", "legs", "real")
HALF = const(Fraction(1, 2))


def lower_initialiser(r: Resolver, e: ast.Call, ctx: Context) -> Node:
    """A draw, or the formula of a spectrum."""
    name = e.func.id
    if ctx.kind != "init":
        r.sink.report(
            "SSM0213", f"`{name}` is an initial value, not a value of the layer", e.span, "used in an equation",
            help=f"declare a parameter: `param p[...] = {name}(...)`",
        )  # fmt: skip
        raise Refused
    if len(e.args) != INITIALISERS[name] or e.keywords:
        r.sink.report("SSM0204", f"`{name}` takes {INITIALISERS[name]} arguments, not {len(e.args)}", e.span, "called here")
        raise Refused
    if name == "hippo_diagonal":
        return _spectrum(r, e)
    lo, hi = (r.lower(a, ctx) for a in e.args)
    axes = r.table.atoms(r.draw_axes)
    if name == "log_uniform":
        low, high = b.apply("log", lo), b.apply("log", hi)
        return b.apply("exp", b.draw("uniform", (low, high), axes, "real", r.next_uid(), e.span))
    return b.draw(name, (lo, hi), axes, "real", r.next_uid(), e.span)


def _spectrum(r: Resolver, e: ast.Call) -> Node:
    kind, axis = e.args
    if not isinstance(kind, ast.Name) or kind.id not in SPECTRA or not isinstance(axis, ast.Name):
        r.sink.report(
            "SSM0204", "`hippo_diagonal` takes the name of a spectrum and an axis", e.span, "called here",
            help="write `hippo_diagonal(lin, N)`; the spectra are " + ", ".join(f"`{s}`" for s in SPECTRA),
        )  # fmt: skip
        raise Refused
    name = r.axis(axis)
    n, size = b.index(name, e.span), b.size(name)
    order = b.mul(const(2), size)
    match kind.id:
        case "real":
            return b.neg(b.add(n, b.ONE))
        case "lin":
            return b.apply("complex", b.neg(HALF), b.mul(b.apply("pi"), n))
        case "inv":
            odd = b.add(b.mul(const(2), n), b.ONE)
            imaginary = b.mul(b.div(order, b.apply("pi")), b.sub(b.div(order, odd), b.ONE))
            return b.apply("complex", b.neg(HALF), imaginary)
        case _:
            return b.draw("hippo_legs", (order,), (name,), "complex", 0, e.span)
