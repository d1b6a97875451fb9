"""Text to syntax tree, or to a list of what is wrong with the text.

The grammar is asked for the whole file. Where it stops, the mistake is named and reported, the statement is blanked out
for the parser's eyes, and the file is read again: one run reports the mistakes of all statements, and a tree is built
only from a text without any.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from typing import Any

from lark import Lark
from lark.exceptions import UnexpectedInput

from ssmc.diagnostics.sink import Sink
from ssmc.diagnostics.span import Source, Span
from ssmc.resources import grammar_text
from ssmc.syntax import ast
from ssmc.syntax.build import build
from ssmc.syntax.file_checks import check_depth, check_returns, check_text
from ssmc.syntax.finding import Finding
from ssmc.syntax.layout import Layout, LayoutError
from ssmc.syntax.mistakes import explain, layout_mistake, line_mistake
from ssmc.syntax.mistakes.stop import Stop
from ssmc.syntax.scan import Line, comments, lines, opening_text, scan
from ssmc.syntax.spelling import respell

MAX_ERRORS = 20
_MAX_READ = 1 << 20  # characters read again and again after errors, in all
_SKIPPED = "\0"  # the grammar's token for a statement that was reported already


def parse(source: Source, sink: Sink) -> ast.Spec | None:
    """The tree of a spec, or None after reporting what is wrong with it."""
    text = source.text
    pieces = scan(text)
    fatal = check_text(text, pieces)
    if fatal is not None:
        fatal.report(sink)
        return None
    text, findings = respell(text, pieces)
    tree, more = _read(text, source.text, tuple(lines(pieces)), findings)
    if tree is not None and not more:
        more = list(check_depth(tree))
    spec = None
    if tree is not None and not more:
        spec = build(tree, comments(pieces), opening_text(pieces))
        more = list(check_returns(spec))
    for finding in (findings + more)[:MAX_ERRORS]:
        finding.report(sink)
    return None if findings or more else spec


@cache
def _parser() -> Any:
    """Lark's parser. It is made on first use, in about 70 ms, and holds no state between two files."""
    return Lark(
        grammar_text(),
        start="spec",
        parser="lalr",
        lexer="contextual",
        postlex=Layout(),
        propagate_positions=True,
        maybe_placeholders=True,
    )


def _read(text: str, original: str, rows: tuple[Line, ...], known: list[Finding]) -> tuple[Any, list[Finding]]:
    """A parse tree if the text has one, and the mistakes found on the way to a text that has."""
    findings: list[Finding] = []
    blanked: set[int] = set()
    budget = _MAX_READ
    while len(findings) + len(known) < MAX_ERRORS and budget > 0:
        budget -= len(text)
        try:
            tree = _parser().parse(text)
        except UnexpectedInput as error:
            offset = error.pos_in_stream if isinstance(error.pos_in_stream, int) else len(text)
            at, expected = _locate(rows, offset), _expected(error)
            finding, number = _name(original, rows, blanked, at, expected)
        except LayoutError as error:
            number, _ = _locate(rows, error.span.start)
            finding = layout_mistake(original, rows, number, error)
        else:
            return (None if blanked else tree), findings
        if number in blanked:
            return None, findings  # what stands behind a blanked statement depends on it
        if not any(_inside(k.span, rows[number].span) for k in known):
            findings.append(finding)
        above = rows[number].head == "edition" or any(r.head == "layer" for r in rows[number + 1 :])
        for other in _block(rows, number):
            blanked.add(other)
            text = _blank(text, rows[other].span, keep=other == number and not above)
    return None, findings


def _name(
    text: str, rows: tuple[Line, ...], blanked: set[int], at: tuple[int, int], expected: frozenset[str]
) -> tuple[Finding, int]:
    """The mistake, and the number of the statement to blame: a bracket left open above shows only further down."""
    number, index = at
    for earlier in range(number + 1):
        if earlier not in blanked and (found := line_mistake(Stop(text, rows, earlier, index, expected))):
            return found, earlier
    return explain(Stop(text, rows, number, index, expected)), number


def _locate(rows: tuple[Line, ...], offset: int) -> tuple[int, int]:
    """The statement an offset belongs to, and the index of the piece that ends behind it."""
    number = max((i for i, row in enumerate(rows) if row.span.start <= offset), default=0)
    pieces = rows[number].pieces
    return number, next((i for i, p in enumerate(pieces) if p.end > offset), len(pieces))


def _expected(error: Any) -> frozenset[str]:
    """What the parser would have taken: literal texts as they are, other terminals by name."""
    names = error.interactive_parser.accepts() if error.interactive_parser else ()
    texts = {t.name: t.pattern.value for t in _parser().terminals if t.pattern.type == "str"}
    return frozenset(texts.get(n, n) for n in names)


def _block(rows: tuple[Line, ...], number: int) -> Iterator[int]:
    """A statement and what is indented under it; with the first line of an `if` also its `elif` and `else`."""
    yield number
    first, below = rows[number], rows[number + 1 :]
    if all(row.head == "edition" for row in rows[:number]):
        return
    for other, row in enumerate(below, number + 1):
        follows = first.opens_block and row.indent == first.indent and row.head in ("elif", "else")
        if row.indent <= first.indent and not follows:
            return
        yield other


def _blank(text: str, span: Span, keep: bool) -> str:
    """The text with blanks in place of a statement; `keep` leaves the mark of a statement that was reported."""
    kept = "".join(c if c in "\r\n" else " " for c in text[span.start : span.end])
    return text[: span.start] + (_SKIPPED + kept[1:] if keep else kept) + text[span.end :]


def _inside(inner: Span, outer: Span) -> bool:
    return outer.start <= inner.start <= outer.end
