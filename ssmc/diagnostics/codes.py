"""The one table of diagnostic codes: 01xx syntax, 02xx names and shapes, 03xx analysis, 04xx modes and backends, 05xx driver."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Code:
    """What a code stands for; `title` is one line for the index."""

    severity: str
    title: str


CODES: dict[str, Code] = {
    # 01xx syntax
    "SSM0101": Code("error", "the line cannot be read"),
}
