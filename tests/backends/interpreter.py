"""Starts the process in which kernels are interpreted, and judges what it found.

Triton is told to interpret when it is imported, so `tests.backends.interpreted` never runs in the tests' own process.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import torch

from tests.tolerances import limit

ROOT = Path(__file__).parents[2]
Found = dict[str, dict[str, float]]


def interpret(jobs: dict[str, dict[str, object]]) -> Found:
    """The errors of every case of every spec, from one process."""
    command = [sys.executable, "-m", "tests.backends.interpreted"]
    run = subprocess.run(command, input=json.dumps({"specs": jobs}), capture_output=True, text=True, cwd=ROOT)
    assert run.returncode == 0, run.stderr[-3000:]
    out: Found = json.loads(run.stdout)
    return out


def judge(errors: dict[str, float]) -> None:
    """Everything was compared, and is within the tolerances of float32."""
    assert "failed" not in errors, errors["failed"]
    assert errors
    bad = {k: e for k, e in errors.items() if not e <= limit("stream" if " d " in k else "output", torch.float32)}
    assert not bad, bad
