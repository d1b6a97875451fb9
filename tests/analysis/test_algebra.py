"""SymPy's answers: right where given, unknown where not, and asked for only on demand."""

from __future__ import annotations

import subprocess
import sys
from fractions import Fraction

import pytest

from ssmc.analysis.algebra import degree, equal, is_affine, is_zero
from ssmc.ir import build as b
from ssmc.ir.expr import Node, const

A = b.apply
X, Y, Z = (b.ref(n, ("N",), "real") for n in "xyz")
H = b.ref("h", ("N",), "real", -1)
TWO = const(2)


def power(x: Node, n: int) -> Node:
    return A("pow", x, const(n))


@pytest.mark.parametrize(
    ("left", "right", "answer"),
    [
        (b.mul(b.add(X, Y), b.sub(X, Y)), b.sub(b.mul(X, X), b.mul(Y, Y)), True),
        (A("sigmoid", b.neg(X)), b.sub(b.ONE, A("sigmoid", X)), True),
        (A("exp", b.add(X, Y)), b.mul(A("exp", X), A("exp", Y)), True),
        (A("tanh", X), b.sub(b.mul(TWO, A("sigmoid", b.mul(TWO, X))), b.ONE), True),
        (A("exp", A("softplus", X)), b.add(b.ONE, A("exp", X)), True),
        (b.div(b.ONE, b.add(b.ONE, A("exp", b.neg(X)))), A("sigmoid", X), True),
        (A("silu", X), b.mul(X, A("sigmoid", X)), True),
        (X, Y, False),
        (A("sin", X), X, False),
        (A("max", X, Y), X, False),
        (b.mul(X, X), b.mul(X, b.relabel((("N", "M"),), X)), False),
        (b.reduce("sum", ("N",), X), b.reduce("sum", ("N",), b.mul(TWO, X)), None),
        (b.mul(const(Fraction(1, 3)), X), b.div(X, const(3)), True),
    ],
)
def test_equal(left: Node, right: Node, answer: bool | None) -> None:
    assert equal(left, right) is answer


def test_degree_and_affine() -> None:
    assert degree(b.add(b.mul(X, power(H, 2)), H), H) == 2
    assert degree(b.sub(b.mul(H, H), b.mul(H, H)), H) == 0
    assert degree(X, H) == 0
    assert degree(b.mul(b.add(H, X), b.add(H, Y)), H) == 2
    assert degree(A("exp", H), H) is None
    assert is_affine(b.sub(b.mul(b.add(H, X), b.add(H, Y)), b.mul(H, H)), [H]) is True
    assert is_affine(b.mul(H, b.add(H, X)), [H]) is False
    assert is_affine(A("tanh", H), [H]) is False
    assert is_affine(b.mul(H, X), [H, X]) is False
    assert is_affine(b.mul(H, X), [H]) is True
    assert is_affine(b.sub(A("max", H, X), A("max", X, H)), [H]) is None


def test_large_expressions_are_unknown() -> None:
    node: Node = X
    for i in range(300):
        node = b.add(b.mul(node, Y), const(i))
    assert is_zero(node) is None


def test_importing_the_room_does_not_import_sympy() -> None:
    code = "import sys, ssmc.analysis.algebra, ssmc.analysis.stability_report\n"
    code += "sys.exit(bool({'sympy', 'numpy'} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
