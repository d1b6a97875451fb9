"""The generated file of every shipped spec, as text: a change of the output is seen, read and committed. And each runs.

`pytest --update-golden` rewrites them (`tests/conftest.py`).
"""

from __future__ import annotations

import difflib
import importlib.util
import sys
import warnings
from pathlib import Path
from types import ModuleType

import pytest
import torch

import ssmc
from tests.specs.layers import SMALL

ROOT = Path(__file__).parents[1]
GOLDEN = ROOT / "tests" / "golden"
SPECS = sorted((ROOT / "specs").glob("*.ssm"))
ADVICE = "if the change is meant: `pytest --update-golden tests/test_golden.py`, read the diff, commit it"


@pytest.mark.parametrize("spec", SPECS, ids=lambda p: p.stem)
def test_text(spec: Path, request: pytest.FixtureRequest) -> None:
    golden = GOLDEN / f"{spec.stem}.py"
    found = ssmc.compile_source(spec.read_text(encoding="utf-8"), name=spec.name)
    if request.config.getoption("--update-golden"):
        GOLDEN.mkdir(exist_ok=True)
        golden.write_text(found, encoding="utf-8", newline="\n")
        return
    if not golden.is_file():
        pytest.fail(f"{golden.relative_to(ROOT)} is missing; {ADVICE}", pytrace=False)
    kept = golden.read_text(encoding="utf-8")
    if found != kept:
        diff = list(
            difflib.unified_diff(kept.split("\n"), found.split("\n"), "golden", "generated now", lineterm="", n=1)
        )
        pytest.fail("\n".join([f"{spec.name} compiles to another file; {ADVICE}", *diff[:40]]), pytrace=False)


def test_nothing_is_left_over() -> None:
    assert {p.stem for p in GOLDEN.glob("*.py")} == {p.stem for p in SPECS}


@pytest.mark.parametrize("spec", SPECS, ids=lambda p: p.stem)
def test_runs(spec: Path) -> None:
    path = GOLDEN / f"{spec.stem}.py"
    if not path.is_file():
        pytest.skip(f"{path.name} is missing")
    module = imported(path)
    layer = getattr(module, module.__all__[0])(**SMALL[spec.stem].args)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        u = torch.randn(2, 5, SMALL[spec.stem].args["d_model"], requires_grad=True)
        y, state = layer(u, return_state=True)
        y.square().sum().backward()
        assert u.grad is not None and u.grad.abs().sum() > 0
        for name, p in layer.named_parameters():
            assert p.grad is not None and torch.isfinite(p.grad).all(), name
        with torch.no_grad():
            again, _ = layer.step(u[:, 0], state)
        assert again.shape == y[:, 0].shape


def imported(path: Path) -> ModuleType:
    name = f"golden_{path.stem}"
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module
