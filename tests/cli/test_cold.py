"""Cold starts, in processes of their own: what a command imports, and how long it takes."""

from __future__ import annotations

import os
import resource
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
MAMBA = str(ROOT / "specs" / "mamba.ssm")
HEAVY = ("torch", "triton", "numpy", "sympy")
PROBE = """
import sys
from ssmc.cli import main
code = main(sys.argv[1:])
print("imported", code, *(m for m in {heavy} if m in sys.modules), file=sys.stderr)
"""


def _python(*argv: str, **options: object) -> subprocess.CompletedProcess[str]:
    env = {**os.environ, "PYTHONPATH": str(ROOT)}
    return subprocess.run([sys.executable, *argv], capture_output=True, text=True, env=env, timeout=120, **options)  # type: ignore[call-overload,no-any-return]


def _probe(*argv: str) -> str:
    return _python("-c", PROBE.format(heavy=HEAVY), *argv).stderr.strip().split("\n")[-1]


@pytest.mark.parametrize(
    "argv",
    [
        ("compile", MAMBA, "-o", "-"),
        ("compile", MAMBA, "--emit", "program"),
        ("check", MAMBA),
        ("explain", MAMBA),
        ("fmt", "--check", MAMBA),
    ],
)
def test_compiling_imports_neither_torch_nor_triton(argv: tuple[str, ...]) -> None:
    got = _probe(*argv).split()
    assert got[0] == "imported" and not {"torch", "triton", "numpy"} & set(got[2:])


@pytest.mark.parametrize("text", ["layer (\n", "edition 1\nlayer A(n)\n  input u[n]\n  return w\n"])
def test_errors_of_syntax_and_names_need_no_sympy(text: str, tmp_path: Path) -> None:
    path = tmp_path / "x.ssm"
    path.write_text(text)
    assert _probe("check", str(path)).split() == ["imported", "1"]


def _best(*argv: str) -> float:
    """The shortest of some runs, in seconds of processor time: what it takes on a machine that does nothing else."""
    times = []
    for _ in range(3):
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        _python("-m", "ssmc", *argv)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        times.append(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)
    return min(times)


def test_cold_times(tmp_path: Path) -> None:
    broken = tmp_path / "x.ssm"
    broken.write_text("edition 1\nlayer A(n)\n  input u[n]\n  return w\n")
    assert _best("check", str(broken)) < 0.4
    assert _best("check", MAMBA) < 1.5
    assert _best("compile", MAMBA, "-o", str(tmp_path / "out.py")) < 3.0


def test_a_reader_that_goes_away_is_no_error() -> None:
    done = _python("-c", f"import os, sys; r, w = os.pipe(); os.dup2(w, 1); os.close(r)\n"
                   f"from ssmc.cli import main; sys.exit(main(['compile', {MAMBA!r}, '-o', '-']))")  # fmt: skip
    assert done.returncode == 0 and done.stderr == ""


def test_kernels_in_the_interpreter() -> None:
    pytest.importorskip("torch")
    pytest.importorskip("triton")
    done = _python("-m", "ssmc", "test", str(ROOT / "specs" / "leaky.ssm"), "--interpret", "--seconds", "0")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "triton, packed sequences" in done.stdout
