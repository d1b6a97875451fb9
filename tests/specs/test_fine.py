"""Results that stay in float32 between ops where activations have 16 bits: what exponentials are made of, what decides."""

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


NORMALISED = """layer Normalised(d_model)
  axis H = 2, K = 3, V = 4
  input u[d_model]
  linear qkvg(u -> q[H, K], k[H, K], v[H, V], w[H, V], g[H])
  state n[H, K]: n = exp(-softplus(g)) * prev(n) + k
  {normaliser}
  state S[H, K, V]: S = exp(-softplus(g)) * prev(S) + k * v
  y[H, V] = sum[K](q * S) / {bound}
  return mean[H, V](y) + u"""
DECIDES = {
    "a bound": ("weight = sum[K](q * n)", "max(abs(weight), 1)", {"weight"}),
    "decided before": ("weight = sum[K](q * n)\n  z = max(abs(weight), 1)", "(z * z)", set()),
    "a condition": ("weight = sum[K](q * n)", "where(weight > 1, weight, 2)", {"weight"}),
    "of another": ("weight = sum[K](q * n)", "(1 + max(weight, g))", {"weight"}),
    "a shifted zero": ("weight = sum[K](q * n)", "(1 + max(weight - 1, 0))", {"weight"}),
    "nothing": ("weight = sum[K](q * n)", "(1 + weight * weight)", set()),
    "zero": ("weight = sum[K](q * n)", "(1 + max(2 * weight, 0))", set()),
    "as wide": ("state r[H, V]: r = 0.5 * prev(r) + w", "max(abs(r), 1)", set()),
    "a module": ("weight = sum[K](q * n)\n  linear of_it(weight -> o[H])", "max(abs(weight * o), 1)", set()),
}  # fmt: skip


@pytest.mark.parametrize("name", DECIDES)
def test_what_decides_stays_in_float32(name: str) -> None:
    normaliser, bound, fine = DECIDES[name]
    done = run(Source("normalised.ssm", NORMALISED.format(normaliser=normaliser, bound=bound)))
    assert done.plan is not None, done.rendered()
    assert set(done.plan.partition.fine) == fine


def test_no_gradient_is_lost_where_a_normaliser_meets_its_bound() -> None:
    """The op of mLSTM on operands of 16 bits against itself in float64: rounded, three of 8192 normalisers took the other
    side of their bound, and the gradients of the gates were 2e-2 off."""
    module = ssmc.load("bench/stabilised.ssm")
    torch.manual_seed(0)
    layer = module.Stabilised(4, 32, 32)
    shapes = {"q": (4, 32), "k": (4, 32), "v": (4, 32), "i": (4,), "f": (4,)}
    given = {n: torch.randn(1, 2048, *s) for n, s in shapes.items()}
    given["i"].uniform_(-10, 2)
    given["f"].uniform_(2, 6)
    given |= {n: given[n].bfloat16() for n in "qkv"}
    noise = torch.randn(1, 2048, 4, 32)

    def gradients(dtype: torch.dtype | None) -> dict[str, torch.Tensor]:
        leaves = {n: v.to(dtype or v.dtype).requires_grad_() for n, v in given.items()}
        y = layer(leaves["q"], **{n: leaves[n] for n in "kvif"})
        assert y.dtype == (dtype or torch.bfloat16)
        return dict(zip(leaves, torch.autograd.grad(y, [*leaves.values()], noise.to(y.dtype)), strict=True))

    found, wants = gradients(None), gradients(torch.float64)
    assert all((found[n] - w).norm() < 5e-3 * w.norm() for n, w in wants.items())


@pytest.mark.parametrize("name", USES)
def test_what_stays_in_float32(name: str) -> None:
    more, result, scales = USES[name]
    done = run(Source("scaled.ssm", SPEC.format(more=more, result=result)))
    assert done.plan is not None, done.rendered()
    assert set(done.plan.partition.fine) == scales


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


NARROW = (
    "linear out(sum[N](a * a) -> o[E])\n  return o",
    "conv c(max[N](a), width = 3)\n  return c",
    "return mean[N](a)",
    "return prev(max[N](a)) + u",
    "param first[E] = 1\n  return u + prev(u, first)",
    "param last[E] = 1\n  return u + next(u, last)",
)


@pytest.mark.parametrize("end", NARROW)
def test_what_sums_are_kept_in_goes_no_further(end: str) -> None:
    """A layer of bf16 gives bf16, and its modules take it, whatever sums over features stand before them."""
    head = "layer A(d)\n  axis E = d, N = 2\n  input u[E]\n  linear p(u -> a[E, N])\n  "
    layer = ssmc.load(head + end).A(6, dtype=torch.bfloat16)
    assert layer(torch.randn(2, 5, 6, dtype=torch.bfloat16)).dtype == torch.bfloat16
