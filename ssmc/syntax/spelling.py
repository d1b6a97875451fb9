"""Mistakes that show in a few characters, wherever they stand: operators, names and numbers of other languages.

None of these can occur in a correct spec, so they are looked for before the grammar is asked. Each is replaced, for the
parser's eyes only, by something right of the same length: positions stay, and the rest of the statement is read too.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator
from dataclasses import replace

from ssmc.diagnostics.sink import Edit
from ssmc.diagnostics.span import Span
from ssmc.syntax.finding import Finding, instead
from ssmc.syntax.scan import Piece
from ssmc.syntax.words import Spelling, number, string, words

_FOREIGN = {
    ":=": ("=", "an equation is written with `=`"),
    "^": ("**", "a power is written `**`"),
    "&&": ("and", "conditions are joined by `and`"),
    "&": ("and", "conditions are joined by `and`"),
    "||": ("or", "conditions are joined by `or`"),
    "!": ("not", "a condition is negated by `not`"),
    "~": ("not", "a condition is negated by `not`"),
}
_LOOKALIKES = {
    **dict.fromkeys("−–—‐‑", "-"),
    **dict.fromkeys("×·∙⋅∗•", "*"),
    **dict.fromkeys("÷∕", "/"),
    **dict.fromkeys("→⟶", "->"),
    **dict.fromkeys("′’ʹ", "'"),
    **dict.fromkeys("“”", '"'),
    **dict(zip("≤≥≠＝，：（）", ("<=", ">=", "!=", "=", ",", ":", "(", ")"), strict=True)),
}
_CURLY = re.compile(r'“([^“”"\n]*)”')
_UPDATES = frozenset({"+=", "-=", "*=", "/="})
_MEANINGLESS = frozenset("$`?\\{}")


def respell(text: str, pieces: tuple[Piece, ...]) -> tuple[str, list[Finding]]:
    """The text with every such mistake replaced by something of the same length, and the mistakes."""
    findings: list[Finding] = []
    parts: list[str] = []
    done = 0
    for index, piece in enumerate(pieces):
        if piece.start < done or piece.kind in ("comment", "newline"):
            continue
        finding, repair = next(_rules(text, pieces, index), (None, ""))
        if finding is None:
            continue
        start, end = finding.span.start, finding.span.end
        while end - start < len(repair) and text[end : end + 1] == " ":  # a longer repair may use the blanks behind
            end += 1
        if len(repair) <= end - start:
            parts += [text[done:start], repair.ljust(end - start)]
            done = end
        findings.append(finding)
    return "".join([*parts, text[done:]]), findings


def _rules(text: str, pieces: tuple[Piece, ...], index: int) -> Iterator[Spelling]:
    """Every mistake that may begin at a piece, with its repair. The first counts."""
    piece = pieces[index]
    match piece.kind:
        case "word":
            yield from words(text, piece)
        case "number":
            yield from number(piece)
        case "quoted" | "open":
            yield from string(piece)
        case "sign" if piece.text in (";", "\\"):
            yield from _line_end(text, piece, pieces[index + 1] if index + 1 < len(pieces) else None)
        case "sign":
            yield from _sign(text, piece)


def _sign(text: str, piece: Piece) -> Iterator[Spelling]:
    """An operator of another language, or a character that only looks like ours."""
    sign, span = piece.text, piece.span
    if sign == "“" and (curly := _CURLY.match(text, piece.start)):
        right = f'"{curly.group(1)}"'
        yield instead("SSM0124", 'a string is written with `"`', Span(*curly.span()), right), right
    elif sign in _FOREIGN:
        right, message = _FOREIGN[sign]
        spaced = _apart(text, span, right) if right.isalpha() else right
        yield instead("SSM0120", message, span, spaced, label="not an operator here"), right.replace("**", "*")
    elif sign in _UPDATES:
        note = "a name is bound once; a value that changes from token to token is a `state`"
        found = Finding("SSM0120", f"`{sign}` would change a value", span, "not an operator here", notes=(note,))
        yield found, "="
    elif sign == "@":
        note = "values are multiplied by the names of their axes, and a sum names the axis it removes"
        help_ = "write the sum over the common axis: `sum[N](A * x)`"
        yield Finding("SSM0120", "there is no matrix product", span, "not an operator here", (), (note,), help_), "*"
    elif sign in _LOOKALIKES:
        right = _LOOKALIKES[sign]
        label = f"this is {unicodedata.name(sign).lower()}"
        yield instead("SSM0121", f"`{sign}` is not the ASCII `{right}`", span, right, label=label), right
    elif sign.isspace():
        found = Finding(
            "SSM0128", "a blank that is not a plain space", span, f"this is {unicodedata.name(sign).lower()}"
        )
        yield replace(found, help="write a space", edit=Edit(span, " ")), " "
    elif sign in _MEANINGLESS or not sign.isascii():
        choice = "a choice is written `a if flag else b`" if sign == "?" else None
        yield Finding("SSM0128", f"the character `{sign}` has no meaning in a spec", span, "", help=choice), ""


def _line_end(text: str, piece: Piece, after: Piece | None) -> Iterator[Spelling]:
    """`;` and `\\`: what other languages need at the end of a line, or between statements."""
    sign, span = piece.text, piece.span
    if after is None or after.kind in ("newline", "comment"):
        note = "a line that is indented deeper continues the statement above; any other begins a new one"
        message = f"a line does not end with `{sign}`"
        yield Finding("SSM0125", message, span, "", (), (note,), f"remove the `{sign}`", Edit(span, "")), ""
    elif sign == ";":
        begin = text.rfind("\n", 0, piece.start) + 1
        indent = re.match(r"[ \t]*", text[begin : piece.start])
        edit = Edit(Span(span.start, after.start), "\n" + (indent.group() if indent else ""))
        message = "one line holds one statement"
        yield Finding("SSM0125", message, span, "", (), (), "write the second statement on its own line", edit), ""
    else:
        yield Finding("SSM0128", f"the character `{sign}` has no meaning in a spec", span, ""), ""


def _apart(text: str, span: Span, word: str) -> str:
    """A word with a blank on each side where the text has none."""
    left = " " if re.match(r"\w", text[span.start - 1 : span.start]) else ""
    right = " " if re.match(r"\w", text[span.end : span.end + 1]) else ""
    return f"{left}{word}{right}"
