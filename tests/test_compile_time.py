"""No shipped spec takes longer to compile than the design allows, in processor time of this process."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from ssmc.diagnostics.span import Source
from ssmc.driver import run

SPECS = sorted((Path(__file__).parents[1] / "specs").glob("*.ssm"))


@pytest.mark.parametrize("spec", SPECS, ids=lambda p: p.stem)
def test_compile_time(spec: Path) -> None:
    source, times = Source(spec.name, spec.read_text(encoding="utf-8")), []
    for _ in range(2):
        start = time.process_time()
        done = run(source, verify=False)
        times.append(time.process_time() - start)
    assert done.text is not None
    assert min(times) < 3, f"{spec.name}: {min(times):.1f} s"
