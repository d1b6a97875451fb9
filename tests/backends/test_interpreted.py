"""Generated kernels in Triton's interpreter: results, last states and gradients against the token loop in float64."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from tests.backends.little_specs import SPECS
from tests.tolerances import limit

ROOT = Path(__file__).parents[2]
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
def found() -> dict[str, dict[str, float]]:
    """The errors of every case of every spec, from one process."""
    jobs = dict(JOBS, mamba={"text": (ROOT / "specs/mamba.ssm").read_text(), "cases": MAMBA})
    command = [sys.executable, "-m", "tests.backends.interpreted"]
    run = subprocess.run(command, input=json.dumps({"specs": jobs}), capture_output=True, text=True, cwd=ROOT)
    assert run.returncode == 0, run.stderr[-3000:]
    out: dict[str, dict[str, float]] = json.loads(run.stdout)
    return out


@pytest.mark.parametrize("name", [*JOBS, "mamba"])
def test_kernels(name: str, found: dict[str, dict[str, float]]) -> None:
    errors = found[name]
    assert "failed" not in errors, errors["failed"]
    assert errors
    bad = {k: e for k, e in errors.items() if not e <= limit("stream" if " d " in k else "output", torch.float32)}
    assert not bad, bad
