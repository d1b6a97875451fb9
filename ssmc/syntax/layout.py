"""Where statements end: turns line breaks and indentation into tokens, so that the grammar need not know about lines.

A line that is indented deeper than the line its statement began on continues it, and so does a line inside brackets;
any other line break ends the statement (`_NL`). Only the blocks of `if`, `elif` and `else` open a level (`_INDENT`,
`_DEDENT`); the statements under `layer` stand at whatever column the first of them has.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from lark import Token

from ssmc.diagnostics.span import Span

NEWLINE, INDENT, DEDENT = "_NL", "_INDENT", "_DEDENT"
MAX_BRACKETS = 100

_OPEN = frozenset({"LPAR", "LSQB"})
_CLOSE = frozenset({"RPAR", "RSQB"})
_BLOCKS = frozenset({"IF", "ELIF", "ELSE"})


class LayoutError(Exception):
    """Lines that cannot be made into statements. `kind` is `empty_block`, `unaligned`, `glued` or `too_deep`."""

    def __init__(self, kind: str, span: Span) -> None:
        super().__init__(kind)
        self.kind = kind
        self.span = span


class Layout:
    """The step between Lark's lexer and its parser. It keeps nothing between two files."""

    always_accept = (NEWLINE,)

    def process(self, stream: Iterable[Any]) -> Iterator[Any]:
        """Pass the tokens of a file on, with its line structure made explicit."""
        first: Any = None  # of the statement being read
        last: Any = None
        levels: list[int] = []  # columns of the open blocks; the outermost is known once a statement began
        brackets = 0
        unaligned = False
        body = False  # whether the line `layer ...` has been read
        for token in stream:
            if token.type == NEWLINE:
                if first is None or brackets:
                    continue
                column = len(token.value.rpartition("\n")[2])
                if first.type in _BLOCKS and last.type == "COLON":
                    if column <= levels[-1]:
                        raise LayoutError("empty_block", Span(first.start_pos, last.end_pos))
                    yield token
                    yield Token.new_borrow_pos(INDENT, "", token)
                    levels.append(column)
                elif not body:
                    yield token
                    levels = []
                    body = first.type != "EDITION"
                elif column > levels[-1] and first.type != "SKIPPED":
                    continue
                else:
                    yield token
                    while levels[1:] and column < levels[-1]:
                        levels.pop()
                        yield Token.new_borrow_pos(DEDENT, "", token)
                    unaligned = column != levels[-1]
                first = None
                continue
            if first is None:
                first = token
                levels = levels or [token.column - 1]
                if unaligned:
                    raise LayoutError("unaligned", Span(token.start_pos, token.end_pos))
            elif last.end_pos == token.start_pos and _is_word(last.value[-1]) and _is_word(token.value[0]):
                raise LayoutError("glued", Span(last.start_pos, token.end_pos))
            brackets += (token.type in _OPEN) - (token.type in _CLOSE)
            if brackets > MAX_BRACKETS:
                raise LayoutError("too_deep", Span(token.start_pos, token.end_pos))
            yield token
            last = token
        if last is None:
            return
        if first is not None:
            yield Token(NEWLINE, "", last.end_pos, last.end_line, last.end_column, end_pos=last.end_pos)
        for _ in levels[1:]:
            yield Token.new_borrow_pos(DEDENT, "", last)


def _is_word(char: str) -> bool:
    return char.isalnum() or char == "_"
