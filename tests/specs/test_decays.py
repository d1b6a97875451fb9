"""Decays that ops share: each op works out its own, from what has not lost its digits in 16 bits."""

from __future__ import annotations

import copy

import pytest
import torch

import ssmc
from ssmc.diagnostics.span import Source
from ssmc.driver import run

SPEC = """layer Shared(d_model)
  axis H = 4, K = 16, V = 16
  input u[d_model]
  linear qkvg(u -> q[H, K], k[H, K], v[H, V], g[H], f[H])
  param p[H] = 0.5
  {decay}
  state n[H, K]: n = {a} * prev(n) + square(k)
  state S[H, K, V]: S = {a} * prev(S) + square(k) * v
  y[H, V] = sum[K](square(q) * S) / (1 + sum[K](square(q) * n))
  linear out(y -> o[d_model])
  return {result}
"""
# Equations, what multiplies the states, and what the ops have of it as operands.
CASES = {
    "a sigmoid": ("a = sigmoid(g + 5)", "a", {"g"}),
    "a power": ("r = sigmoid(g)\n  a = r ** 8", "a", {"g"}),
    "of a parameter": ("a = exp(-softplus(p) * square(g))", "a", {"g", "p"}),
    "of two values": ("a = exp(-softplus(g) - square(f))", "a", {"a_part"}),
    "a name that is taken": ("a_part = g\n  a = exp(-softplus(g) - square(f)) + 0 * a_part", "a", {"a"}),
    "a product": ("a = sigmoid(g)\n  c = sigmoid(f)\n  d = a * c", "d", {"d"}),
    "two in each": ("a = sigmoid(g)\n  c = sigmoid(f)", "a * c", {"g", "f"}),
    "known before": ("a = sigmoid(p)", "a", {"a"}),
    "a gate itself": ("a = g", "a", {"a"}),
    "with what is missing": ("a = sigmoid(g)\n  c = 1 - a", "a * c", {"g"}),
}


@pytest.mark.parametrize("name", CASES)
def test_each_op_has_its_own(name: str) -> None:
    decay, a, wanted = CASES[name]
    done = run(Source("shared.ssm", SPEC.format(decay=decay, a=a, result="o")))
    assert done.plan is not None, done.rendered()
    for r in done.plan.partition.recurrences.values():
        assert {o.name for o in r.operands} - {"q", "k", "v", "y_sum_2"} == wanted
    (of_s,) = (p.program for p in done.plan.programs if p.program.recurrence.name == "S")
    assert (of_s.outer is None) == (name == "a gate itself")  # which may be negative, so it is no decay


@pytest.mark.parametrize("more", ("", " * a"))
def test_one_made_of_another_ops_state(more: str) -> None:
    """Alone or not, the op that it decays works it out, so that it is known to be positive there."""
    spec = f"""layer Chained(d_model)
  axis H = 2, K = 16, V = 16
  input u[d_model]
  linear qkvg(u -> q[H, K], k[H, K], v[H, V], g[H])
  state s[H]: s = 0.9 * prev(s) + g
  a = sigmoid(s)
  state S[H, K, V]: S = a * prev(S) + k * v
  y[H, V] = sum[K](q * S){more}
  return mean[H, V](y) + u
"""
    done = run(Source("chained.ssm", spec))
    assert done.plan is not None, done.rendered()
    (p,) = (p.program for p in done.plan.programs if p.program.recurrence.name == "S")
    assert p.outer is not None and "s" in {o.name for o in p.recurrence.operands}


def test_one_that_a_module_reads_too() -> None:
    spec = SPEC.format(decay="a = sigmoid(g)\n  linear of_it(a -> w[d_model])", a="a", result="o * w")
    done = run(Source("shared.ssm", spec))
    assert done.plan is not None, done.rendered()
    assert all("g" in {o.name for o in r.operands} for r in done.plan.partition.recurrences.values())
    assert "a" in done.plan.partition.definitions


def test_a_shared_decay_loses_no_more_than_one_for_each() -> None:
    """A layer of 16 bits against itself in float64: the gradient of the gates was 9e-2 off, and is 5e-3."""
    module = ssmc.load(SPEC.format(decay="a = sigmoid(g + 5)", a="a", result="o"))
    torch.manual_seed(0)
    layer = module.Shared(64).to(torch.bfloat16)
    wide = copy.deepcopy(layer).double()
    u = torch.randn(2, 1024, 64, dtype=torch.bfloat16)
    y, want = layer(u), wide(u.double())
    g = torch.randn_like(y)
    (found,), (wanted,) = (
        torch.autograd.grad(v, [own.qkvg.weight], g.to(v.dtype)) for v, own in ((y, layer), (want, wide))
    )
    gates = slice(-8, -4)
    assert (y.double() - want).norm() < 1e-2 * want.norm()
    assert (found[gates].double() - wanted[gates]).norm() < 2e-2 * wanted[gates].norm()
