"""Gradients that meet behind a convolution's kernel are added and joined in it, by no operation of torch."""

from __future__ import annotations

import re
from contextlib import nullcontext

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

import ssmc
from tests.backends.interpreter import ROOT, interpret, judge

MAMBA = (ROOT / "specs/mamba.ssm").read_text()
# The gate stands first; heads; the convolution's result has two readers.
HEADS = """edition 1

layer Gated(d_model, n = 2)
  axis H = n, P = d_model
  input u[d_model]
  linear proj(u -> z[H, P], x[H, P])
  conv first(x, width = 3, bias)
  v = silu(first)
  linear rate(v -> a[H, P], bias)
  state h[H, P]: h = sigmoid(a) * prev(h) + v
  return sum[H](h * z)
"""
JOINED = ["cat", "add", "add_"]
JOBS = {
    "mamba": {"text": MAMBA, "keywords": {"d_state": 2}, "cases": [{"T": 9, "layer": [*JOINED, "sum"]}]},
    "heads": {"text": HEADS, "cases": [{"T": 9, "layer": JOINED}]},
}


@pytest.mark.parametrize("name", sorted(JOBS))
def test_they_meet(name: str) -> None:
    judge(interpret({name: JOBS[name]})[name])


# What is changed in a layer, then whether its gradients are still joined, and whether they are still added.
APART = {
    "nothing": ({}, True, True),
    "the gate is projected too": ({"return sum": "linear other(z -> q[P])\n  return q + sum"}, False, True),
    "what is convolved is projected too": ({"return sum": "linear other(x -> q[P])\n  return q + sum"}, False, True),
    "three parts": ({"x[H, P])\n": "x[H, P], y[P])\n", "h * z)": "h * z) + y"}, False, True),
    "a gate of a head": ({"-> z[H, P]": "-> z[H]", "sum[H](h * z)": "h * z"}, False, True),
    "one reader": ({"v = silu(first)": "v = first", "linear rate(v": "linear rate(u"}, True, False),
    "an op before the convolution": (
        {"sigmoid(a) * prev(h) + v": "0.5 * prev(h) + z", "h * z": "o * v * a", "  return": "  linear out(h -> o[H, P])\n  return"},
        False,
        False,
    ),
}  # fmt: skip


@pytest.mark.parametrize("change", sorted(APART))
@pytest.mark.filterwarnings("ignore")
def test_only_where_nobody_else_reads(change: str) -> None:
    changes, joined, added = APART[change]
    text = HEADS
    for old, new in changes.items():
        assert text.count(old) == 1
        text = text.replace(old, new)
    source = ssmc.compile_source(text, name="gated.ssm")
    call = re.search(r"^ +(.*) = (_conv|_conv_meeting)\(.*gated_first", source, re.MULTILINE)
    assert call is not None and call[2] == ("_conv_meeting" if joined or added else "_conv")
    if joined or added:
        _, again, _, beside = call[1].split(", ")
        assert (again, beside) == ("v_again" if added else "_", "z" if joined else "_")
    assert ("_room(" in source, " = _split(" in source) == (joined, joined)
    assert ("v=v_again" in source) == added


class Seen(TorchDispatchMode):
    """The operations that were called."""

    def __init__(self) -> None:
        super().__init__()
        self.names: list[str] = []

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):  # type: ignore[no-untyped-def]
        self.names.append(str(func))
        return func(*args, **(kwargs or {}))


@pytest.mark.filterwarnings("ignore:.*runs on the eager backend")
def test_a_bias_is_added_in_the_product() -> None:
    """Of rows that lie apart too, as those of a slice of a projection do."""
    module = ssmc.load(MAMBA)
    layer = module.Mamba(6)
    with Seen() as seen:
        layer(torch.randn(2, 5, 6))
    assert seen.names.count("aten.addmm.default") == 1
    assert "aten.add_.Tensor" not in seen.names


@pytest.mark.filterwarnings("ignore:.*runs on the eager backend")
@pytest.mark.parametrize("child", ["dt_proj", "conv1d"])
def test_a_forward_of_its_own_is_called(child: str) -> None:
    """As that of libraries which move weights about before a child is called."""
    layer = ssmc.load(MAMBA).Mamba(6)
    u, heard = torch.randn(2, 5, 6), []
    want, forward = layer(u), getattr(layer, child).forward
    getattr(layer, child).forward = lambda x: heard.append(child) or forward(x)
    with pytest.warns() if child == "conv1d" else nullcontext():
        assert torch.allclose(layer(u), want, atol=1e-6)
    assert heard == [child]
