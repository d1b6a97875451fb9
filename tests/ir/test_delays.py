"""Previous values of outer products: what is kept of a token is as large as the factors, not as their product."""

from __future__ import annotations

import pytest
import torch

import ssmc
from tests.harness import layer_of

pytestmark = pytest.mark.filterwarnings("ignore:.*runs on the eager backend")
SPEC = """edition 1

layer Small(d_model, n = 3)
  axis E = d_model, N = n
  input u[E]
  linear proj(u -> k[N])
  param w[E, N] = 1
  param r[E] = 0.5
  {before}
  state h[E, N]: h = sigmoid(r) * prev(h) + ({term}) * w
  return sum[N](h)
"""
CASES = {
    "prev(k * u)": {"k_prev": (3,), "u_prev": (5,)},
    "prev(-k * u * w)": {"k_prev": (3,), "u_prev": (5,)},
    "prev(w * u)": {"u_prev": (5,)},
    "prev(silu(k) * tanh(u))": {"previous_part_prev": (3,), "previous_part_2_prev": (5,)},
    "prev(v)": {"k_prev": (3,), "u_prev": (5,)},
    "prev(t * k * u)": {"previous_part_prev": (), "k_prev": (3,), "u_prev": (5,)},
    "prev(k * u, 1)": {"previous_prev": (3, 5)},
    "prev(k + u)": {"previous_prev": (3, 5)},
}


@pytest.mark.parametrize("term", CASES)
def test_what_is_kept_of_a_token(term: str) -> None:
    module = ssmc.load(SPEC.format(before="v = k * u" if "(v)" in term else "", term=term))
    torch.manual_seed(0)
    layer = layer_of(module)(5).double()
    start = layer.init_state(2)
    fields = {n: tuple(x.shape[1:]) for n, x in start._asdict().items() if n.endswith("_prev")}
    assert fields == CASES[term]
    u = torch.randn(2, 7, 5, dtype=torch.float64)
    y = layer(u)
    first, state = layer(u[:, :3], return_state=True)
    second = layer(u[:, 3:], state)
    assert torch.allclose(torch.cat([first, second], 1), y, rtol=1e-12)
    k, h, last = layer.proj(u), torch.zeros(2, 5, 3, dtype=torch.float64), None
    for i in range(7):
        now = {"u": u[:, i, :, None], "k": k[:, i, None, :], "w": layer.w, "t": float(i)}
        h = torch.sigmoid(layer.r)[:, None] * h + layer.w * _past(term, last)
        last = now
        assert torch.allclose(h.sum(-1), y[:, i], rtol=1e-10), i


def _past(term: str, x: dict | None) -> torch.Tensor | float:
    """The term at a token, from what its names were at the last one."""
    if x is None:
        return 1.0 if term == "prev(k * u, 1)" else 0.0
    return {
        "prev(-k * u * w)": lambda: -x["k"] * x["u"] * x["w"],
        "prev(w * u)": lambda: x["w"] * x["u"],
        "prev(silu(k) * tanh(u))": lambda: torch.nn.functional.silu(x["k"]) * x["u"].tanh(),
        "prev(t * k * u)": lambda: x["t"] * x["k"] * x["u"],
        "prev(k + u)": lambda: x["k"] + x["u"],
    }.get(term, lambda: x["k"] * x["u"])()
