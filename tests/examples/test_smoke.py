"""Every example runs as a stranger would run it, on a few steps; and a resumed training is the uninterrupted one."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
EXAMPLES = ROOT / "examples"
SCRIPTS = sorted(p.name for p in EXAMPLES.glob("*.py") if "def main(" in p.read_text(encoding="utf-8"))


def run(folder: Path, script: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    """`python examples/SCRIPT --smoke` in an empty folder, on one thread."""
    command = [sys.executable, str(EXAMPLES / script), "--smoke", "--threads", "1", *arguments]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, timeout=180)


def test_there_are_four() -> None:
    assert SCRIPTS == ["charlm.py", "digits.py", "invent.py", "load_hf_mamba.py"]


@pytest.mark.parametrize("script", SCRIPTS)
def test_smoke(script: str, tmp_path: Path) -> None:
    needed = {"digits.py": "sklearn", "charlm.py": "safetensors", "load_hf_mamba.py": "transformers"}
    if script in needed:
        pytest.importorskip(needed[script])
    done = run(tmp_path, script)
    assert done.returncode == 0, done.stderr
    expected = {
        "digits.py": "test accuracy",
        "charlm.py": "bigram, add-one",
        "invent.py": "error[SSM",
        "load_hf_mamba.py": "tokens agree",
    }
    assert expected[script] in done.stdout
    assert "Traceback" not in done.stderr and "Warning" not in done.stderr, done.stderr


def test_digits_with_time_invariant_layers(tmp_path: Path) -> None:
    pytest.importorskip("sklearn")
    layers = ("dss", "gss", "lru", "lti", "mega_ema", "s4d", "s5")
    done = run(tmp_path, "digits.py", "--layer", *layers)
    assert done.returncode == 0, done.stderr
    rows = {line.split()[0]: line.split() for line in done.stdout.splitlines() if "%" in line}
    for name in layers:
        assert name in rows and 0 <= float(rows[name][2].rstrip("%")) <= 100
    assert "Traceback" not in done.stderr and "Warning" not in done.stderr, done.stderr


def test_resumed_is_uninterrupted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("safetensors")
    monkeypatch.syspath_prepend(str(EXAMPLES))
    import charlm

    for name, size in {"D_MODEL": 16, "STREAMS": 4, "PIECE": 16}.items():
        monkeypatch.setattr(charlm, name, size)
    layer = charlm.layer_class(charlm.load("mamba"))
    tokens = charlm.torch.arange(charlm.STREAMS * (3 * charlm.PIECE + 1)) * 7919 % 11

    def checkpoint(name: str, *stops: int) -> bytes:
        path = tmp_path / name
        for n in stops:
            training = charlm.Training(layer, 11, seed=0)
            if path.exists():
                training.load(path)
            while training.step < n:
                training.advance(tokens, total=4)
            training.save(path)
        return path.read_bytes()

    assert checkpoint("interrupted", 2, 4) == checkpoint("uninterrupted", 4)
