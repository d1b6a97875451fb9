"""What a compilation is asked for. One frozen value, no environment, no globals."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Options:
    """`settings` fixes layer arguments (`--set`); `mode` forces one; `backend` is `triton` (with eager beside it) or
    `eager` alone."""

    settings: Mapping[str, int | float | bool | str] = field(default_factory=dict)
    mode: str = "auto"
    backend: str = "triton"
