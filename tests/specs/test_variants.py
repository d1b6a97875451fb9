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
from tests.tolerances import FP64_EAGER

HERE = Path(__file__).parent / "variants"
SPECS = Path(__file__).parents[2] / "specs"
CLASSES = {
    "ahead": {"h": "LTI", "f": "LTI"},
    "bidir": {"h": "D", "g": "D"},
    "conditions": {"s": "P", "h": "D", "S": "D"},
    "decays": {"S": "O1"},
    "driven": {"h": "LTI"},
    "elman": {"h": "X"},
    "late": {"h": "LTI"},
    "flat": {"s": "D"},
    "floors": {"h": "LTI"},
    "gateloop": {"S": "Dc"},
    "kalman": {"P": "P", "m": "D"},
    "learned": {"h": "LTI"},
    "linattn": {"S": "O2"},
    "lstm": {"h": "X"},
    "maxplus": {"h": "P"},
    "modal": {"h": "LTI"},
    "names": {"state_": "D", "T": "D"},
    "osc": {"v": "P"},
    "pooled": {"x": "LTI", "h": "D"},
    "rwkv4": {"p": "P"},
    "rotor": {"a": "P"},
    "runnorm": {"m": "D", "v": "LTI"},
    "s4dr": {"x": "LTI"},
    "mimo": {"x": "LTI"},
    "spike": {"h": "P", "k": "P"},
    "squares": {"S": "O1", "n": "LTI"},
    "ssd": {"S": "O1"},
    "trapezoid": {"h": "D"},
    "s4d_kernel": {"x": "LTI"},
    "s4d_kernel tied=false bidirectional=true": {"x": "LTI", "z": "LTI"},
    "delta": {"S": "X"},
    "dss_options hyper=true": {"x": "LTI"},
    "dss_options bidirectional=true": {"x": "LTI", "b": "LTI"},
    "ema_port bidirectional=true": {"h": "LTI", "g": "LTI"},
    "ema_window": {"h": "LTI"},
    "ema_window bidirectional=true": {"h": "LTI", "g": "LTI"},
    # shipped specs in a form that is fixed when compiling
    "s4d disc=bilinear": {"x": "LTI"},
    "s4d bidirectional=true": {"x": "LTI", "z": "LTI"},
    "s5 disc=bilinear clip_eigs=true": {"x": "LTI"},
    "s5 bidirectional=true": {"x": "LTI", "z": "LTI"},
    "mega_ema bidirectional=true": {"h": "LTI", "g": "LTI"},
    "gss imag_exp=false": {"h": "LTI"},
    "mamba2 D_has_hdim=true": {"S": "O1"},
    "linear_attention feature_map=relu": {"S": "O1", "z": "LTI"},
    "linear_attention feature_map=identity normalize=false": {"S": "O1"},
    "linear_attention feature_map=learned normalize=false": {"S": "O1"},
    "lti rule=bilinear": {"x": "LTI"},
    "lti rule=backward_euler": {"x": "LTI"},
    "lti rule=gbt": {"x": "LTI"},
    "lti rule=euler": {"x": "LTI"},
}
SMALLER = {
    "mamba2": {"headdim": 4, "d_state": 3},
    "linear_attention": {"num_heads": 2},
    "s4d": {"d_state": 8},
    "s5": {"d_state": 8},
    "lti": {"d_state": 8},
    "gss": {"d_state": 6},
}
FLOOR = 1e-4  # of one token alone some gradients are nothing but rounding
WORDS = {"true": True, "false": False}
pytestmark = pytest.mark.filterwarnings("ignore:.*runs on the eager backend")


@pytest.fixture(scope="module", params=sorted(CLASSES))
def variant(request):
    torch.manual_seed(0)
    stem, *given = request.param.split()
    settings = {k: WORDS.get(v, v) for k, v in (s.split("=") for s in given)}
    path = HERE / f"{stem}.ssm"
    module = ssmc.load(path if path.exists() else SPECS / path.name, **settings)
    layer = layer_of(module)(8, **SMALLER.get(stem, {}), **settings).double()
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
            assert max(compare(call, torch.float64, states, "eager", floor=FLOOR).values()) <= FP64_EAGER
        assert max(compare(call, torch.float64, None, "eager", floor=FLOOR).values()) <= FP64_EAGER
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
            assert error(y, want[:, t], False) <= FP64_EAGER
        assert all(error(a, b, False) <= FP64_EAGER for a, b in zip(state, last, strict=True))
        for cut in (0, 1, 6, 13):
            first, middle = layer(u[:, :cut], return_state=True)
            second = layer(u[:, cut:], middle)
            assert error(torch.cat([first, second], 1), want, False) <= FP64_EAGER
    cu = torch.tensor([0, 5, 5, 13])
    parts = [layer(u[:1, a:b]) for a, b in ((0, 5), (5, 13))]
    assert error(layer(u[:1], cu_seqlens=cu), torch.cat(parts, 1), False) <= FP64_EAGER
