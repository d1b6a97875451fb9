"""`ssmc fmt`: the canonical text of a spec with its comments and its blank lines.

A comment behind a statement stays behind it; one with a line of its own, or in the middle of a statement, stands above.
Of several blank lines one remains, and none at the beginning of a block.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from ssmc.diagnostics.span import Source, Span
from ssmc.syntax import ast
from ssmc.syntax.scan import scan
from ssmc.syntax.unparse import INDENT, branches, header, line, wrap

_TRIVIA = re.compile(r"(?:\s|#[^\n]*)*")


def format_text(source: Source, spec: ast.Spec) -> str:
    """The text of a file in canonical form. Formatting it again changes nothing."""
    page = _Page(source, list(spec.comments))
    code = [p for p in scan(source.text) if p.kind not in ("comment", "newline")]
    if spec.edition is not None:
        page.put([f"edition {spec.edition}"], Span(code[0].start, code[1].end), "")
        page.blank()
    page.put(wrap(header(spec), ""), spec.span, "")
    page.fresh = True
    for statement in spec.body:
        _put(page, statement, INDENT)
    for comment in page.comments:
        column = source.position(comment.span.start)[1]
        page.own(comment, INDENT if column > 1 else "")
    return "\n".join(page.lines) + "\n"


def _put(page: _Page, statement: ast.Statement, indent: str) -> None:
    """A statement with the comments above and behind it."""
    if not isinstance(statement, ast.If):
        page.put(wrap(line(statement), indent), statement.span, indent)
        return
    column = page.source.position(statement.span.start)[1]
    start = statement.span.start
    for head, block in branches(statement):
        end = page.source.text.rindex(":", start, _code_end(page.source.text, start, block[0].span.start))
        page.put(wrap(head, indent), Span(start, end + 1), indent)
        page.fresh = True
        for inner in block:
            _put(page, inner, indent + INDENT)
        page.inside(block[-1].span.end, column, indent + INDENT)
        start = _next_word(page.source.text, block[-1].span.end)


def _code_end(text: str, start: int, end: int) -> int:
    """The end of the last piece of code between two offsets."""
    return start + max((p.end for p in scan(text[start:end]) if p.kind not in ("comment", "newline")), default=0)


def _next_word(text: str, start: int) -> int:
    """The offset of the first piece of code behind an offset: `elif` or `else`, if the `if` has one more branch."""
    trivia = _TRIVIA.match(text, start)
    return trivia.end() if trivia else start


@dataclass(slots=True)
class _Page:
    """The text so far, and the comments that have not been written yet."""

    source: Source
    comments: list[ast.Comment]
    lines: list[str] = field(default_factory=list)
    fresh: bool = True  # whether a block begins, where no blank line may stand

    def put(self, text: list[str], span: Span, indent: str) -> None:
        """A statement's lines: above it the comments before its end, behind it the one on its last line."""
        last = self.source.line_of(Span(span.end, span.end))
        while self.comments and self.comments[0].span.start < span.start:
            self.own(self.comments.pop(0), indent)
        self.space(span.start)
        while self.comments and self.comments[0].span.start < span.end:
            self.lines.append(indent + self.comments.pop(0).text)
        behind = ""
        if self.comments and self.source.line_of(self.comments[0].span) == last:
            behind = "  " + self.comments.pop(0).text
        self.lines += [*text[:-1], text[-1] + behind]

    def inside(self, start: int, column: int, indent: str) -> None:
        """The comments behind a block's last statement that are indented deeper than its first line's column."""
        following = _next_word(self.source.text, start)
        while self.comments and self.comments[0].span.start < following:
            if self.source.position(self.comments[0].span.start)[1] <= column:
                return
            self.own(self.comments.pop(0), indent)

    def own(self, comment: ast.Comment, indent: str) -> None:
        """A comment on a line of its own."""
        self.space(comment.span.start)
        self.lines.append(indent + comment.text)

    def space(self, offset: int) -> None:
        """A blank line, if the source has one above the line of `offset`."""
        number = self.source.position(offset)[0]
        if number > 1 and not self.source.line(number - 1).strip():
            self.blank()
        self.fresh = False

    def blank(self) -> None:
        """A blank line, but never two, nor one at the beginning of a block."""
        if not self.fresh and self.lines and self.lines[-1]:
            self.lines.append("")
