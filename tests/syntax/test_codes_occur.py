"""Every syntax code has a broken spec in a catalogue or in the tests of limits."""

from __future__ import annotations

from pathlib import Path

from ssmc.diagnostics.codes import CODES


def test_every_syntax_code_is_shown() -> None:
    text = "".join(p.read_text() for p in Path(__file__).parent.glob("test_*.py"))
    assert [c for c in CODES if c.startswith("SSM01") and c not in text] == []
