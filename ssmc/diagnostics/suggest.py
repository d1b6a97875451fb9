"""The nearest known word to a misspelled one."""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches


def did_you_mean(name: str, candidates: Iterable[str]) -> str | None:
    """The best candidate, if one is close."""
    near = get_close_matches(name, sorted(set(candidates)), n=1, cutoff=0.6)
    return near[0] if near else None
