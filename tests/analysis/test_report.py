"""Stability as diagnostics: what is an error, a warning, a note, or nothing."""

from __future__ import annotations

import time

from ssmc.analysis.stability_report import report
from ssmc.diagnostics.render import render
from ssmc.diagnostics.sink import Sink
from ssmc.ir.layer import Layer
from tests.analysis.layers import discrete, layer_of
from tests.analysis.test_stability import COMPLEX, RANGED, SELECTIVE, update


def findings(layer: Layer) -> Sink:
    sink = Sink()
    report(layer, sink)
    return sink


def codes(body: str) -> list[str]:
    return [d.code for d in findings(layer_of(body))]


def test_a_broken_discretization_is_an_error() -> None:
    layer = layer_of(RANGED.format(rule="euler"), "specs/s4d_euler.ssm")
    assert render(findings(layer), layer.source) == EULER


EULER = """\
error[SSM0302]: `euler` is unstable for the declared ranges of `A` and `dt`
  --> specs/s4d_euler.ssm:6:40
   |
 4 |   param A[d_model, N] = -1 in [-16, -1]
   |   ------------------------------------- eigenvalues reach -16
 5 |   param dt[d_model] = 0.1 in [0.001, 0.2]
   |   --------------------------------------- steps reach 0.2
 6 |   state h[d_model, N]: h' = A*h + u by euler, step dt
   |                                        ^^^^^ the pole 1 + dt*A leaves the unit disk
   |
   = note: |1 + dt*A| <= 1: for real A needs dt*|A| <= 2; at A = -16, dt = 0.2 the pole is -2.2
   = help: use `zoh`, whose pole exp(dt*A) is inside for every A < 0, or bound dt by 0.125"""


def test_the_proposed_rule_compiles_and_is_stable() -> None:
    layer = layer_of(RANGED.format(rule="euler"))
    (found,) = findings(layer)
    assert found.edit is not None
    text = layer.source.text
    mended = text[: found.edit.span.start] + found.edit.text + text[found.edit.span.end :]
    assert mended == layer_of(RANGED.format(rule="zoh")).source.text
    assert codes(RANGED.format(rule="zoh")) == []


def test_a_step_that_is_given_keeps_its_meaning() -> None:
    body = """input gap
param A[d_model] = -1 in [-16, -1]
state h[d_model]: h' = A*h + u by zoh, step {step}
return h"""
    (found,) = findings(layer_of(body.format(step="gap")))
    assert found.help == "keep the step positive, as `max(gap, 0)` does"
    assert codes(body.format(step="max(gap, 0)")) == []


def test_complex_and_generalised_rules() -> None:
    assert codes(COMPLEX.format(rule="euler")) == ["SSM0302"]
    assert codes(RANGED.format(rule="gbt(alpha = 0.1)")) == ["SSM0302"]
    assert codes(RANGED.format(rule="gbt(alpha = 0.25)")) == []  # 0.2*16*(1 - 2*alpha) <= 2
    assert codes(COMPLEX.format(rule="bilinear")) == []


def test_allowed_growth_is_a_note() -> None:
    body = RANGED.format(rule="euler").replace("h[d_model, N]:", "h[d_model, N] allow unstable:")
    assert codes(body) == ["SSM0305"]
    assert not findings(layer_of(body)).failed


def test_other_growth_is_a_warning() -> None:
    assert codes(discrete("a")) == ["SSM0303"]
    assert codes(update("square(prev(h)) + x")) == ["SSM0301"]
    assert codes(update("tanh(w*prev(h) + x)")) == []
    assert codes(SELECTIVE) == []


def test_it_is_quick() -> None:
    bodies = (SELECTIVE, COMPLEX.format(rule="bilinear"), COMPLEX.format(rule="euler"), discrete("a*b"))
    layers = [layer_of(body) for body in bodies]
    start = time.perf_counter()
    for layer in layers:
        findings(layer)
    assert time.perf_counter() - start < 2.0  # four layers, on a loaded machine; 0.05 s each when it is idle
