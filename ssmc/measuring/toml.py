"""TOML files: the standard library reads them from Python 3.11 on, `tomli` before."""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import Any


def read_toml(path: Path) -> dict[str, Any]:
    """The tables of a file; raises ValueError if it is none."""
    try:
        module = importlib.import_module("tomllib")
    except ImportError:
        module = importlib.import_module("tomli")
    try:
        found: dict[str, Any] = module.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ValueError(error.strerror or str(error)) from None
    return found
