"""The package as a user gets it: a wheel with its data files, installed alone, compiles the same bytes; and what it
writes needs torch and nothing else.
"""

from __future__ import annotations

import ast
import os
import subprocess
import sys
import time
import venv
import zipfile
from pathlib import Path

import pytest

import ssmc

ROOT = Path(__file__).parents[1]
SPECS = sorted((ROOT / "specs").glob("*.ssm"))
MAMBA = ROOT / "specs" / "mamba.ssm"
NEEDED = ("lark", "sympy", "mpmath", "jinja2", "markupsafe")


def call(*argv: str | Path, cwd: Path, **env: str) -> subprocess.CompletedProcess[str]:
    """A command without the checkout in reach."""
    clean = {k: v for k, v in os.environ.items() if not k.startswith(("PYTHON", "PIP_"))} | env
    done = subprocess.run([*map(str, argv)], cwd=cwd, env=clean, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stdout + done.stderr
    return done


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    pytest.importorskip("hatchling", reason="the test extra is not installed")
    out = tmp_path_factory.mktemp("wheel")
    call(
        sys.executable,
        "-m",
        "pip",
        "wheel",
        "--quiet",
        "--no-build-isolation",
        "--no-deps",
        "--no-index",
        "-w",
        out,
        ROOT,
        cwd=out,
    )
    (found,) = out.glob("*.whl")
    return found


@pytest.fixture(scope="module")
def home(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The `bin` of an environment with the wheel in it; what it needs is found where this one has it."""
    folder = tmp_path_factory.mktemp("venv")
    venv.create(folder, with_pip=False)
    python = folder / "bin" / "python"
    call(
        sys.executable, "-m", "pip", "--python", python, "install", "--quiet", "--no-deps", "--no-index",
        "--ignore-installed", wheel,
        cwd=folder,
    )  # fmt: skip
    (packages,) = folder.glob("lib/python*/site-packages")
    places = dict.fromkeys(str(Path(__import__(n).__file__ or "").parents[1]) for n in NEEDED)
    (packages / "needed.pth").write_text("\n".join(places) + "\n")
    return folder / "bin"


@pytest.fixture(scope="module")
def compiled(home: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """specs/mamba.ssm, compiled by the installed command from another directory."""
    folder = tmp_path_factory.mktemp("elsewhere")
    call(home / "ssmc", "compile", MAMBA, "-o", "mamba_layer.py", cwd=folder)
    return folder / "mamba_layer.py"


def test_data_files_travel(wheel: Path) -> None:
    names = set(zipfile.ZipFile(wheel).namelist())
    assert "ssmc/grammar/ssm.lark" in names
    for path in sorted((ROOT / "templates").rglob("*.jinja")):
        assert f"ssmc/{path.relative_to(ROOT)}" in names
    for path in sorted((ROOT / "ssmc").rglob("*.py")):
        assert str(path.relative_to(ROOT)) in names
    strangers = {n.split("/")[0] for n in names} - {"ssmc"}
    assert all(n.endswith(".dist-info") for n in strangers), strangers


def test_the_wheel_is_what_runs(home: Path, tmp_path: Path) -> None:
    where = call(home / "python", "-c", "import ssmc; print(ssmc.__file__)", cwd=tmp_path).stdout.strip()
    assert Path(where).is_relative_to(home.parent)


def test_same_bytes_as_the_checkout(compiled: Path) -> None:
    assert compiled.read_bytes() == ssmc.compile_source(MAMBA.read_text(), name="mamba.ssm").encode()


def test_the_compiler_imports_no_framework(home: Path, tmp_path: Path) -> None:
    code = f"""
import sys
import ssmc
assert not {{"torch", "triton", "numpy", "sympy"}} & set(sys.modules), "import ssmc"
ssmc.compile_source(open({str(MAMBA)!r}).read(), name="mamba.ssm")
assert not {{"torch", "triton", "numpy"}} & set(sys.modules), "compile"
"""
    call(home / "python", "-c", code, cwd=tmp_path)


@pytest.mark.parametrize("spec", SPECS, ids=lambda p: p.stem)
def test_the_file_imports_torch_triton_and_the_standard_library(spec: Path) -> None:
    tree = ast.parse(ssmc.compile_source(spec.read_text(), name=spec.name))
    found: set[str] = set()
    for n in ast.walk(tree):
        if isinstance(n, ast.Import):
            found |= {a.name.split(".")[0] for a in n.names}
        elif isinstance(n, ast.ImportFrom):
            assert not n.level, "relative imports need a package"
            found.add(str(n.module).split(".")[0])
    assert found <= {"torch", "triton"} | sys.stdlib_module_names, found


WITHOUT_TRITON = """
import sys, warnings

class NoTriton:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] == "triton":
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)

sys.meta_path.insert(0, NoTriton())
import torch
import mamba_layer

warnings.simplefilter("ignore")
layer = mamba_layer.Mamba(4, d_state=3)
assert layer.backend == "eager"
u = torch.randn(2, 5, 4, requires_grad=True)
y, state = layer(u, return_state=True)
(y.square().sum() + state.h.sum()).backward()
assert u.grad is not None and all(p.grad is not None for p in layer.parameters())
with torch.no_grad():
    state, out = layer.init_state(2), []
    for t in range(5):
        y_t, state = layer.step(u[:, t], state)
        out.append(y_t)
assert torch.allclose(torch.stack(out, 1), y, atol=1e-6)
assert not any(name.split(".")[0] == "triton" for name in sys.modules)
"""


def test_the_file_runs_without_triton(compiled: Path) -> None:
    call(sys.executable, "-c", WITHOUT_TRITON, cwd=compiled.parent)


def test_cold_times_of_the_installed_command(home: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Three times what the design allows, for busy machines; what was measured is printed."""
    commands = {"check": ("check", MAMBA), "compile": ("compile", MAMBA, "-o", tmp_path / "out.py")}
    for name, allowed in (("check", 1.5), ("compile", 3.0)):
        times = []
        for _ in range(3):
            start = time.perf_counter()
            call(home / "ssmc", *commands[name], cwd=tmp_path)
            times.append(time.perf_counter() - start)
        with capsys.disabled():
            print(
                f"\nssmc {name} specs/mamba.ssm: {min(times):.2f} s, at most {max(times):.2f} s ({allowed} s allowed)"
            )
        assert min(times) < 3 * allowed
