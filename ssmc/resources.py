"""Finds the data files of the compiler, so that no other module knows where they lie.

In a source checkout `grammar/`, `templates/` and `bench/` stand at the top, beside the package; in a wheel they are
inside it.
"""

from __future__ import annotations

from pathlib import Path

_PACKAGE = Path(__file__).resolve().parent


def _folder(name: str) -> Path:
    """The folder `name` inside the package (wheel) or beside it (checkout)."""
    inside = _PACKAGE / name
    return inside if inside.is_dir() else _PACKAGE.parent / name


def grammar_text() -> str:
    """The text of `grammar/ssm.lark`."""
    return (_folder("grammar") / "ssm.lark").read_text(encoding="utf-8")


def template_dir() -> Path:
    """The folder that holds one folder of templates a backend."""
    return _folder("templates")


def peer_dir() -> Path:
    """The folder that describes what generated code is compared with, a file a peer."""
    return _folder("bench") / "peers"
