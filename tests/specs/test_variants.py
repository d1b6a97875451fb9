"""Layers that are not shipped, as a stranger would write them: each compiles, has the class it must have, and is right.

They reach beyond the shipped specs: matrix-valued states, reads before the update, states in both directions, dense
recurrences, gates of two states, running maxima, complex states with dense reads.
"""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

import ssmc
from tests.harness import capture, compare, error, layer_of, random_states

HERE = Path(__file__).parent / "variants"
CLASSES = {
    "bidir": {"h": "D", "g": "D"},
    "elman": {"h": "X"},
    "learned": {"h": "D"},
    "linattn": {"S": "D"},
    "lstm": {"h": "X"},
    "osc": {"v": "P"},
    "rwkv4": {"m": "P", "p": "D", "q": "D"},
    "s4dr": {"x": "Dc"},
    "mimo": {"x": "Dc"},
    "ssd": {"S": "D"},
}
pytestmark = pytest.mark.filterwarnings("ignore:.*runs on the eager backend")


@pytest.fixture(scope="module", params=sorted(CLASSES))
def variant(request):
    torch.manual_seed(0)
    module = ssmc.load(HERE / f"{request.param}.ssm")
    layer = layer_of(module)(8).double()
    with torch.no_grad():
        for p in layer.parameters():
            p.add_(0.05 * torch.randn_like(p))
    return request.param, module, layer


def test_class(variant) -> None:
    name, module, _ = variant
    assert {k: v["class"] for k, v in module.PLAN.items() if isinstance(v, dict)} == CLASSES[name]


@pytest.mark.parametrize("T", (0, 1, 11, 67))
def test_op_against_reference(variant, T: int) -> None:
    _, module, layer = variant
    u = torch.randn(2, T, 8, dtype=torch.float64)
    for call in capture(module, layer, torch.randn(2, max(T, 1), 8, dtype=torch.float64)):
        call.operands = {k: v[:, :T] if k in call.tokens() else v for k, v in call.operands.items()}
        if T:
            states = random_states(call, 2, torch.float64, "cpu")
            assert max(compare(call, torch.float64, states, "eager").values()) < 1e-10
        assert max(compare(call, torch.float64, None, "eager").values()) < 1e-10
    assert layer(u).shape == u.shape


def test_steps_splits_and_packing(variant) -> None:
    _, _, layer = variant
    u = torch.randn(2, 13, 8, dtype=torch.float64)
    want = layer(u)
    if hasattr(layer, "step"):
        _, last = layer(u, return_state=True)
        state = layer.init_state(2, dtype=torch.float64)
        for t in range(13):
            y, state = layer.step(u[:, t], state)
            assert error(y, want[:, t], False) < 1e-10
        assert all(error(a, b, False) < 1e-10 for a, b in zip(state, last, strict=True))
        for cut in (0, 1, 6, 13):
            first, middle = layer(u[:, :cut], return_state=True)
            second = layer(u[:, cut:], middle)
            assert error(torch.cat([first, second], 1), want, False) < 1e-10
    cu = torch.tensor([0, 5, 5, 13])
    parts = [layer(u[:1, a:b]) for a, b in ((0, 5), (5, 13))]
    assert error(layer(u[:1], cu_seqlens=cu), torch.cat(parts, 1), False) < 1e-10
