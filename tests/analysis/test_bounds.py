"""Bounds hold for every sample, and are as tight as the proofs need."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from ssmc.analysis.bounds import bounds
from ssmc.analysis.interval import INF, Interval, between
from ssmc.ir import build as b
from ssmc.ir.expr import Node, const
from ssmc.ir.interpret import evaluate

X, Y, Z = (b.ref(n, (), "real") for n in "xyz")
LEAVES = (X, Y, Z)
ONE = (
    "neg exp expm1 log log1p sin cos tanh square phi1 sqrt rsqrt sigmoid log_sigmoid softplus inv_softplus silu "
    "gelu gelu_tanh relu elu erf abs phi1_slope"
)
TWO = "add sub mul div add sub mul div max min"


def node_of(depth: int) -> st.SearchStrategy[Node]:
    leaf = st.one_of(
        st.sampled_from(LEAVES),
        st.sampled_from([-2, -1, 0, 1, 2, Fraction(1, 2), Fraction(-1, 8)]).map(lambda v: const(Fraction(v))),
    )
    if depth == 0:
        return leaf
    below = node_of(depth - 1)
    complex_parts = st.builds(
        lambda f, x, y, part: b.apply(part, b.apply(f, b.apply("complex", x, y))),
        st.sampled_from(["exp", "conj", "square", "neg"]), below, below, st.sampled_from(["re", "im", "abs"]),
    )  # fmt: skip
    return st.one_of(
        leaf,
        st.builds(lambda f, x: b.apply(f, x), st.sampled_from(ONE.split()), below),
        st.builds(lambda f, x, y: b.apply(f, x, y), st.sampled_from(TWO.split()), below, below),
        st.builds(lambda f, x, y: b.apply(f, x, y), st.sampled_from(["add", "sub", "mul", "div"]), below, below),
        st.builds(lambda x, k: b.apply("pow", x, const(k)), below, st.sampled_from([2, 3, 4, -1, -2, Fraction(1, 2)])),
        st.builds(lambda c, x, y: b.apply("where", b.apply("lt", c, x), x, y), below, below, below),
        st.builds(lambda x, y, z: b.apply("clip", x, y, b.apply("max", y, z)), below, below, below),
        complex_parts,
    )


boxes = st.tuples(st.integers(-4, 4), st.integers(0, 6), st.sampled_from(["", "l", "h", "lh"])).map(
    lambda t: between(t[0], t[0] + max(t[1], 1), t[2])
)


def points(box: Interval, rng: np.random.Generator) -> np.ndarray:
    lo, hi = float(box.lo), float(box.hi)
    inner = rng.uniform(lo, hi, 40)
    near = [lo + 1e-3, hi - 1e-3, (lo + hi) / 2]
    ends = ([] if box.lo_open else [lo]) + ([] if box.hi_open else [hi])
    whole = [v for v in np.round(inner[:8]) if box.contains(Fraction(v))]
    return rng.permutation(np.resize(np.array([*inner, *near, *ends, *whole]), 48))


@settings(max_examples=400, deadline=None, derandomize=True)
@given(node_of(3), st.tuples(boxes, boxes, boxes), st.integers(0, 99))
def test_samples_lie_within_bounds(node: Node, box: tuple[Interval, ...], seed: int) -> None:
    rng = np.random.default_rng(seed)
    at = {leaf: points(i, rng) for leaf, i in zip(LEAVES, box, strict=True)}
    values = np.broadcast_to(evaluate(node, at, {}), (48,))
    values = values[np.isfinite(values)]
    assume(len(values) > 0)
    found = bounds(node, dict(zip(LEAVES, box, strict=True)))
    # floating point of the sample itself: relative to the largest intermediate, so a generous allowance
    slack = 1e-7 * (1 + np.abs(values))
    assert (values >= float(found.lo) - slack).all(), (str(found), values.min())
    assert (values <= float(found.hi) + slack).all(), (str(found), values.max())


A = b.apply
S, T = A("sigmoid", X), A("sigmoid", Y)
EXP, PLUS = A("exp", X), A("softplus", Y)
BELOW = b.neg(EXP)
POLE = A("complex", BELOW, Y)


@pytest.mark.parametrize(
    ("node", "expected"),
    [
        (b.mul(X, X), "[0, inf)"),
        (A("square", X), "[0, inf)"),
        (b.sub(b.ONE, S), "(0, 1)"),
        (b.mul(S, b.sub(b.ONE, S)), "(0, 1)"),
        (b.add(T, b.mul(b.sub(b.ONE, T), S)), "(0, 1)"),
        (b.sub(b.ONE, b.mul(S, T)), "(0, 1)"),
        (b.div(EXP, b.add(EXP, PLUS)), "(0, 1)"),
        (b.div(b.ONE, b.add(b.ONE, b.mul(X, X))), "(0, 1]"),
        (b.div(b.add(b.ONE, BELOW), b.sub(b.ONE, BELOW)), "(-1, 1)"),
        (A("exp", b.mul(PLUS, BELOW)), "(0, 1)"),
        (A("exp", b.mul(b.mul(const(-8), A("softplus", X)), T)), "(0, 1)"),
        (A("exp", b.sub(X, A("max", X, Y))), "(0, 1]"),
        (b.sub(X, A("softplus", X)), "(-inf, 0]"),
        (b.sub(b.add(X, b.ONE), X), "[1, 1]"),
        (b.mul(A("tanh", X), A("tanh", Y)), "(-1, 1)"),
        (A("pow", S, const(Fraction(1, 16))), "(0, 1)"),
        (A("abs", A("exp", POLE)), "(0, 1)"),
        (A("where", A("gt", X, b.ZERO), S, b.ZERO), "[0, 1)"),
        (A("clip", X, const(-1), const(Fraction(1, 2))), "[-1, 0.5]"),
        (b.sub(b.ONE, A("pow", const(2), b.sub(const(-5), b.index("N")))), "[0.96875, 1)"),
        (A("add", A("square", A("sin", X)), A("square", A("cos", X))), "[1, 1]"),
    ],
)
def test_lemmas(node: Node, expected: str) -> None:
    assert str(bounds(node, {})) == expected


@pytest.mark.parametrize(
    ("node", "below_one"),
    [
        (A("exp", POLE), True),
        (b.div(b.add(b.ONE, POLE), b.sub(b.ONE, POLE)), True),
        (b.div(b.ONE, b.sub(b.ONE, POLE)), True),
        (b.mul(A("exp", b.neg(EXP)), A("exp", A("complex", b.ZERO, Y))), True),
        (A("exp", A("complex", b.ZERO, Y)), False),
        (b.add(b.ONE, POLE), False),
        (A("exp", b.ref("c", (), "complex")), False),
    ],
)
def test_moduli(node: Node, below_one: bool) -> None:
    found = bounds(node, {})
    assert (found.hi == 1 and found.hi_open) == below_one


def test_normalised_vectors_are_at_most_one_long() -> None:
    k = b.ref("k", ("K",), "real")
    unit = b.mul(k, A("rsqrt", b.add(b.reduce("sum", ("K",), A("square", k)), const(Fraction(1, 10**6)))))
    found = bounds(b.reduce("sum", ("K",), A("square", unit)), {})
    assert found.within(between(0, 1, "h"))
    top = b.reduce("max", ("K",), k)
    weights = A("exp", b.sub(k, top))
    assert bounds(b.div(weights, b.reduce("sum", ("K",), weights)), {}).within(between(0, 1))


def test_a_sum_counts_its_entries() -> None:
    s = A("sigmoid", b.ref("k", ("K",), "real"))
    total = b.reduce("sum", ("K",), s)
    assert bounds(total, {}).hi == INF
    assert str(bounds(total, {b.size("K"): between(4, 4)})) == "(0, 4)"
    assert bounds(b.reduce("sum", ("K",), b.neg(s)), {}).negative


def test_tiny_exponents_stay_below_one() -> None:
    tiny = Fraction(1, 10**30)
    found = bounds(A("exp", X), {X: between(-1, -tiny)})
    assert found.hi < 1
    assert bounds(A("exp", X), {X: between(-(10**9), -(10**6))}).positive
    assert bounds(A("sigmoid", X), {X: between(10**6, 10**7)}).within(between(0, 1, "lh"))
