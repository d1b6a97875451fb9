"""Generated kernels in Triton's interpreter: results, last states and gradients against the token loop in float64."""

from __future__ import annotations

import pytest

from tests.backends.interpreter import ROOT, Found, interpret, judge
from tests.backends.little_specs import SPECS

PLAIN = [
    {"T": 5, "step": True},
    {"T": 11, "states": True, "strides": True},
    {"cu_seqlens": [0, 5, 5, 12], "states": True, "poisoned": True},
]
PIECES = [
    {"T": 14, "rows": 1, "states": True, "pieces": 2, "halves": 2, "poisoned": True},
    {"cu_seqlens": [0, 0, 9, 11], "pieces": 2},
    {"T": 11, "rows": 1, "states": True, "pieces": 1, "parts": 2, "halves": 2, "poisoned": True},
]
BACK = [
    {"T": 5},
    {"T": 11, "strides": True, "poisoned": True},
    {"T": 14, "rows": 1, "pieces": 2},
    {"cu_seqlens": [0, 5, 5, 12], "pieces": 1, "parts": 2, "halves": 2},
]
JOBS = {n: {"text": "edition 1\n\n" + s, "cases": BACK if n == "reverse" else PLAIN + PIECES} for n, s in SPECS.items()}
MAMBA = [
    {"T": 6, "step": True, "conv": True},
    {"T": 13, "states": True, "pieces": 3, "parts": 2},
    {"cu_seqlens": [0, 5, 5, 12], "states": True, "conv": True, "poisoned": True},
]
FILTERS = [
    {"T": 5, "states": True},
    {"T": 70, "rows": 1, "states": True, "poisoned": True},
]
VARIANTS = ROOT / "tests/specs/variants"
FILTERED = {
    f"{n} {mode}": {"text": (VARIANTS / f"{n}.ssm").read_text(), "cases": FILTERS, "mode": mode}
    for n, mode in (
        ("s4dr", "convolution"),
        ("late", "convolution"),
        ("driven", "convolution"),
        ("s4dr", "scan"),
        ("ahead", "scan"),
    )
}
IDLE = [{"T": 5, "poisoned": True, "idle": "walk"}]


@pytest.fixture(scope="module")
def found() -> Found:
    mamba = (ROOT / "specs/mamba.ssm").read_text()
    more = {"mamba": {"text": mamba, "cases": MAMBA}, "idle": {"text": mamba, "cases": IDLE}}
    return interpret(JOBS | FILTERED | more)


@pytest.mark.parametrize("name", [*JOBS, *FILTERED, "mamba"])
def test_kernels(name: str, found: Found) -> None:
    judge(found[name])


def test_a_read_of_unwritten_memory_is_seen(found: Found) -> None:
    """Results that no kernel has written."""
    assert float("inf") in [e for k, e in found["idle"].items() if k.startswith("poisoned")]
