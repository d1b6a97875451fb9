"""Same input, same bytes: in two processes, under two hash seeds, and whatever was compiled before."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from ssmc.diagnostics.span import Source
from ssmc.driver import compile_text

ROOT = Path(__file__).parents[1]
SPECS = sorted((ROOT / "specs").glob("*.ssm"))
SCRIPT = """
import hashlib, json, sys
from pathlib import Path
from ssmc.diagnostics.span import Source
from ssmc.driver import compile_text
paths = [Path(p) for p in sys.argv[1:]]
texts = {p.name: compile_text(Source(p.name, p.read_text())) for p in paths}
print(json.dumps({name: hashlib.sha256(text.encode()).hexdigest() for name, text in texts.items()}))
"""


def digests(seed: str, paths: list[Path]) -> dict[str, str]:
    env = {**os.environ, "PYTHONHASHSEED": seed, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, *map(str, paths)], capture_output=True, text=True, check=True, env=env
    )
    return dict(json.loads(done.stdout))


@pytest.fixture(scope="module")
def first() -> dict[str, str]:
    return digests("1", SPECS)


def test_two_hash_seeds_and_two_orders(first: dict[str, str]) -> None:
    assert digests("4242", SPECS[::-1]) == first


def test_this_process_and_another(first: dict[str, str]) -> None:
    for path in SPECS:
        text = compile_text(Source(path.name, path.read_text(encoding="utf-8")))
        assert hashlib.sha256(text.encode()).hexdigest() == first[path.name], path.name


def test_the_folder_of_a_spec_is_not_in_the_output() -> None:
    text = SPECS[0].read_text(encoding="utf-8")
    assert compile_text(Source(f"/somewhere/else/{SPECS[0].name}", text)) == compile_text(Source(SPECS[0].name, text))
