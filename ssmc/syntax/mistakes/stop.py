"""What a rule that names a mistake may look at: the statement in which the parser stopped, and where."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from ssmc.diagnostics.span import Span
from ssmc.syntax.finding import Finding
from ssmc.syntax.scan import BRACKETS, RESERVED, Line, Piece

END = Piece("end", "", -1, -1)
CLOSING = frozenset(BRACKETS.values())
OPERATORS = frozenset({"+", "-", "*", "/", "//", "%", "**", "<", "<=", ">", ">=", "==", "!=", "=", ",", "->"})
OPERATORS |= {"and", "or", "not", "if", "else"}


@dataclass(frozen=True, slots=True)
class Stop:
    """The parser read `lines[number].pieces[:at]` and cannot go on. `expected` holds what it would have taken: literal
    texts, and the names of the grammar's other terminals."""

    text: str
    lines: tuple[Line, ...]
    number: int
    at: int
    expected: frozenset[str]

    @property
    def line(self) -> Line:
        """The statement."""
        return self.lines[self.number]

    @property
    def found(self) -> Piece:
        """The piece that does not fit, or END."""
        return self.piece(self.at)

    @property
    def before(self) -> Piece:
        """The piece before it, or END."""
        return self.piece(self.at - 1)

    @property
    def after(self) -> Piece:
        """The piece behind it, or END."""
        return self.piece(self.at + 1)

    @property
    def texts(self) -> tuple[str, ...]:
        """The texts of the statement's pieces."""
        return tuple(p.text for p in self.line.pieces)

    @property
    def place(self) -> Span:
        """Where the parser stopped: the piece found, or the place behind the last."""
        return self.found.span if self.found is not END else Span(self.line.span.end, self.line.span.end)

    @property
    def has_layer(self) -> bool:
        """Whether the line `layer ...` stands above, or in a file without it the line in its place."""
        heads = [line.head for line in self.lines]
        if "layer" in heads:
            return heads.index("layer") < self.number
        return any(head != "edition" for head in heads[: self.number])

    @property
    def above(self) -> Line | None:
        """The statement before, if there is one."""
        return self.lines[self.number - 1] if self.number else None

    def piece(self, index: int) -> Piece:
        """A piece of the statement, or END."""
        return self.line.pieces[index] if 0 <= index < len(self.line.pieces) else END

    def opener(self) -> int | None:
        """The index of the innermost bracket that is open where the parser stopped."""
        stack = open_brackets(self.line.pieces[: self.at])
        return stack[-1] if stack else None

    def closer(self, opener: int) -> Piece:
        """The piece that closes a bracket, or END."""
        depth = 0
        for piece in self.line.pieces[opener:]:
            depth += (piece.text in BRACKETS) - (piece.text in CLOSING)
            if depth == 0:
                return piece
        return END


Rule = Callable[[Stop], Finding | None]


def open_brackets(pieces: tuple[Piece, ...]) -> list[int]:
    """The indices of the brackets that are open behind these pieces, outermost first."""
    stack: list[int] = []
    for index, piece in enumerate(pieces):
        if piece.kind == "sign" and piece.text in BRACKETS:
            stack.append(index)
        elif piece.kind == "sign" and piece.text in CLOSING and stack:
            stack.pop()
    return stack


def is_name(piece: Piece) -> bool:
    """Whether a piece may be a name."""
    return piece.kind == "word" and piece.text not in RESERVED


def ends_value(piece: Piece) -> bool:
    """Whether a value may end with a piece."""
    return is_name(piece) or piece.kind == "number" or piece.text in (")", "]", "true", "false")


def begins_value(piece: Piece) -> bool:
    """Whether a value may begin with a piece, signs aside."""
    return is_name(piece) or piece.kind == "number" or piece.text in ("(", "true", "false")
