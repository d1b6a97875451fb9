"""Mistakes in how a file is put together: brackets, lines, blocks, the head of the layer, the words lines begin by."""

from __future__ import annotations

from ssmc.diagnostics.sink import Edit, Label
from ssmc.diagnostics.span import Span
from ssmc.diagnostics.suggest import did_you_mean
from ssmc.syntax.finding import Finding, insert, instead
from ssmc.syntax.mistakes.stop import CLOSING, Rule, Stop, is_name
from ssmc.syntax.scan import BRACKETS, STATEMENTS, Line, Piece

_TAIL = frozenset({"by", "in", "as", "no_decay", "fixed", ":"})  # what follows an expression in a statement
_FOREIGN = {
    "for": "an equation holds at every token and along every axis; what a loop would carry is a `state`",
    "while": "an equation holds at every token and along every axis; what a loop would carry is a `state`",
    "import": "everything a spec may use is part of the language",
    "from": "everything a spec may use is part of the language",
    "class": "a file holds one layer, which begins with `layer Name(arguments)`",
    "module": "a file holds one layer, which begins with `layer Name(arguments)`",
    "print": "a spec only describes; `ssmc explain` shows what the compiler made of it",
    "assert": "what must hold is stated as the range of a parameter, `in [lo, hi]`",
}
_BINDERS = frozenset({"let", "var", "const", "auto", "float", "tensor", "val", "set"})


def brackets(stop: Stop) -> Finding | None:
    """`f(x`, `h[N)`, `x)`."""
    line = stop.line
    stack: list[Piece] = []
    for piece in line.pieces:
        if piece.kind != "sign" or piece.text not in (*BRACKETS, *CLOSING):
            continue
        if piece.text in BRACKETS:
            stack.append(piece)
        elif not stack:
            help_, edit = f"remove the `{piece.text}`", Edit(piece.span, "")
            return Finding("SSM0115", f"`{piece.text}` closes nothing", piece.span, "", (), (), help_, edit)
        elif BRACKETS[stack[-1].text] != piece.text:
            opener, right = stack[-1], BRACKETS[stack[-1].text]
            message = f"`{opener.text}` is closed by `{piece.text}`"
            there = (Label(opener.span, "opened here"),)
            return Finding("SSM0114", message, piece.span, "", there, (), f"write `{right}`", Edit(piece.span, right))
        else:
            stack.pop()
    if not stack:
        return None
    where = _closing_place(line, stack)
    missing = "".join(BRACKETS[p.text] for p in reversed(stack))
    there = (Label(stack[0].span, "opened here"),)
    message = f"`{stack[0].text}` is never closed"
    help_ = f"write `{missing}` here" if len(stack) == 1 else f"close all {len(stack)}: write `{missing}`"
    return Finding("SSM0114", message, Span(where, where), "still open here", there, (), help_, insert(where, missing))


def _closing_place(line: Line, stack: list[Piece]) -> int:
    """Where brackets that were left open should close: behind the axes, before the statement's tail, or at the end."""
    pieces = line.pieces
    first = pieces.index(stack[-1]) + 1
    if stack[-1].text == "[" and first < len(pieces):
        last = first
        while last + 2 < len(pieces) and pieces[last + 1].text == "," and is_name(pieces[last + 2]):
            last += 2
        return pieces[last].end
    depth = 0
    for before, piece in zip(pieces[first - 1 :], pieces[first:], strict=False):
        depth += (piece.text in BRACKETS) - (piece.text in CLOSING)
        if depth == 0 and piece.text in _TAIL:
            return before.end
    return pieces[-1].end


def colon(stop: Stop) -> Finding | None:
    """`if gate`, `if gate then`, `if gate: x = 1`."""
    line = stop.line
    if not line.opens_block:
        return None
    texts = stop.texts
    if ":" not in texts:
        last = line.pieces[-1]
        here = Span(last.end, last.end)
        message = f"`:` is missing after `{line.head}`"
        if last.text == "then":
            return instead("SSM0116", message, last.span, ":", label="not a keyword")
        return Finding("SSM0116", message, here, "", (), (), "write `:` at the end of the line", insert(last.end, ":"))
    index = texts.index(":")
    if index + 1 == len(texts):
        return None
    first = line.pieces[index + 1]
    message = "a block begins on its own line"
    edit = Edit(Span(line.pieces[index].end, first.start), "\n" + " " * (line.indent + 2))
    return Finding("SSM0112", message, first.span, "", (), (), "write it on the next line, indented deeper", edit)


def header(stop: Stop) -> Finding | None:
    """A file without `layer`, and `layer` written like a class."""
    line, found = stop.line, stop.found
    if stop.has_layer:
        return None
    name = line.pieces[1].text if len(line.pieces) > 1 else ""
    if line.head == "layer":
        if found.text == ":" and stop.at == len(line.pieces) - 1:
            edit = Edit(found.span, "")
            return Finding("SSM0106", "no `:` follows the layer's arguments", found.span, "", (), (), "remove it", edit)
        if stop.at == 2 and found.text != "(" and is_name(line.pieces[1]):
            here, example = line.pieces[1], f"layer {name}(d_model)"
            message = "a layer has arguments"
            return Finding("SSM0106", message, Span(here.end, here.end), "expected `(`", (), (), f"write `{example}`")
        return None
    if line.head == "edition":
        return instead("SSM0105", "the edition is a number", stop.place, "1")
    if is_name(line.pieces[0]) and (word := did_you_mean(line.head, ("layer", "edition"))) and name != "=":
        return instead("SSM0130", f"unknown word `{line.head}`", line.pieces[0].span, word)
    note = "sizes and options of the layer are its arguments"
    help_ = "begin with `layer Name(d_model)`"
    message = "a spec begins with `layer`"
    return Finding("SSM0106", message, line.pieces[0].span, "this stands outside a layer", (), (note,), help_)


def second_header(stop: Stop) -> Finding | None:
    """`layer` or `edition` below the first layer."""
    line = stop.line
    if not stop.has_layer or line.head not in ("layer", "edition"):
        return None
    if line.head == "edition":
        help_ = "write it above the line `layer ...`"
        return Finding("SSM0105", "`edition` stands before the layer", line.span, "", (), (), help_)
    first = next(other for other in stop.lines if other.head == "layer")
    there = (Label(first.span, "the first layer"),)
    return Finding(
        "SSM0107", "one file holds one layer", line.span, "a second layer", there, (), "write it in its own file"
    )


def orphan(stop: Stop) -> Finding | None:
    """`else` without `if`, and `else if`."""
    line, texts = stop.line, stop.texts
    if texts[:2] == ("else", "if"):
        span = Span(line.pieces[0].start, line.pieces[1].end)
        return instead("SSM0113", "`else if` is one word", span, "elif")
    if stop.at == 0 and line.head in ("elif", "else"):
        note = "it must stand at the same column as its `if`, right behind its block"
        return Finding("SSM0113", f"`{line.head}` without `if`", line.pieces[0].span, "", (), (note,))
    return None


def indentation(stop: Stop) -> Finding | None:
    """A statement that is indented deeper than the one before, and so continues it."""
    found, above = stop.found, stop.above
    new_row = "\n" in stop.text[stop.before.end : found.start] if stop.at > 0 else True
    if stop.at == 0 and above is not None and stop.line.indent > above.indent and above.head != "layer":
        column = above.indent
        if above.opens_block:
            return None
    elif stop.at > 0 and new_row and is_name(found) and stop.after.text == "=":
        column = stop.line.indent
    else:
        return None
    begin = stop.text.rfind("\n", 0, found.start) + 1
    message = "this line continues the statement above it"
    note = "a line that is indented deeper than the statement's first line continues it"
    edit = Edit(Span(begin, found.start), " " * column)
    return Finding(
        "SSM0111", message, found.span, "indented deeper", (), (note,), "align it with the statement above", edit
    )


def foreign_statement(stop: Stop) -> Finding | None:
    """`for`, `import`, `let x = 3`, `// text`."""
    head, second = stop.line.pieces[0], stop.piece(1)
    if stop.at == 0 and head.text == "//":
        note = "`//` is whole division"
        return instead("SSM0129", "a comment begins with `#`", head.span, "#", note=note)
    if stop.at != 1 or not (second.kind == "word" or second.text == "("):
        return None
    if head.text in _FOREIGN:
        return Finding("SSM0129", f"there is no `{head.text}`", head.span, "", (), (_FOREIGN[head.text],))
    if head.text in _BINDERS and stop.piece(2).text in ("=", "["):
        edit = Edit(Span(head.start, second.start), "")
        message = "an equation needs no keyword"
        return Finding("SSM0129", message, head.span, "", (), (), f"remove `{head.text}`", edit)
    return None


def misspelled(stop: Stop) -> Finding | None:
    """`lienar f(...)`, `parm A[N]`."""
    head, second = stop.line.pieces[0], stop.piece(1)
    if not is_name(head) or stop.at != 1 or second.kind not in ("word", "number"):
        return None
    word = did_you_mean(head.text, STATEMENTS)
    message = f"unknown word `{head.text}`"
    if word is None:
        notes = ("a line begins with a keyword or is an equation, `name = ...`", f"keywords: {', '.join(STATEMENTS)}")
        return Finding("SSM0130", message, head.span, "not a statement", (), notes)
    return instead("SSM0130", message, head.span, word)


def beginning(stop: Stop) -> Finding | None:
    """`1 = u`, `(a, b) = f(x)`: a line that begins like no statement."""
    head = stop.line.pieces[0]
    if stop.at > 0 or head.kind == "word":
        return None
    note = "a statement begins with a keyword, or binds a name: `name = ...`"
    return Finding("SSM0101", f"no statement begins with `{head.text}`", head.span, "", (), (note,))


LINE_RULES: tuple[Rule, ...] = (second_header, brackets, colon)
RULES: tuple[Rule, ...] = (header, orphan, foreign_statement, indentation, misspelled, beginning)
