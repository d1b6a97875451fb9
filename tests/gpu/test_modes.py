"""Time-invariant recurrences on a GPU in the modes that `auto` may not take: convolution and scan. `pytest -m gpu`."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import pytest
import torch

import ssmc
from ssmc.options import Options
from tests.harness import capture, cast, check, compare, error, layer_of, random_states, run

ROOT = Path(__file__).parents[2]
VARIANTS = ("s4dr", "mimo", "late", "driven", "ahead", "modal")
FILES = {n: ROOT / f"tests/specs/variants/{n}.ssm" for n in VARIANTS} | {"leaky": ROOT / "specs/leaky.ssm"}
pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU"),
    pytest.mark.filterwarnings("ignore"),
]
every_case = pytest.mark.parametrize("mode", ("convolution", "scan"))
every_name = pytest.mark.parametrize("name", sorted(FILES))


@cache
def module(name: str, mode: str):
    return ssmc.load(FILES[name], options=Options(mode=mode))


def calls(name: str, mode: str, B: int, T: int, d_model: int = 24):
    torch.manual_seed(0)
    m = module(name, mode)
    layer = layer_of(m)(d_model, device="cuda")
    with torch.no_grad():
        for p in layer.parameters():
            p.add_(0.05 * torch.randn_like(p))
    return capture(m, layer, torch.randn(B, T, d_model, device="cuda"))


@every_name
@every_case
@pytest.mark.parametrize("T", (1, 17, 1100))
def test_lengths(name: str, mode: str, T: int) -> None:
    for call in calls(name, mode, 2, T):
        for states in (None, random_states(call, 2, torch.float32, "cuda")):
            for dtype in (torch.float32, torch.bfloat16):
                check(call, compare(call, dtype, states, "triton"), dtype)


@every_name
@every_case
def test_repeatable_and_packed(name: str, mode: str) -> None:
    for call in calls(name, mode, 2, 300):
        states = random_states(call, 2, torch.float32, "cuda")
        low = cast(call, torch.bfloat16)
        first, grads = run(low, states, "triton")
        again, more = run(low, states, "triton")
        assert all(torch.equal(a, b) for a, b in zip(first, again, strict=True))
        assert all(torch.equal(grads[k], more[k]) for k in grads)
    cu = torch.tensor([0, 5, 5, 6, 70, 200], device="cuda", dtype=torch.int32)
    for call in calls(name, mode, 1, 200):
        states = random_states(call, 5, torch.float32, "cuda")
        check(call, compare(call, torch.float32, states, "triton", cu), torch.float32)


@every_case
@pytest.mark.parametrize("name", ("s4dr", "late"))
def test_long(name: str, mode: str) -> None:
    """16,384 tokens in float32 against float64, within 1e-4."""
    for call in calls(name, mode, 1, 4):
        long = {
            k: torch.randn(1, 16384, *v.shape[2:], device="cuda") if k in call.tokens() else v
            for k, v in call.operands.items()
        }
        op = getattr(call.module, call.op)
        wide = {k: v.to(torch.complex128 if v.is_complex() else torch.float64) for k, v in long.items()}
        want = op(**wide, **call.numbers, backend="eager")
        assert error(op(**long, **call.numbers, backend="triton"), want, False) < 1e-4
