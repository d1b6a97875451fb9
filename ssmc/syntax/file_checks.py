"""What the grammar does not say about a file: its limits before it is read, and its one `return` after.

A spec may come from a stranger, so nothing below depends on Python's recursion limit or takes more than linear time.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from lark import Tree

from ssmc.diagnostics.sink import Edit, Label
from ssmc.diagnostics.span import Span
from ssmc.syntax import ast
from ssmc.syntax.finding import Finding
from ssmc.syntax.scan import Piece, indented_rows

MAX_CHARACTERS = 256 * 1024
MAX_DEPTH = 100
MAX_STATEMENTS = 2000
EDITIONS = ("1",)

_CONTROL = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f\ufeff\u200e\u200f\u202a-\u202e\u2066-\u2069]|\r(?!\n)")
_TOO_DEEP = "give parts of the expression names of their own, in equations above"


def check_text(text: str, pieces: tuple[Piece, ...]) -> Finding | None:
    """The first reason not to read a text at all."""
    if len(text) > MAX_CHARACTERS:
        where, size = Span(MAX_CHARACTERS, MAX_CHARACTERS), f"{len(text):,} characters"
        return Finding("SSM0103", f"the file is too large: {size}", where, f"the limit of {MAX_CHARACTERS:,} is here")
    if control := _CONTROL.search(text):
        message = f"the control character U+{ord(control.group()):04X} stands in the text"
        note = "a spec is UTF-8 without a byte order mark, and its lines end with a line feed"
        span = Span(*control.span())
        right, help_ = ("\n", "write a line feed") if control.group() == "\r" else ("", "remove it")
        return Finding("SSM0104", message, span, "", (), (note,), help_, Edit(span, right))
    code = [p for p in pieces if p.kind not in ("comment", "newline")]
    if not code:
        help_ = "begin with `layer Name(d_model)`, then declare an input and write equations"
        return Finding("SSM0102", "the file has no statement", Span(len(text), len(text)), "", (), (), help_)
    if code[0].text == "edition" and len(code) > 1 and code[1].kind == "number" and code[1].text not in EDITIONS:
        note = f"this compiler knows edition {', '.join(EDITIONS)}"
        span = code[1].span
        return Finding("SSM0105", f"unknown edition {code[1].text}", span, "", (), (note,), "use `1`", Edit(span, "1"))
    return _check_tabs(text, pieces)


def _check_tabs(text: str, pieces: tuple[Piece, ...]) -> Finding | None:
    """A file is indented by spaces or by tabs."""
    rows = [(p, text[start : p.start]) for p, start in indented_rows(pieces) if p.start > start]
    if not rows:
        return None
    first, style = rows[0][0], rows[0][1][0]
    other = "\t" if style == " " else " "
    words = {" ": "spaces", "\t": "tabs"}
    for piece, blank in rows:
        if other in blank:
            unit = len(rows[0][1]) if style == " " else 1
            right = blank.replace("\t", " " * unit) if style == " " else "\t" * max(1, blank.count(" ") // 2)
            span = Span(piece.start - len(blank), piece.start)
            there = (Label(Span(first.start - len(rows[0][1]), first.start), f"indented by {words[style]}"),)
            message = "tabs and spaces are mixed in indentation"
            help_ = f"use {words[style]}, as above"
            return Finding("SSM0110", message, span, f"{words[other]} here", there, (), help_, Edit(span, right))
    return None


def check_depth(tree: Any) -> Iterator[Finding]:
    """A tree that is too deep or has too many statements for the phases that follow."""
    todo = [(tree, 0)]
    statements = 0
    while todo:
        node, depth = todo.pop()
        meta = node.meta
        statements += node.data in ("spec", "block") and len(node.children)
        if depth > MAX_DEPTH or statements > MAX_STATEMENTS:
            span = Span(meta.start_pos, min(meta.end_pos, meta.start_pos + 80))
            if statements > MAX_STATEMENTS:
                message = f"more than {MAX_STATEMENTS} statements"
                yield Finding("SSM0103", message, Span(meta.start_pos, meta.start_pos), "the layer")
            else:
                message = f"an expression is nested more than {MAX_DEPTH} deep"
                note = "each operator of a long sum or product counts as one level"
                yield Finding("SSM0103", message, span, "", (), (note,), _TOO_DEEP)
            return
        todo.extend((child, depth + 1) for child in node.children if isinstance(child, Tree))


def check_returns(spec: ast.Spec) -> Iterator[Finding]:
    """A layer has one `return`, and it stands last."""
    returns = [s for s in spec.body if isinstance(s, ast.Return)]
    for inner in (s for s in _inner(spec.body) if isinstance(s, ast.Return)):
        note = "what a layer returns does not depend on its arguments; a value may: `a if flag else b`"
        help_ = "return after the `if`, outside its block"
        yield Finding("SSM0108", "`return` stands inside `if`", inner.span, "", (), (note,), help_)
        returns = returns or [inner]
    if not returns:
        end = (*spec.body, spec)[-2 if spec.body else -1].span.end
        help_ = "end with `return` and the value the layer yields"
        yield Finding("SSM0108", "the layer returns nothing", Span(end, end), "`return` is missing", (), (), help_)
        return
    for second in returns[1:]:
        there = (Label(returns[0].span, "the first one"),)
        help_ = "keep one; several outputs are not supported"
        yield Finding("SSM0108", "a layer has one `return`", second.span, "a second one", there, (), help_)
    last = spec.body[-1] if spec.body else None
    if len(returns) == 1 and returns[0] in spec.body and returns[0] is not last:
        after = spec.body[spec.body.index(returns[0]) + 1]
        there = (Label(after.span, "this follows"),)
        yield Finding("SSM0108", "`return` is the last statement", returns[0].span, "", there, (), "move it to the end")


def _inner(body: tuple[ast.Statement, ...]) -> Iterator[ast.Statement]:
    """Every statement inside the blocks of an `if`."""
    for statement in body:
        if isinstance(statement, ast.If):
            for block in (statement.body, statement.orelse):
                yield from block
                yield from _inner(block)
