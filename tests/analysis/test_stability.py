"""The verdicts on known systems, and traps for false proofs."""

from __future__ import annotations

import itertools
import math
from fractions import Fraction

import numpy as np
import pytest

from ssmc.analysis.facts import Facts
from ssmc.analysis.stability import Verdict
from ssmc.analysis.transition import transition
from ssmc.ir.expr import refs
from ssmc.ir.interpret import evaluate
from tests.analysis.layers import discrete, layer_of, verdicts

PROVEN, ASSUMED, REFUTED, UNDECIDED = "proven", "assumed", "refuted", "undecided"

SELECTIVE = """
linear proj(u -> raw[d_model], B[N], x[d_model])
param A_log[d_model, N] = log(index(N) + 1)
A = -exp(A_log)
dt = softplus(raw)
state h[d_model, N]: h' = A*h + B*x by zoh(A), euler(B), step dt
y = sum[N](h)
return y
"""
RANGED = """
param A[d_model, N] = -1 in [-16, -1]
param dt[d_model] = 0.1 in [0.001, 0.2]
state h[d_model, N]: h' = A*h + u by {rule}, step dt
y = sum[N](h)
return y
"""
COMPLEX = """
param log_re[N] = log(0.5)
param im_part[N] = pi*index(N)
param log_dt[d_model] = log_uniform(0.001, 0.1)
dt = exp(log_dt)
A = complex(-exp(log_re), im_part)
state h[d_model, N]: h' = A*h + u by {rule}, step dt
y = sum[N](re(h))
return y
"""


def found(body: str, state: str | None = None) -> tuple[str, str, str]:
    v = verdicts(body, state)
    return v["contractive"].verdict, v["exponentially stable"].verdict, v["bounded"].verdict


# --- systems ---


def test_selective_zero_order_hold() -> None:
    v = verdicts(SELECTIVE)
    assert v["continuous"].verdict == PROVEN
    assert v["contractive"].verdict == PROVEN
    assert v["bounded"].verdict == ASSUMED
    assert v["bounded"].assumptions == ("|`raw`| <= 8", "|`A_log`| <= 8", "|`B`| <= 8", "|`x`| <= 8")


def test_forward_euler_is_refuted_with_the_worst_corner() -> None:
    v = verdicts(RANGED.format(rule="euler"))
    assert v["continuous"].verdict == ASSUMED
    assert v["continuous"].assumptions == ("`A` in [-16, -1]",)
    assert v["contractive"].verdict == REFUTED
    assert v["contractive"].witness == {"A": Fraction(-16), "dt": Fraction(1, 5)}
    assert v["contractive"].value == Fraction(-11, 5)
    assert v["bounded"].verdict == REFUTED


@pytest.mark.parametrize("rule", ["zoh", "bilinear", "backward_euler", "gbt(alpha = 0.5)", "gbt(alpha = 1)"])
def test_rules_that_keep_decay(rule: str) -> None:
    v = verdicts(RANGED.format(rule=rule))
    assert v["contractive"].verdict == ASSUMED
    assert v["exponentially stable"].verdict == ASSUMED
    assert set(v["contractive"].assumptions) <= {"`A` in [-16, -1]", "`dt` in [0.001, 0.2]"}


@pytest.mark.parametrize("rule", ["zoh", "bilinear", "backward_euler"])
def test_complex_poles_in_the_left_half_plane(rule: str) -> None:
    v = verdicts(COMPLEX.format(rule=rule))
    assert (v["continuous"].verdict, v["contractive"].verdict) == (PROVEN, PROVEN)
    assert v["contractive"].assumptions == ()


def test_complex_forward_euler_leaves_the_disk() -> None:
    v = verdicts(COMPLEX.format(rule="euler"))
    assert (v["continuous"].verdict, v["contractive"].verdict) == (PROVEN, REFUTED)


@pytest.mark.parametrize(
    "coefficient",
    [
        "1 - sigmoid(a)",
        "sigmoid(a)",
        "exp(-exp(p))",
        "exp(-8*softplus(p)*sigmoid(a))",
        "exp(softplus(a)*(-exp(p)))",
        "sigmoid(p) + (1 - sigmoid(p))*sigmoid(a)",
        "exp(log_sigmoid(a)/16)",
        "sigmoid(a)**(1/16)",
        "1/(1 + exp(a))",
        "1/(1 + softplus(a)*exp(p))",
        "exp(a)/(exp(a) + exp(b))",
        "tanh(a)*sigmoid(b)",
        "2*sigmoid(a) - 1",
        "exp(a - max(a, b))",
        "clip(a, -1, 1)",
        "sigmoid(a)*(1 - sigmoid(a))",
        "where(start, 0, sigmoid(a))",
        "(1 - exp(p))/(1 + exp(p))",
        "1 - sigmoid(a)*sigmoid(b)",
        "cos(a)",
        "exp(-square(a))",
        "rsqrt(1 + a*a)",
        "-expm1(-softplus(a))",
        "phi1(-exp(a))",
        "exp(-relu(a))",
        "1 - 2*sigmoid(a)*sigmoid(b)",
    ],
)
def test_proven_contractive(coefficient: str) -> None:
    v = verdicts(discrete(coefficient))["contractive"]
    assert v.verdict == PROVEN, v
    assert v.assumptions == ()


TRAPS = [
    "a", "p", "1 + a*b", "a + b", "sigmoid(a) + sigmoid(b)", "1 + sigmoid(a)", "1 - 3*sigmoid(a)", "exp(a)",
    "exp(-a)", "exp(softplus(a))", "softplus(a)", "-softplus(a)", "1 - softplus(a)", "1 - exp(p)", "1/sigmoid(a)",
    "exp(a)/(exp(a) - exp(b))", "a/(a + b)", "(1 + exp(p))/(1 - exp(p))", "sigmoid(a)/sigmoid(b)", "1 - a*a",
    "2*sigmoid(a)", "square(a)", "a**2", "sigmoid(a)*b", "exp(a*b)", "exp(-a*p)", "max(sigmoid(a), b)",
    "min(sigmoid(a), b)", "where(a > 0, sigmoid(a), b)", "where(a > 0, 1, -1.001)", "clip(a, -2, 2)", "abs(a)",
    "1 + phi1(-exp(a))", "sin(a) + cos(a)", "tanh(a) + tanh(b)", "tanh(a) - tanh(b)", "exp(max(a, b) - a)",
    "exp(a - min(a, b))", "log1p(exp(a))", "relu(a)", "1 - rate*exp(p)", "1 + 1e-9*sigmoid(a)",
    "1.0000001*sigmoid(a)", "sqrt(1 + a*a)", "inv_softplus(softplus(a))", "silu(a)", "gelu(a)", "exp(exp(p) - exp(q))",
    "cos(a)/sigmoid(b)", "1 - sigmoid(a) - sigmoid(b) - 0.1", "exp(a - softplus(b))", "index(N)*sigmoid(a)",
    "sigmoid(a)**p", "sigmoid(a)**(-1)", "exp(-relu(a))*(1 + exp(b))", "1/(1 - softplus(a))", "1/(a*a)",
]  # fmt: skip


@pytest.mark.parametrize("coefficient", TRAPS)
def test_no_false_proof(coefficient: str) -> None:
    """Each of these exceeds 1 somewhere: never proven, and a witness, if there is one, is one."""
    body = discrete(coefficient)
    v = verdicts(body)
    assert v["contractive"].verdict in (REFUTED, UNDECIDED), v["contractive"]
    assert v["exponentially stable"].verdict in (REFUTED, UNDECIDED) or v["exponentially stable"].assumptions
    assert v["bounded"].verdict in (REFUTED, UNDECIDED) or v["bounded"].assumptions
    check_witness(body, v["contractive"])


def check_witness(body: str, v: Verdict) -> None:
    if v.verdict != REFUTED:
        return
    layer = layer_of(body)
    state = layer.states["h"]
    coefficient = transition(Facts(layer), state).coefficient
    env = {r: np.broadcast_to(float((v.witness or {})[r.name]), (4,)) for r in refs(coefficient)}
    value = evaluate(coefficient, env, {"N": 4, "d_model": 8}, {"N": 4, "rate": 0.5, "d_model": 8})
    assert np.max(np.abs(value)) > 1


SIMPLE = ["a", "1 + a*b", "exp(a)", "1 - softplus(a)", "2*sigmoid(a)", "sigmoid(a) + sigmoid(b)", "a**2"]


@pytest.mark.parametrize("coefficient", [*SIMPLE, "clip(a, -2, 2)"])
def test_plain_growth_is_refuted(coefficient: str) -> None:
    assert verdicts(discrete(coefficient))["contractive"].verdict == REFUTED


# --- other kinds of update ---


def update(text: str) -> str:
    return f"""
    linear proj(u -> x[N], g[N], k[N])
    param w[N] = 0.5
    state h[N]: h = {text}
    y = h + 0*(x + g + k + w)
    return y
    """


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("tanh(w*prev(h) + x)", (UNDECIDED, UNDECIDED, PROVEN)),
        ("tanh(prev(h) + x)", (PROVEN, UNDECIDED, PROVEN)),
        ("max(g + prev(h), k)", (PROVEN, UNDECIDED, UNDECIDED)),
        ("max(prev(h), x)", (PROVEN, UNDECIDED, UNDECIDED)),
        ("clip(prev(h) + x, -1, 1)", (PROVEN, UNDECIDED, PROVEN)),
        ("sigmoid(g)*prev(h) + (1 - sigmoid(g))*tanh(x)", (PROVEN, ASSUMED, PROVEN)),
        ("sin(prev(h)) + tanh(x)", (PROVEN, UNDECIDED, PROVEN)),
        ("square(prev(h)) + x", (UNDECIDED, UNDECIDED, UNDECIDED)),
        ("prev(h)*prev(h)*0.1 + x", (UNDECIDED, UNDECIDED, UNDECIDED)),
        ("where(prev(h) > 1, 0, prev(h) + x)", (UNDECIDED, UNDECIDED, UNDECIDED)),
        ("prev(h) + x", (PROVEN, REFUTED, REFUTED)),
        ("0.5*prev(h) + x", (PROVEN, PROVEN, ASSUMED)),
        ("0.5*prev(h) + tanh(x)", (PROVEN, PROVEN, PROVEN)),
        ("1.5*prev(h) + x", (REFUTED, REFUTED, REFUTED)),
        ("-prev(h) + x", (PROVEN, REFUTED, UNDECIDED)),
        ("x", (PROVEN, PROVEN, ASSUMED)),
        ("tanh(prev(prev(h)) + x)", (UNDECIDED, UNDECIDED, PROVEN)),
        ("sigmoid(prev(h))*prev(h) + x", (UNDECIDED, UNDECIDED, UNDECIDED)),
        ("0.5*relu(prev(h)) + 0.5*abs(prev(h)) + x", (PROVEN, UNDECIDED, UNDECIDED)),
        ("prev(h, 5)*0.5 + tanh(x)", (PROVEN, PROVEN, UNDECIDED)),
    ],
)
def test_updates(text: str, expected: tuple[str, str, str]) -> None:
    got = found(update(text))
    if expected == (PROVEN, PROVEN, UNDECIDED):
        assert got[:2] == expected[:2]
    else:
        assert got == expected


RANK_ONE = """
axis H = 2, K = 4, V = 4
linear p(u -> q[H, K], k0[H, K], v[H, V], b0[H], a0[H])
k = {key}
beta = {beta}
decay = {decay}
state S[H, K, V]: S = {update} + beta*k*v
y = sum[K](q*S) + a0
return y
"""
ERASE = "decay*(prev(S) - beta*k*sum[K](k*prev(S)))"


@pytest.mark.parametrize(
    ("key", "beta", "decay", "step", "expected"),
    [
        ("l2norm[K](k0)", "sigmoid(b0)", "1", ERASE, PROVEN),
        ("l2norm[K](k0)", "sigmoid(b0)", "exp(-softplus(a0))", ERASE, PROVEN),
        ("l2norm[K](k0)", "2*sigmoid(b0)", "1", ERASE, PROVEN),
        ("l2norm[K](k0)", "3*sigmoid(b0)", "1", ERASE, UNDECIDED),
        ("k0", "sigmoid(b0)", "1", ERASE, UNDECIDED),
        ("l2norm[K](k0)", "-sigmoid(b0)", "1", ERASE, UNDECIDED),
        ("l2norm[K](k0)", "sigmoid(b0)", "exp(softplus(a0))", ERASE, UNDECIDED),
        ("l2norm[K](k0)", "sigmoid(b0)", "1", "decay*(prev(S) - beta*k*sum[K](q*prev(S)))", UNDECIDED),
        ("l2norm[K](k0)", "sigmoid(b0)", "tanh(q)", "decay*decay*prev(S) - beta*k*sum[K](k*decay*prev(S))", UNDECIDED),
        ("1", "sigmoid(b0)", "1", "prev(S) - beta*sum[K](prev(S))", UNDECIDED),
        ("l2norm[K](k0)", "sigmoid(b0)", "sigmoid(q)", "decay*prev(S) - beta*k*sum[K](k*decay*prev(S))", PROVEN),
    ],
)
def test_diagonal_plus_rank_one(key: str, beta: str, decay: str, step: str, expected: str) -> None:
    body = RANK_ONE.format(key=key, beta=beta, decay=decay, update=step)
    assert verdicts(body)["contractive"].verdict == expected


def test_stabilised_exponentials() -> None:
    body = """
    linear p(u -> f[N], i[N], x[N])
    lf = log_sigmoid(f)
    state m[N]: m = max(lf + prev(m), i)
    state c[N]: c = exp(lf + prev(m) - m)*prev(c) + exp(i - m)*x
    return c
    """
    assert found(body, "m")[0] == PROVEN
    assert found(body, "c")[0] == PROVEN


def test_fixed_parameters_are_what_they_start_from() -> None:
    body = discrete("gamma", "param gamma[N] = 1 - 2**(-5 - index(N)) fixed")
    v = verdicts(body)
    assert v["contractive"].verdict == PROVEN
    trained = verdicts(discrete("gamma", "param gamma[N] = 1 - 2**(-5 - index(N))"))
    assert trained["contractive"].verdict == REFUTED
    drawn = verdicts(discrete("gamma", "param gamma[N] = uniform(0, 0.9) fixed"))
    assert drawn["exponentially stable"].verdict == PROVEN
    assert verdicts(discrete("gamma", "param gamma[N] = uniform(0, 1.1) fixed"))["contractive"].verdict != PROVEN


def test_arguments_are_taken_at_their_defaults() -> None:
    v = verdicts(discrete("rate"))
    assert (v["contractive"].verdict, v["contractive"].assumptions) == (ASSUMED, ("rate at its default",))
    assert v["exponentially stable"].verdict == ASSUMED
    assert verdicts(discrete("3*rate"))["contractive"].verdict == REFUTED


def test_a_whole_number_that_is_no_size_may_be_negative() -> None:
    v = verdicts(discrete("exp(log_sigmoid(a)/whole)"))
    assert (v["contractive"].verdict, v["contractive"].assumptions) == (ASSUMED, ("whole at its default",))
    assert verdicts(discrete("exp(log_sigmoid(a)/N)"))["contractive"].verdict == PROVEN


def test_half_open_ranges() -> None:
    v = verdicts(discrete("exp(-g)", "param g[N] = 1 in [0, inf]"))
    assert (v["contractive"].verdict, v["contractive"].assumptions) == (ASSUMED, ("`g` in [0, inf)",))
    assert v["exponentially stable"].verdict == REFUTED
    far = verdicts(discrete("exp(-g)", "param g[N] = 10 in [9, inf]"))
    assert far["exponentially stable"].verdict == ASSUMED
    assert verdicts(discrete("exp(g)", "param g[N] = 10 in [9, inf]"))["contractive"].verdict == REFUTED
    assert verdicts(discrete("1.5 - g", "param g[N] = 1.5 in [1, 2]"))["exponentially stable"].verdict == ASSUMED
    away = verdicts(discrete("3/g", "param g[N] = 100 in [90, inf]"))
    assert away["contractive"].verdict == ASSUMED
    assert verdicts(discrete("g/95", "param g[N] = 100 in [90, inf]"))["contractive"].witness == {"g": Fraction(110)}


def test_coupled_states() -> None:
    body = """
    linear p(u -> x[N])
    state f[N]: f = 0.4*prev(f) + 0.5*prev(g) + x
    state g[N]: g = {scale}*prev(f) + 0.4*prev(g)
    return g
    """
    assert found(body.format(scale="0.5"), "f")[0] == PROVEN
    assert found(body.format(scale="0.7"), "f")[0] == UNDECIDED


def test_dense_states_are_undecided_and_bounded_where_squashed() -> None:
    body = """
    axis M = N
    linear p(u -> x[N])
    param W[N, M] = uniform(-1, 1)
    state h[N]: h = tanh(sum[M](W*prev(h)[N as M]) + x)
    return h
    """
    assert found(body) == (UNDECIDED, UNDECIDED, PROVEN)
    assert found(body.replace("tanh", ""))[0] == UNDECIDED


def test_through_a_module() -> None:
    body = """
    state h[N]: h = sigmoid(g)*prev(h) + x
    late = prev(h)
    linear p(late -> g[N])
    linear r(u -> x[N])
    return h
    """
    assert found(body)[0] == UNDECIDED


def test_a_proven_step_is_never_larger_in_samples() -> None:
    rng = np.random.default_rng(0)
    parts = ["sigmoid(a)", "tanh(b)", "exp(-softplus(c))", "cos(p)", "(1 - sigmoid(b))", "a", "0.5", "exp(q)", "-1"]
    for i, (x, y, z) in enumerate(itertools.product(parts, parts, parts)):
        if i % 7:
            continue
        body = discrete(f"{x}*{y} + {z}" if i % 2 else f"{x} - {y}*{z}")
        layer = layer_of(body)
        v = verdicts(body)["contractive"]
        coefficient = transition(Facts(layer), layer.states["h"]).coefficient
        env = {r: rng.normal(size=(300, 4)) * 4 for r in refs(coefficient)}
        largest = np.max(np.abs(evaluate(coefficient, env, {"N": 4}, {"N": 4, "rate": 0.5})))
        if v.verdict == PROVEN:
            assert largest <= 1 + 1e-12, body
        check_witness(body, v)
        assert not math.isnan(largest)
