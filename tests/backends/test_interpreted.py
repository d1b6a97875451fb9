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
    {"T": 14, "rows": 1, "states": True, "pieces": 2, "wave": 1, "halves": 2, "poisoned": True},
    {"cu_seqlens": [0, 0, 9, 11], "pieces": 2},
    {"T": 15, "states": True, "pieces": 1, "parts": 3, "wave": 2, "lanes": 2, "halves": 2, "poisoned": True},
]
BACK = [
    {"T": 5},
    {"T": 11, "strides": True, "poisoned": True},
    {"T": 14, "rows": 1, "pieces": 2},
    {"T": 15, "pieces": 1, "parts": 3, "wave": 2, "lanes": 2, "halves": 2, "poisoned": True},
    {"cu_seqlens": [0, 5, 5, 12], "pieces": 1, "parts": 2, "wave": 2, "halves": 2},
]
JOBS = {n: {"text": "edition 1\n\n" + s, "cases": BACK if n in ("reverse", "meeting") else PLAIN + PIECES} for n, s in SPECS.items()}
MAMBA = [
    {"T": 6, "step": True, "conv": True},
    {"T": 27, "states": True, "pieces": 3, "parts": 2, "wave": 5, "lanes": 2},
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
# Channels of two axes: a coefficient on one of them, weights on the other, a gate on the first, values of parameters alone.
HEADS = """edition 1

layer Heads(d_model, heads = 2)
  axis H = heads, P = d_model // heads, N = 3, E = H * P
  input u[d_model]
  linear proj(u -> x[E], g[H], bias = false)
  param rate[H, N] = uniform(0.1, 0.9)
  param theta[N] = uniform(-1, 1)
  param c[P, N] complex = complex(normal(0, 1), normal(0, 1))
  param D[H] = 1
  xs[H, P] = x
  a = complex(sigmoid(rate) * cos(theta), sigmoid(rate) * sin(theta))
  state h[H, P, N]: h = a * prev(h) + xs * g
  y[H, P] = re(sum[N](c * h)) + D * xs
  return y
"""
FRESH_CASES = [
    {"T": 21, "strides": True, "poisoned": True},
    {"T": 37, "rows": 1},
    {"cu_seqlens": [0, 5, 5, 40], "poisoned": True},
]
FRESH = {
    f"{n} fresh": {"text": (VARIANTS / f"{n}.ssm").read_text(), "cases": FRESH_CASES, "mode": "recurrent"}
    for n in ("s4dr", "learned")
} | {
    "late_read fresh": {"text": "edition 1\n\n" + SPECS["late_read"], "cases": FRESH_CASES},
    "next_read fresh": {
        "text": "edition 1\n\n" + SPECS["late_read"].replace("prev(h)", "next(h)"),
        "cases": [c for c in FRESH_CASES if "T" in c],
    },
    "heads fresh": {"text": HEADS, "cases": FRESH_CASES},
}
IDLE = [{"T": 5, "poisoned": True, "idle": "walk"}]


@pytest.fixture(scope="module")
def found() -> Found:
    mamba = (ROOT / "specs/mamba.ssm").read_text()
    more = {"mamba": {"text": mamba, "cases": MAMBA}, "idle": {"text": mamba, "cases": IDLE}}
    return interpret(JOBS | FILTERED | FRESH | more)


@pytest.mark.parametrize("name", [*JOBS, *FILTERED, *FRESH, "mamba"])
def test_kernels(name: str, found: Found) -> None:
    judge(found[name])


def test_a_read_of_unwritten_memory_is_seen(found: Found) -> None:
    """Results that no kernel has written."""
    assert float("inf") in [e for k, e in found["idle"].items() if k.startswith("poisoned")]
