"""The verdicts on the shipped time-invariant layers, and what the prover needs for them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from ssmc.analysis.facts import Facts
from ssmc.analysis.stability import Verdict, judge
from ssmc.analysis.stability_report import report
from ssmc.analysis.transition import transition
from ssmc.diagnostics.sink import Sink
from ssmc.diagnostics.span import Source
from ssmc.ir.expr import refs
from ssmc.ir.interpret import evaluate
from ssmc.ir.layer import Layer
from ssmc.sema.analyze import analyze
from ssmc.syntax.parse import parse
from tests.analysis.layers import discrete, verdicts

SPECS = Path(__file__).parents[2] / "specs"
BOTH = {"bidirectional": True}
PROVEN, ASSUMED, REFUTED, UNDECIDED = "proven", "assumed", "refuted", "undecided"


def layer(name: str, **settings: object) -> Layer:
    source = Source(f"{name}.ssm", (SPECS / f"{name}.ssm").read_text())
    sink = Sink()
    spec = parse(source, sink)
    assert spec is not None
    found = analyze(spec, source, settings, sink)  # type: ignore[arg-type]
    assert found is not None, sink.items
    return found


def of(name: str, state: str, **settings: object) -> dict[str, Verdict]:
    found = layer(name, **settings)
    return {v.property: v for v in judge(found, found.states[state])}


@pytest.mark.parametrize(
    ("name", "states", "settings"),
    [
        ("s4d", "x", {}),
        ("s4d", "x", {"disc": "bilinear"}),
        ("s4d", "xz", BOTH),
        ("s4d", "xz", BOTH | {"disc": "bilinear"}),
        ("dss", "x", {}),
        ("lru", "x", {}),
        ("gss", "h", {}),
        ("gss", "h", {"imag_exp": False}),
        ("mega_ema", "h", {}),
        ("mega_ema", "hg", BOTH),
        ("lti", "x", {"rule": "zoh"}),
        ("lti", "x", {"rule": "bilinear"}),
        ("lti", "x", {"rule": "backward_euler"}),
    ],
)
def test_proven_from_the_parametrisation(name: str, states: str, settings: dict[str, object]) -> None:
    """For all values of the parameters; and where they are moderate, with a margin."""
    for state in states:
        found = of(name, state, **settings)
        assert (found["contractive"].verdict, found["contractive"].assumptions) == (PROVEN, ())
        assert found["exponentially stable"].verdict == ASSUMED
        assert all("<= 8" in a or "default" in a for a in found["exponentially stable"].assumptions)


@pytest.mark.parametrize(("name", "state"), [("s4d", "x"), ("dss", "x"), ("mega_ema", "h"), ("lti", "x")])
def test_bounded_for_bounded_inputs(name: str, state: str) -> None:
    assert of(name, state)["bounded"].verdict == ASSUMED


@pytest.mark.parametrize("disc", ["zoh", "bilinear"])
@pytest.mark.parametrize("state", ["x", "z"])
def test_conditional_without_clipping(disc: str, state: str) -> None:
    found = of("s5", state, disc=disc, **BOTH)["contractive"]
    assert (found.verdict, found.assumptions[0]) == (ASSUMED, "`Lambda_re` in (-inf, 0]")
    clipped = of("s5", state, disc=disc, clip_eigs=True, **BOTH)["contractive"]
    assert (clipped.verdict, clipped.assumptions) == (ASSUMED, ("step_rescale at its default",))


def test_generalised_rule_at_its_default_and_below_one_half() -> None:
    found = of("lti", "x", rule="gbt")["contractive"]
    assert (found.verdict, found.assumptions) == (ASSUMED, ("alpha at its default",))
    sink = Sink()
    report(layer("lti", rule="gbt", alpha=0.25), sink)
    assert [d.code for d in sink.items] == ["SSM0302"]
    sink = Sink()
    report(layer("lti", rule="gbt", alpha=0.5), sink)
    assert sink.items == []


def test_forward_euler_is_refuted_with_a_witness() -> None:
    found = layer("lti", rule="euler")
    by_name = {v.property: v for v in judge(found, found.states["x"])}
    assert by_name["continuous"].verdict == PROVEN
    contractive = by_name["contractive"]
    assert contractive.verdict == REFUTED and contractive.witness is not None
    a = transition(Facts(found), found.states["x"]).coefficient
    env = {r: np.full((1,) * len(r.axes), float(contractive.witness[r.name])) for r in refs(a)}
    assert abs(evaluate(a, env, {"H": 1, "N": 1}, {})).max() > 1
    sink = Sink()
    report(found, sink)
    assert [d.code for d in sink.items] == ["SSM0305"]  # the spec allows it, and says when


@pytest.mark.parametrize(("longest", "verdict"), [("0.1", ASSUMED), ("0.125", ASSUMED), ("0.13", REFUTED)])
def test_forward_euler_within_its_step_and_beyond(longest: str, verdict: str) -> None:
    """dt * |A| <= 2."""
    body = f"""
    param A[N] = -1 in [-16, -1]
    param dt[N] = 0.01 in [0.001, {longest}]
    linear p(u -> x[N])
    state h[N]: h' = A*h + x by euler, step dt
    return h
    """
    assert verdicts(body)["contractive"].verdict == verdict


# --- what the prover learned --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("coefficient", "verdict"),
    [("sigmoid(a)", PROVEN), ("1 + sigmoid(a)", REFUTED), ("a", REFUTED), ("tanh(a)*cos(b)", PROVEN)],
)
def test_a_state_that_runs_backwards(coefficient: str, verdict: str) -> None:
    body = discrete(coefficient).replace("prev(h)", "next(h)")
    assert "next(h)" in body
    assert verdicts(body)["contractive"].verdict == verdict
    assert verdicts(body)["contractive"] == verdicts(discrete(coefficient))["contractive"] or verdict == REFUTED


@pytest.mark.parametrize(
    ("picked", "verdict"),
    [
        ("sum[W](where(index(W) == 0, sigmoid(a), 0))", PROVEN),
        ("sum[W](where(index(W) == 2, sigmoid(a), 0))", PROVEN),
        ("sum[W](where(index(W) == 3, sigmoid(a), 0))", None),  # beyond the axis: 0, which need not be seen
        ("sum[W](where(index(W) >= 0, sigmoid(a), 0))", REFUTED),
        ("sum[W](where(index(W) == 0, sigmoid(a), 1))", REFUTED),
        ("sum[W](where(index(W) == 0, 1 + sigmoid(a), 0))", REFUTED),
        ("sum[W](where(index(W) == 0, sigmoid(a) * index(W), 0))", None),  # 0 as well
    ],
)
def test_one_term_of_a_sum(picked: str, verdict: str | None) -> None:
    found = verdicts(discrete(picked, "axis W = 3"))["contractive"].verdict
    assert found != REFUTED if verdict is None else found in (verdict, UNDECIDED if verdict == REFUTED else verdict)


def test_the_mean_of_exponentials_in_the_left_half_plane() -> None:
    """|phi1(z)| <= phi1(re z): proven where it holds, and no number contradicts it."""
    body = """
    param r[N] = 0
    param i[N] = 0
    linear p(u -> x[N])
    state h[N]: h = phi1(complex({re}, i)) * prev(h) + x
    return re(h)
    """
    assert verdicts(body.format(re="-exp(r)"))["contractive"].verdict == PROVEN
    assert verdicts(body.format(re="exp(r)"))["contractive"].verdict != PROVEN
    rng = np.random.default_rng(0)
    z = rng.normal(scale=5, size=4000) + 1j * rng.normal(scale=5, size=4000)
    assert (abs(np.expm1(z) / z) <= np.expm1(z.real) / z.real * (1 + 1e-12)).all()
