"""Generated kernels in Triton's interpreter: results, last states and gradients against the token loop in float64."""

from __future__ import annotations

import pytest

from tests.backends.interpreter import ROOT, Found, interpret, judge
from tests.backends.little_specs import SPECS

PLAIN = [
    {"T": 5, "step": True},
    {"T": 11, "states": True, "strides": True},
    {"cu_seqlens": [0, 5, 5, 12], "states": True},
]
PIECES = [{"T": 14, "rows": 1, "states": True, "pieces": 2}, {"cu_seqlens": [0, 0, 9, 11], "pieces": 2}]
BACK = [{"T": 5}, {"T": 11, "strides": True}, {"T": 14, "rows": 1, "pieces": 2}, {"cu_seqlens": [0, 5, 5, 12]}]
JOBS = {n: {"text": "edition 1\n\n" + s, "cases": BACK if n == "reverse" else PLAIN + PIECES} for n, s in SPECS.items()}
MAMBA = [
    {"T": 6, "step": True, "conv": True},
    {"T": 13, "states": True, "pieces": 3},
    {"cu_seqlens": [0, 5, 5, 12], "states": True, "conv": True},
]


@pytest.fixture(scope="module")
def found() -> Found:
    return interpret(dict(JOBS, mamba={"text": (ROOT / "specs/mamba.ssm").read_text(), "cases": MAMBA}))


@pytest.mark.parametrize("name", [*JOBS, "mamba"])
def test_kernels(name: str, found: Found) -> None:
    judge(found[name])
