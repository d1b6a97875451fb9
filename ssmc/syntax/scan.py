"""A forgiving reading of a spec's text: pieces and lines that exist whether or not the text makes sense.

The parser needs the grammar's tokens; comments, the recognition of mistakes and reading on after one need less and must
never fail. Both see the same text, so positions agree.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from ssmc.diagnostics.span import Span
from ssmc.syntax import ast

STATEMENTS = ("axis", "input", "param", "linear", "conv", "state", "def", "if", "elif", "else", "return")
RESERVED = frozenset({"layer", *STATEMENTS, "by", "in", "as", "and", "or", "not", "true", "false"})
BRACKETS = {"(": ")", "[": "]", "{": "}"}
_CLOSING = frozenset(BRACKETS.values())
_HEADERS = frozenset({"layer", "edition", "if", "elif", "else"})

_PIECES = re.compile(
    r"""(?P<newline>\r?\n)
      | (?P<comment>\#[^\n]*)
      | (?P<string>"[^"\n]*")
      | (?P<quoted>(?<![\w\)\]'])'[^'\n]*')
      | (?P<open>"[^"\n]*)
      | (?P<number>\.?[0-9](?:[eE][+-]?[0-9]|[0-9A-Za-z_.])*)
      | (?P<word>[^\W\d]\w*)
      | (?P<sign>:=|->|\*\*|//|[=!<>+*/-]=|&&|\|\||[^ \t\n])
      | (?P<blank>[ \t]+)""",
    re.VERBOSE,
)


@dataclass(frozen=True, slots=True)
class Piece:
    """A word, number, string (`string`, `quoted` by ', `open` at its end), sign, comment or newline."""

    kind: str
    text: str
    start: int
    end: int

    @property
    def span(self) -> Span:
        """Where it stands."""
        return Span(self.start, self.end)


@dataclass(frozen=True, slots=True)
class Line:
    """What looks like one statement: its pieces without comments, and the column it begins at (from 0)."""

    indent: int
    pieces: tuple[Piece, ...]

    @property
    def span(self) -> Span:
        """From the first piece to the last."""
        return Span(self.pieces[0].start, self.pieces[-1].end)

    @property
    def head(self) -> str:
        """The text of the first piece."""
        return self.pieces[0].text

    @property
    def opens_block(self) -> bool:
        """Whether it is the first line of an `if`, `elif` or `else`."""
        return self.head in ("if", "elif", "else")


def scan(text: str) -> tuple[Piece, ...]:
    """All pieces of a text except blanks."""
    found = ((m.lastgroup or "", m) for m in _PIECES.finditer(text))
    return tuple(Piece(kind, m.group(), m.start(), m.end()) for kind, m in found if kind != "blank")


def comments(pieces: tuple[Piece, ...]) -> tuple[ast.Comment, ...]:
    """Every comment, and whether it has its line to itself."""
    kinds = ["newline", *(p.kind for p in pieces)]
    return tuple(
        ast.Comment(Span(p.start, p.start + len(p.text.rstrip())), p.text.rstrip(), before == "newline")
        for before, p in zip(kinds, pieces, strict=False)
        if p.kind == "comment"
    )


def opening_text(pieces: tuple[Piece, ...]) -> str:
    """The comment block a file opens with, without the `#`s: what the layer is."""
    lines: list[str] = []
    for piece, after in zip(pieces, (*pieces[1:], None), strict=True):
        if piece.kind == "comment":
            lines.append(piece.text[1:].removeprefix(" ").rstrip())
        elif piece.kind != "newline" or (lines and (after is None or after.kind == "newline")):
            break
    return "\n".join(lines).strip("\n")


def lines(pieces: tuple[Piece, ...]) -> list[Line]:
    """Split by indentation, and by brackets where they are not obviously left open."""
    result: list[Line] = []
    current: list[Piece] = []
    indent = depth = 0
    for row, column in _rows(pieces):
        if depth <= 0:
            header = current and (all(line.head == "edition" for line in result) or current[0].text in _HEADERS)
            ends = header or _is_statement(row, column <= indent) or (column <= indent and row[0].text not in _CLOSING)
        else:
            ends = _is_statement(row, column <= indent) or (column <= indent and _is_equation(row))
        if current and ends:
            result.append(Line(indent, tuple(current)))
            current = []
        if not current:
            indent, depth = column, 0
        current += row
        depth += sum((p.text in BRACKETS) - (p.text in _CLOSING) for p in row if p.kind == "sign")
    if current:
        result.append(Line(indent, tuple(current)))
    return result


def indented_rows(pieces: tuple[Piece, ...]) -> Iterator[tuple[Piece, int]]:
    """The first piece of each physical line that holds one, comments aside, and the offset the line begins at."""
    start, fresh = 0, True
    for piece in pieces:
        if piece.kind == "newline":
            start, fresh = piece.end, True
        elif fresh and piece.kind != "comment":
            yield piece, start
            fresh = False


def _rows(pieces: tuple[Piece, ...]) -> Iterator[tuple[list[Piece], int]]:
    """The pieces of each physical line that holds one, comments aside, and the column of the first."""
    columns = {first: first.start - start for first, start in indented_rows(pieces)}
    row: list[Piece] = []
    for piece in (*pieces, Piece("newline", "", 0, 0)):
        if piece.kind == "newline" and row:
            yield row, columns[row[0]]
            row = []
        elif piece.kind not in ("comment", "newline"):
            row.append(piece)


def _is_statement(row: list[Piece], aligned: bool) -> bool:
    """Whether a physical line can only be a statement of its own, even if a bracket above was left open."""
    if row[0].text in ("if", "elif", "else"):
        return aligned or row[-1].text == ":"
    return row[0].text in STATEMENTS and len(row) > 1 and row[1].kind == "word"


def _is_equation(row: list[Piece]) -> bool:
    """`name = ` or `name[axes] = ` at the beginning of a line."""
    texts = [p.text for p in row]
    after = texts.index("]") + 1 if texts[1:2] == ["["] and "]" in texts else 1
    return row[0].kind == "word" and texts[after : after + 1] == ["="]
