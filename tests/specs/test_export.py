"""An op in `torch.export`: what torch is told of sizes holds for any number of tokens."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

import ssmc
from tests.harness import capture, layer_of

SPECS = Path(__file__).parents[2] / "specs"


@pytest.mark.parametrize("tokens", (100, 300, 1000))
@pytest.mark.parametrize("name", ("mamba", "gla", "lru"))
def test_any_number_of_tokens(name: str, tokens: int) -> None:
    """As on a GPU with gradients on, where kernels leave something for the way back; nothing is computed here."""
    module = ssmc.load(SPECS / f"{name}.ssm")
    call = capture(module, layer_of(module)(8), torch.randn(1, 4, 8))[0]
    time = torch.export.Dim("time", min=2, max=100_000)
    operands, shapes = [], []
    for n, v in call.operands.items():
        streams = n in call.tokens()
        operands.append(v.detach()[:, :1].expand(-1, tokens, *v.shape[2:]).clone() if streams else v.detach())
        shapes.append({1: time} if streams else None)

    class Op(torch.nn.Module):
        def forward(self, *operands: torch.Tensor) -> torch.Tensor:
            named = dict(zip(call.operands, operands, strict=True))
            return getattr(module, call.op)(**named, **call.numbers, backend="triton")

    exported = torch.export.export(Op(), tuple(operands), dynamic_shapes=(tuple(shapes),))
    (limits,) = exported.range_constraints.values()
    assert limits.lower <= 2 and limits.upper == 100_000
