"""`ssmc compile --tune`: the search with a clock that is a function, the file in Triton's interpreter, and the refusals."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("torch")
pytest.importorskip("triton")

import torch

from ssmc.cli import main
from ssmc.measuring.tune import neighbours, search

ROOT = Path(__file__).parents[2]
LEAKY = str(ROOT / "specs" / "leaky.ssm")
NAMES = ("lanes", "tokens", "num_warps", "pieces", "parts", "registers", "halves", "stages", "wave")
START = (32, 8, 1, 1, 1, 255, 1, 3, 1056)
MATTER = {*NAMES} - {"wave"}  # which the device decides


def test_a_search_finds_the_best_of_what_can_be_used() -> None:
    def near(config):
        return neighbours(NAMES, config, {"lanes", "tokens", "halves"}, 2048)

    tried: list[tuple] = []

    def time(config):
        tried.append(config)
        lanes, tokens, _, _, _, _, halves, *_ = config
        if lanes == 128:  # does not fit
            return None
        return 1 + abs(lanes - 16) / 16 + abs(tokens - 2) + 0.01 * halves

    assert search(START, near, time) == (16, 2, 1, 1, 1, 255, 1, 3, 1056)
    assert len(tried) < 40
    assert search(START, near, lambda c: 1.0 if c == START else 0.99) == START  # within two percent
    assert search(START, near, lambda c: None) == START


def test_neighbours_differ_in_one_field() -> None:
    around = neighbours(NAMES, START, MATTER, 2048)
    assert len(around) == len(set(around)) > 10
    assert all(sum(a != b for a, b in zip(c, START, strict=True)) == 1 for c in around)
    assert {c[1] for c in around} <= {1, 2, 4, 8} and {c[5] for c in around} == {255, 168, 128}
    assert all(c[3] == c[4] == 1 for c in neighbours(NAMES, START, MATTER, 40))  # too short for two pieces
    assert neighbours(NAMES, START, set(), 2048) == []


@pytest.fixture(scope="module")
def found() -> dict:
    done = subprocess.run(
        [sys.executable, str(Path(__file__).parent / "tuned.py")], capture_output=True, text=True, cwd=ROOT,
        env={"PYTHONPATH": str(ROOT), "PATH": "/usr/bin:/bin", "HOME": str(Path.home())}, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:]
    return json.loads(done.stdout)


def test_kernels_are_launched_as_was_found(found: dict) -> None:
    whats = {w: (before, after, tried, config, length) for w, before, after, tried, config, length in found["found"]}
    assert list(whats) == ["forward", "backward", "step"] and found["ran"] > 10
    before, after, _, config, length = whats["forward"]
    assert (before, after, length) == (1.0, 0.5, 9) and whats["step"][4] == 1
    assert whats["backward"][0] == whats["backward"][1] == 2.0  # nothing was faster
    (_, forward), (_, backward) = found["asked"]
    assert forward == config and backward == whats["backward"][3]
    assert found["errors"] <= 1 and found["other"] == "its own"
    assert found["said"][0].startswith("leaky, forward: 1 to 0.5 ms, ")


def test_what_was_found_is_data_in_the_file(found: dict) -> None:
    text = found["text"]
    assert "--tune 2,9,d_model=4 -o" in text and "TUNED = {" in text and found["again"]
    assert "    ('cpu', 'leaky', 'forward', 2, 9, 4, 1): _Config(" in text
    compile(text, "tuned.py", "exec")


def test_refusals(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    out = str(tmp_path / "x.py")
    if not torch.cuda.is_available():
        assert main(["compile", LEAKY, "--tune", "2,9", "-o", out]) == 2
        assert "there is no CUDA device" in capsys.readouterr().err and not Path(out).exists()
    assert main(["compile", LEAKY, "--tune", "2,9", "--backend", "eager", "-o", out]) == 2
    assert main(["compile", LEAKY, "--tune", "2,9", "--emit", "plan"]) == 2
    assert "--tune" in capsys.readouterr().err
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    assert main(["compile", LEAKY, "--tune", "2;9", "-o", out]) == 2
    assert "as in --tune 8,2048" in capsys.readouterr().err and not Path(out).exists()
    assert main(["compile", LEAKY, "--tune", "2,9,width=3", "-o", out]) == 2
    assert "no argument `width`" in capsys.readouterr().err


def test_the_command_writes_what_was_found(monkeypatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from ssmc.ir.plan import Tuned
    from ssmc.measuring import tune

    shapes = []

    def found(g, shape, where, device, say):
        shapes.append((shape, where.dtype, device))
        assert g.module.TUNED == {}
        return [tune.Found(Tuned(device, "leaky", "forward", shape.batch, shape.length, 5, 1, START), 2.0, 1.0, 3)]

    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(tune, "device_name", lambda device: "a GPU")
    monkeypatch.setattr(tune, "tune", found)
    out, plain = tmp_path / "x.py", tmp_path / "y.py"
    assert main(["compile", LEAKY, "--tune", "2,9,d_model=5", "--tune", "1,7", "-o", str(out)]) == 0
    assert main(["compile", LEAKY, "-o", str(plain)]) == 0
    assert [(s.batch, s.length, s.args, d, n) for s, d, n in shapes] == [
        (2, 9, {"d_model": 5}, torch.bfloat16, "a GPU"), (1, 7, {}, torch.bfloat16, "a GPU"),
    ]  # fmt: skip
    text = out.read_text()
    assert "('a GPU', 'leaky', 'forward', 2, 9, 5, 1): _Config(32, 8, 1, 1, 1, 255, 1, 3, 1056)," in text
    assert "TUNED" not in plain.read_text() and "_tuned" not in plain.read_text()
