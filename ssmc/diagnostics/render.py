"""Diagnostics as text for people and as data for tools. Nothing else in the compiler prints a finding.

error[SSM0203]: terms of the state update have different shapes
  --> specs/mamba.ssm:9:18
   |
 5 |     state  h[E, N]
   |            ------- the state has shape [E, N]
 ...
 9 |     h' = A * h + B * u
   |                  ^^^^^ this term has shape [N, M]
   |
   = help: multiply by `x[E]`, the output of `in_proj`
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from ssmc.diagnostics.sink import Diagnostic, Label
from ssmc.diagnostics.span import Source

_TAB = 4
_WIDEST = 160  # a longer line is shown in part

_STYLES = {"error": "\x1b[1;31m", "warning": "\x1b[1;33m", "note": "\x1b[1;36m", "help": "\x1b[1;32m"}
_STYLES |= {"bold": "\x1b[1m", "frame": "\x1b[1;34m"}
_RESET = "\x1b[0m"


def render(diagnostics: Iterable[Diagnostic], source: Source, *, color: bool = False) -> str:
    """All findings, a blank line between two, no line break at the end."""
    return "\n\n".join("\n".join(_Page(d, source, color).lines()) for d in diagnostics)


def as_json(diagnostics: Iterable[Diagnostic], source: Source) -> list[dict[str, Any]]:
    """One dictionary a finding; lines and columns count from 1, the end is exclusive."""
    return [
        {
            "code": d.code,
            "severity": d.severity.value,
            "message": d.message,
            "file": source.name,
            **_place(d.primary, source),
            "secondary": [_place(s, source) for s in d.secondary],
            "notes": list(d.notes),
            "help": d.help,
            "edit": None if d.edit is None else _place(Label(d.edit.span, ""), source) | {"text": d.edit.text},
        }
        for d in diagnostics
    ]


def _place(label: Label, source: Source) -> dict[str, Any]:
    line, column = source.position(label.span.start)
    end_line, end_column = source.position(label.span.end)
    place = {"line": line, "column": column, "end_line": end_line, "end_column": end_column}
    return place | {"label": label.text} if label.text else place


@dataclass(frozen=True, slots=True)
class _Mark:
    """What is underlined on one line: columns of the line's text, from 0."""

    line: int
    start: int
    end: int
    sign: str
    text: str


@dataclass(frozen=True, slots=True)
class _Page:
    """The rendering of one finding."""

    diagnostic: Diagnostic
    source: Source
    color: bool

    def lines(self) -> Iterator[str]:
        """The rendering, line by line."""
        d = self.diagnostic
        severity = d.severity.value
        marks = [m for s in d.secondary for m in _marks(s, "-", self.source)] + _marks(d.primary, "^", self.source)
        marks.sort(key=lambda m: (m.line, m.start, m.sign == "^"))
        width = len(str(marks[-1].line))
        line, column = self.source.position(d.primary.span.start)
        empty = " " * (width + 2)

        yield self.paint(severity, f"{severity}[{d.code}]") + self.paint("bold", f": {_plain(d.message)}")
        yield f"{' ' * (width + 1)}{self.paint('frame', '-->')} {_plain(self.source.name)}:{line}:{column}"
        yield empty + self.paint("frame", "|")
        shown = 0
        for number in sorted({m.line for m in marks}):
            if shown and number > shown + 1:
                yield self.paint("frame", " ...")
            shown = number
            text, rows = _excerpt(self.source.line(number), [m for m in marks if m.line == number])
            yield f"{self.paint('frame', f' {number:>{width}} |')} {text}".rstrip()
            for pad, signs, label in rows:
                style = severity if signs[0] == "^" else "frame"
                yield f"{empty}{self.paint('frame', '|')} {pad}{self.paint(style, f'{signs} {label}'.rstrip())}"
        if d.notes or d.help:
            yield empty + self.paint("frame", "|")
        for kind, text in [*(("note", n) for n in d.notes), *([("help", d.help)] if d.help else [])]:
            head, *more = _plain(text).split("\n")
            yield f"{empty}{self.paint('frame', '=')} {self.paint(kind, kind)}: {head}"
            yield from (f"{empty}        {m}".rstrip() for m in more)

    def paint(self, style: str, text: str) -> str:
        """`text` in a style, if there is color."""
        return f"{_STYLES[style]}{text}{_RESET}" if self.color else text


def _marks(label: Label, sign: str, source: Source) -> list[_Mark]:
    """What a label underlines. A span over several lines shows its first and its last line; the text is at the last."""
    first, start = source.position(label.span.start)
    last, end = source.position(max(label.span.end, label.span.start))
    if last > first and end == 1:  # the span ends with a line break
        last, end = last - 1, len(source.line(last - 1)) + 1
    if first == last:
        return [_Mark(first, start - 1, end - 1, sign, label.text)]
    tail = source.line(last)
    return [
        _Mark(first, start - 1, len(source.line(first).rstrip()), sign, ""),
        _Mark(last, len(tail) - len(tail.lstrip()), end - 1, sign, label.text),
    ]


def _excerpt(line: str, marks: list[_Mark]) -> tuple[str, list[tuple[str, str, str]]]:
    """A line as it is shown, and for each mark the blanks before its signs, the signs and the label."""
    cut = 0
    if len(line) > _WIDEST:
        cut = max(0, min(m.start for m in marks) - _WIDEST // 2)
        line = line[: cut + _WIDEST]
    before = "..." if cut else ""
    rows = []
    for mark in marks:
        pad = " " * (len(before) + _columns(line[cut : mark.start], 0))
        count = _columns(line[mark.start : mark.end], len(pad))
        rows.append((pad, mark.sign * max(1, count), _plain(mark.text)))
    return before + _shown(line[cut:]), rows


def _shown(text: str) -> str:
    """A line with tabs as blanks and nothing that moves a terminal's cursor."""
    out = ""
    for char in text.rstrip("\r"):
        out += " " * (_TAB - _columns(out, 0) % _TAB) if char == "\t" else _visible(char)
    return out


def _columns(text: str, start: int) -> int:
    """How many columns a text takes that begins in column `start`."""
    column = start
    for char in text:
        if char == "\t":
            column += _TAB - column % _TAB
        elif unicodedata.combining(char):
            continue
        else:
            column += 2 if unicodedata.east_asian_width(char) in "WF" else 1
    return column - start


def _visible(char: str) -> str:
    """Control characters, also those that turn the direction of writing, become a replacement character."""
    return "\ufffd" if unicodedata.category(char) in ("Cc", "Cf", "Cs", "Zl", "Zp") else char


def _plain(text: str) -> str:
    """A message without control characters; its line breaks stay."""
    return "\n".join("".join(map(_visible, part)) for part in text.split("\n"))
