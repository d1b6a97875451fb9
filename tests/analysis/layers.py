"""Layers for tests of the analysis, from the lines of a spec's body."""

from __future__ import annotations

from ssmc.analysis.stability import Verdict, judge
from ssmc.diagnostics.render import render
from ssmc.diagnostics.sink import Sink
from ssmc.diagnostics.span import Source
from ssmc.ir.layer import Layer
from ssmc.sema.analyze import analyze
from ssmc.syntax.parse import parse

HEAD = "edition 1\nlayer Test(d_model, N = 4, rate: float = 0.5, whole = 2)\n  input u[d_model]\n"


def layer_of(body: str, name: str = "test.ssm") -> Layer:
    lines = "".join(f"  {line.strip()}\n" for line in body.strip().splitlines())
    source, sink = Source(name, HEAD + lines), Sink()
    spec = parse(source, sink)
    layer = analyze(spec, source, {}, sink) if spec is not None else None
    assert layer is not None, render(sink, source)
    return layer


def verdicts(body: str, state: str | None = None) -> dict[str, Verdict]:
    layer = layer_of(body)
    chosen = layer.states[state or next(iter(layer.states))]
    return {v.property: v for v in judge(layer, chosen)}


def discrete(coefficient: str, before: str = "", extra: str = "") -> str:
    """A body with one state h = coefficient * prev(h) + x; a, b, c are module outputs, p, q trained parameters."""
    return f"""
    linear proj(u -> x[N], a[N], b[N], c[N])
    param p[N] = 0
    param q[N] = 0
    {before}
    state h[N]: h = ({coefficient})*prev(h) + x {extra}
    y = h + 0*(a + b + c + p + q)
    return y
    """.replace("\n    \n", "\n")
