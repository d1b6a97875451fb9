"""Expressions as text."""

from __future__ import annotations

from fractions import Fraction

import pytest

from ssmc.ir import build as b
from ssmc.ir.expr import Node, const
from ssmc.ir.pretty import pretty

A = b.apply
X, Y, Z = (b.ref(n, (), "real") for n in "xyz")
V = b.ref("v", ("N",), "real")


@pytest.mark.parametrize(
    ("node", "text"),
    [
        (b.add(b.ONE, b.mul(X, Y)), "1 + x*y"),
        (b.mul(b.add(X, Y), Z), "(x + y)*z"),
        (b.sub(X, b.sub(Y, Z)), "x - (y - z)"),
        (b.sub(X, b.add(Y, Z)), "x - (y + z)"),
        (b.add(X, b.add(Y, Z)), "x + y + z"),
        (b.add(X, b.neg(Y)), "x - y"),
        (b.add(X, b.neg(b.mul(Y, Z))), "x - y*z"),
        (b.div(X, b.mul(Y, Z)), "x/(y*z)"),
        (b.div(b.mul(X, Y), Z), "x*y/z"),
        (b.mul(X, b.div(Y, Z)), "x*y/z"),
        (A("pow", b.neg(X), const(2)), "(-x)**2"),
        (b.neg(A("pow", X, const(2))), "-x**2"),
        (A("pow", X, b.neg(Y)), "x**(-y)"),
        (A("exp", b.neg(A("exp", X))), "exp(-exp(x))"),
        (b.mul(X, b.neg(Y)), "x*(-y)"),
        (b.mul(const(Fraction(-1, 2)), X), "-0.5*x"),
        (b.mul(const(Fraction(1, 3)), X), "1/3*x"),
        (A("pow", const(Fraction(1, 3)), X), "(1/3)**x"),
        (A("where", A("lt", X, b.ZERO), X, Y), "where(x < 0, x, y)"),
        (A("and", A("lt", X, Y), A("not", A("eq", X, Z))), "x < y and not x == z"),
        (b.reduce("sum", ("N",), b.mul(V, X)), "sum[N](v*x)"),
        (b.relabel((("N", "M"),), V), "v[N as M]"),
        (b.ref("h", (), "real", -1), "prev(h)"),
        (b.ref("h", (), "real", -1, b.ONE), "prev(h, 1)"),
        (b.ref("h", (), "real", 1), "next(h)"),
        (b.mul(b.index("N"), b.size("N")), "index(N)*N"),
        (A("sqrt_clip", X, const(Fraction(1, 10**6))), "sqrt(x, clip = 1e-06)"),
        (A("pi"), "pi"),
        (b.position(), "t"),
    ],
)
def test_minimal_parentheses(node: Node, text: str) -> None:
    assert pretty(node) == text


def test_shared_expressions_do_not_explode() -> None:
    node: Node = X
    for _ in range(100):
        node = b.add(b.mul(node, node), b.ONE)
    assert len(pretty(node)) < 1000
