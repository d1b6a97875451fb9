"""Layers at the edge of the language: no axes, no state, no input in the recurrence, every kind of argument."""

from __future__ import annotations

import pytest
import torch

import ssmc

HEAD = "  input u[d_model]\n"
LAYERS: dict[str, tuple[str, dict[str, float | bool]]] = {
    "a free state": (f"layer M(d_model)\n{HEAD}  param w = 0.5\n  state h[d_model]: h = w * prev(h, 1)\n  return h * u\n", {}),
    "a clock": (f"layer M(d_model)\n{HEAD}  param w = 0.5\n  state h: h = w * prev(h) + t\n  return h * u\n", {}),
    "no state": (f"layer M(d_model)\n{HEAD}  linear l(u -> [d_model])\n  return silu(l)\n", {}),
    "a state without axes": (f"layer M(d_model)\n{HEAD}  param w = 1\n  state h: h = 0.5 * prev(h) + w * sum[d_model](u)\n  return h * u\n", {}),
    "a result without axes": (f"layer M(d_model)\n{HEAD}  param w = 1\n  state h: h = 0.5 * prev(h) + w * sum[d_model](u)\n  return h\n", {}),
    "a required bool": (f"layer M(d_model, k: bool)\n{HEAD}  linear l(u -> [d_model], bias = k)\n  return l * 2\n", {"k": True}),
    "a required float": (f"layer M(d_model, k: float)\n{HEAD}  param w = 1\n  state h[d_model]: h = k * prev(h) + w * u\n  return h\n", {"k": 0.5}),
    "a bool in a condition": (f"layer M(d_model, k = true)\n{HEAD}  param w = 1\n  state h[d_model]: h = where(k, 0.5, 0.9) * prev(h) + w * u\n  return h\n", {}),
    "keys of arguments": (f'layer M(d_model, bias = true)\n{HEAD}  param b[d_model] = 1 as "bias"\n  linear l(u -> [d_model], bias = bias) as "d_model.l"\n  return l + b\n', {}),
}  # fmt: skip


@pytest.mark.filterwarnings("ignore:.*eager backend")
@pytest.mark.parametrize("name", LAYERS)
def test_it_runs(name: str) -> None:
    text, given = LAYERS[name]
    layer = ssmc.load(text).M(4, **given).double()
    x = torch.randn(2, 7, 4, dtype=torch.float64)
    y = layer(x)
    y.sum().backward()
    assert y.shape[:2] == (2, 7) and all(p.grad is not None for p in layer.parameters())
    if hasattr(layer, "step"):
        a, state = layer(x[:, :3], return_state=True)
        b, state = layer(x[:, 3:6], state, return_state=True)
        c, _ = layer.step(x[:, 6], state)
        assert torch.allclose(torch.cat([a, b, c[:, None]], 1), y)


SPLIT = """
layer Split(d_model, heads = 2)
  axis H = heads, K = 3, V = d_model / heads, W = 2 * K + V, D = H * V
  input u[d_model]
  linear qkv(u -> all[H, W])
  q[H, K], k[H, K], v[H, V] = split[W](silu(all))
  state S[H, K, V]: S = 0.5 * prev(S) + prev(k) * v
  y[D] = sum[K](q * S)
  return y
"""


@pytest.mark.filterwarnings("ignore:.*eager backend")
def test_a_split_is_the_slices() -> None:
    layer = ssmc.load(SPLIT).Split(4).double()
    u = torch.randn(2, 5, 4, dtype=torch.float64)
    q, k, v = torch.nn.functional.silu(layer.qkv(u)).unflatten(-1, (2, 8)).split([3, 3, 2], -1)
    S, before, out = torch.zeros(2, 2, 3, 2, dtype=torch.float64), torch.zeros_like(k[:, 0]), []
    for t in range(5):
        S = 0.5 * S + before[..., None] * v[:, t, :, None]
        before = k[:, t]
        out.append((q[:, t, ..., None] * S).sum(-2).flatten(1))
    assert torch.allclose(layer(u), torch.stack(out, 1))


def test_the_parts_of_a_split_fill_it() -> None:
    text = SPLIT.replace("2 * K + V,", "2 * K + V + heads - 2,")
    ssmc.load(text).Split(4)
    with pytest.raises(ValueError, match="the parts of axis W have size 8, it has 10"):
        ssmc.load(text).Split(8, heads=4)


def test_keys_are_the_ones_asked_for() -> None:
    layer = ssmc.load(LAYERS["keys of arguments"][0]).M(4)
    assert list(layer.state_dict()) == ["bias", "d_model.l.weight", "d_model.l.bias"]
