"""Every kernel compiles for sm_90 at a real size, and none spills."""

from __future__ import annotations

import warnings
from pathlib import Path

import pytest
import torch

import ssmc
from tests.backends.compiled import compile_launch, launches_of
from tests.backends.little_specs import SPECS

ROOT = Path(__file__).parents[2]
SIZES: dict[str, dict[str, int]] = {
    "leaky": {"d_model": 2048},
    "two_inner": {"E": 64, "n": 4, "m": 16},
    "heads": {"E": 2048, "H": 32, "P": 64, "N": 16},
    "coupled": {"E": 2048},
    "complex_state": {"d_model": 1024, "N": 16},
    "reverse": {"E": 2048},
    "init": {"E": 2048},
    "two_results": {"E": 1024, "N": 64},
    "mamba": {"E": 5120, "N": 16},
}
SCALARS = {"heads": (64,)}


@pytest.mark.parametrize("name", sorted(SIZES))
def test_no_spills(name: str) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        module = ssmc.load(ROOT / "specs/mamba.ssm" if name == "mamba" else "edition 1\n\n" + SPECS[name])
    (op,) = module.OPS
    seen = set()
    for kernel, launch in launches_of(module, op, SIZES[name], 2, 2048, torch.bfloat16, SCALARS.get(name, ())):
        if launch.name.startswith("_"):
            continue
        seen.add(launch.name)
        need = compile_launch(kernel, launch)
        assert need["stack"] == 0 and need["LDL"] == need["STL"] == 0, (launch, need)
        assert need["shared"] <= 101_376
    assert len(seen) >= 3
