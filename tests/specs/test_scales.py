"""Log scales between ops: values that exponentials are made of stay in float32 where activations have 16 bits."""

from __future__ import annotations

import pytest
import torch

import ssmc
from ssmc.diagnostics.span import Source
from ssmc.driver import run

SPEC = """layer Scaled(d_model)
  axis H = 2, K = 3, V = 4
  input u[d_model]
  linear qkvi(u -> q[H, K], k[H, K], v[H, V], i_raw[H], f_raw[H])
  log_f = log_sigmoid(f_raw)
  state m[H]: m = max(log_f + prev(m), 9 * i_raw)
  keep = log_f + prev(m) - m
  state S[H, K, V]: S = exp(keep) * prev(S) + exp(9 * i_raw - m) * k * v
  {more}
  return {result}
"""
USES = {
    "ops alone": ("y[H, V] = sum[K](q * S)", "mean[H, V](y) + u", {"m", "m_prev"}),
    "a module": ("linear of_m(m -> w[H])\n  y[H, V] = w * sum[K](q * S)", "mean[H, V](y) + u", set()),
    "a sum": ("y[H, V] = sum[K](q * S)", "mean[H, V](y) + mean[H](m) + u", set()),
    "the caller": ("y[H] = sum[K, V](q * S)", "m", set()),
}


@pytest.mark.parametrize("name", USES)
def test_what_stays_in_float32(name: str) -> None:
    more, result, scales = USES[name]
    done = run(Source("scaled.ssm", SPEC.format(more=more, result=result)))
    assert done.plan is not None, done.rendered()
    assert set(done.plan.partition.scales) == scales


def test_exponentials_of_a_running_maximum_are_as_fine_as_their_gates() -> None:
    """A mixed layer against itself in float64, with gates far from zero: results were 5e-2 off where scales were rounded."""
    module = ssmc.load("specs/mlstm.ssm")
    torch.manual_seed(0)
    layer = module.MLSTM(32, num_heads=2).to(torch.bfloat16)
    with torch.no_grad():
        layer.igate_preact.bias.zero_()
        layer.igate_preact.weight.mul_(30)
        layer.fgate_preact.weight.mul_(5)
    u = torch.randn(2, 200, 32, dtype=torch.bfloat16)
    fine = module.MLSTM(32, num_heads=2).double()
    fine.load_state_dict({k: v.double() for k, v in layer.state_dict().items()})
    y, want = layer(u), fine(u.double())
    assert y.dtype == torch.bfloat16
    assert (y.double() - want).norm() < 2.5e-2 * want.norm()
    _, state = layer(u[:, :7], return_state=True)
    steps = []
    for t in range(7, 12):
        y_t, state = layer(u[:, t : t + 1], state, return_state=True)
        steps.append(y_t)
    assert (torch.cat(steps, 1) - y[:, 7:12]).double().norm() < 2e-2 * y[:, 7:12].double().norm()
