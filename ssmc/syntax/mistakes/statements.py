"""Mistakes inside one statement: names that are keywords, equations, states, modules, parameters, definitions."""

from __future__ import annotations

from itertools import pairwise

from ssmc.diagnostics.sink import Edit
from ssmc.diagnostics.span import Span
from ssmc.diagnostics.suggest import did_you_mean
from ssmc.syntax.finding import Finding, insert, instead
from ssmc.syntax.mistakes.stop import END, Rule, Stop, is_name
from ssmc.syntax.scan import RESERVED, STATEMENTS

_TAGS = ("no_decay", "fixed", "complex", "in", "as")
_PARAM_ORDER = 'param name[axes] complex = value in [lo, hi] no_decay fixed as "key"'
_STEP = "write how the equation becomes a step: `by zoh, step dt`"


def keyword_as_name(stop: Stop) -> Finding | None:
    """`input = 3`, `state, y = f(x)`, `x = 2 * state`, `y = linear(u -> x[E])`."""
    head, second, found = stop.line.pieces[0], stop.piece(1), stop.found
    if head.text in RESERVED and stop.at <= 1 and second.text in ("=", ","):
        piece = head
    elif found.text in RESERVED and ("NAME" in stop.expected) and stop.at > 0:
        piece = found
    else:
        return None
    if piece is found and piece.text in STATEMENTS and stop.after.text == "(" and stop.at > 1:
        message = f"`{piece.text}` begins a statement and is no function"
        help_ = "write it on a line above, and its name here"
        return Finding("SSM0131", message, piece.span, "", help=help_)
    if piece is found and piece.text == "axis" and stop.after.text == "=":  # an option of a sum
        return None
    if piece is found and piece.text in ("if", "else", "by", "in", "as", "and", "or", "not") and stop.at > 1:
        return None
    edit = Edit(piece.span, f"{piece.text}_")
    message = f"`{piece.text}` is a keyword and cannot be a name"
    note = f'its key in the state_dict may be this all the same: `as "{piece.text}"` at the end of the line'
    owned = piece is found and stop.at == 1 and head.text in ("param", "linear", "conv")
    notes = (note,) if owned else ()
    return Finding("SSM0131", message, piece.span, "", (), notes, f"choose another name, `{piece.text}_`", edit)


def equals(stop: Stop) -> Finding | None:
    """`y == 3` for an equation, `if a = b:` for a comparison."""
    found, texts = stop.found, stop.texts
    if found.text == "==" and "NUMBER" in stop.expected and "=" not in texts[: stop.at]:
        return instead("SSM0120", "an equation is written with `=`", found.span, "=", label="this compares")
    if found.text == "=" and (stop.line.opens_block or ("if" in texts[: stop.at] and "=" in texts[: stop.at])):
        return instead("SSM0120", "values are compared with `==`", found.span, "==", label="this binds a name")
    return None


def derivative(stop: Stop) -> Finding | None:
    """`h' = ...` outside a state, `dh/dt = ...`, `h'(t) = ...`."""
    texts, pieces = stop.texts, stop.line.pieces
    start = texts.index(":") + 1 if stop.line.head == "state" and ":" in texts else 0
    part = texts[start : start + 4]
    if len(part) == 4 and part[0].startswith("d") and part[1:3] == ("/", "dt") and part[3] == "=":
        name, span = part[0][1:], Span(pieces[start].start, pieces[start + 2].end)
        message = "a derivative is written with `'`"
        if start:
            return instead("SSM0141", message, span, f"{name}'")
        return Finding("SSM0141", message, span, "", (), (), f"declare a state: `state {name}[N]: {name}' = ...`")
    if part[1:4] == ("'", "(", "t"):
        edit = Edit(Span(pieces[start + 2].start, pieces[start + 4].end), "") if len(pieces) > start + 4 else None
        name, span = part[0], Span(pieces[start].start, pieces[start + 3].end + 1)
        note = f"`{name}'` is the derivative at the present time, `{name}` the value"
        if start and edit:
            return Finding("SSM0140", "time is not written", edit.span, "", (), (note,), "remove it", edit)
        return Finding("SSM0141", "only a state has a derivative", span, "", (), (note,), _declare(name))
    if stop.found.text == "'" and not start:
        name = stop.before.text
        span = Span(stop.before.start, stop.found.end)
        return Finding("SSM0141", "only a state has a derivative", span, "", (), (), _declare(name))
    return None


def _declare(name: str) -> str:
    return f"declare a state: `state {name}[N]: {name}' = ... by zoh, step dt`"


def state(stop: Stop) -> Finding | None:
    """A state without update, `by` without `step`, and the like."""
    line, found, texts = stop.line, stop.found, stop.texts
    if line.head != "state" or stop.at == 1:
        return None
    name = stop.piece(1).text
    continuous = f"{name}'" in stop.text[line.span.start : line.span.end]
    help_ = f"say what `{name}` becomes: `state {name}[N]: {name} = ...`, with `prev({name})` for the value before"
    if ":" not in texts:
        if found is END:
            return Finding(
                "SSM0142", f"the state `{name}` has no update", stop.place, "the update is missing", (), (), help_
            )
        if found.text == "=":
            edit = Edit(found.span, f": {name} =")
            return Finding(
                "SSM0142", "a state's update follows a `:`", found.span, "", (), (), f"write `: {name} = ...`", edit
            )
        if is_name(found) and found.text == name:
            there = Span(stop.before.end, stop.before.end)
            return Finding(
                "SSM0116", "`:` is missing before the update", there, "", (), (), "write `:`", insert(there.end, ":")
            )
        return None
    if found is END and stop.before.text == ":":
        return Finding(
            "SSM0142", f"the state `{name}` has no update", stop.place, "the update is missing", (), (), help_
        )
    if continuous and found is END and "by" not in texts:
        message = f"the continuous state `{name}` has no discretization"
        return Finding("SSM0143", message, stop.place, "`by METHOD, step dt` is missing", (), (), _STEP)
    if continuous and found.text == "step":
        here = Span(stop.before.end, found.start)
        right = " by zoh, step" if "by" not in texts else None
        if right is None:
            message = "a `,` is missing before `step`"
            return Finding("SSM0143", message, found.span, "", (), (), "write `, step`", insert(here.start, ","))
        return Finding(
            "SSM0143", "`step` without `by`", found.span, "", (), (), _STEP, Edit(Span(here.start, found.end), right)
        )
    if continuous and found.text == "," and stop.after.text == "step" and "by" not in texts:
        edit = insert(stop.before.end, " by zoh")
        return Finding("SSM0143", "`step` without `by`", stop.after.span, "", (), (), _STEP, edit)
    if continuous and "by" in texts and "step" not in texts and found is END:
        message = "`by` without `step`"
        by = line.pieces[texts.index("by")]
        help_ = "say what the step is: `, step dt`"
        return Finding("SSM0143", message, Span(by.start, line.span.end), "the step is missing", (), (), help_)
    if not continuous and found.text == "by":
        rest = Span(stop.before.end, line.span.end)
        shown = Span(found.start, line.span.end)
        note = f"`by` discretizes a continuous equation, `{name}' = ...`; this one is discrete"
        return Finding("SSM0144", "a discrete state has no method", shown, "", (), (note,), "remove it", Edit(rest, ""))
    return None


def returned(stop: Stop) -> Finding | None:
    """`return y, h`."""
    if stop.line.head != "return" or stop.found.text != ",":
        return None
    note = "the state comes beside it where the caller asks for it: `layer(u, return_state=True)`"
    span = Span(stop.found.start, stop.line.span.end)
    return Finding("SSM0108", "a layer returns one value", span, "a second one", (), (note,), "return one")


def equation(stop: Stop) -> Finding | None:
    """`silu(x)` alone, `g(x) = ...` without `def`, `y`."""
    texts, line = stop.texts, stop.line
    if not is_name(line.pieces[0]) or "=" in texts[: stop.at]:
        return None
    if stop.found.text == "(" and stop.at == 1:
        closer = stop.closer(1)
        behind = line.pieces[line.pieces.index(closer) + 1 :] if closer is not END else ()
        if behind and behind[0].text == "=":
            message = "a function is defined with `def`"
            return Finding(
                "SSM0151",
                message,
                Span(line.span.start, closer.end),
                "",
                (),
                (),
                "write `def`",
                insert(line.span.start, "def "),
            )
    if "=" not in texts:
        note = "every line but `return` declares something or binds a name"
        help_ = "give it a name: `y = ...`" if len(texts) > 1 else None
        return Finding("SSM0150", "a value alone does nothing", line.span, "", (), (note,), help_)
    return None


def definition(stop: Stop) -> Finding | None:
    """`def f(x): return ...`, `lambda x: ...`."""
    found, after = stop.found, stop.after
    if stop.line.head == "def" and found.text == ":":
        message = "a definition is written with `=`"
        if after is END:
            below = stop.lines[stop.number + 1 : stop.number + 2]
            body = below[0] if below and below[0].head == "return" and len(below[0].pieces) > 1 else None
            edit = Edit(Span(stop.before.end, body.pieces[1].start), " = ") if body else None
            return Finding("SSM0151", message, found.span, "", (), (), "write `def f(x) = ...`", edit)
        end = stop.piece(stop.at + 2).start if after.text == "return" else after.start
        edit = Edit(Span(stop.before.end, end), " = ")
        return Finding("SSM0151", message, Span(found.start, found.end), "", (), (), "write `=`", edit)
    if stop.before.text == "lambda" and (is_name(found) or found.text == ":"):
        help_ = "name it: `def f(x) = ...`"
        return Finding("SSM0129", "there are no nameless functions", stop.before.span, "", (), (), help_)
    return None


def module(stop: Stop) -> Finding | None:
    """A linear without name, without `->`, with outputs that have no axes."""
    line, found, texts = stop.line, stop.found, stop.texts
    if line.head not in ("linear", "conv"):
        return None
    example = "linear proj(x -> y[N])" if line.head == "linear" else "conv conv1d(x, width = 4)"
    if found.text == "(" and stop.at == 1:
        return Finding("SSM0152", f"the {line.head} has no name", found.span, "", (), (), f"write `{example}`")
    if found.text == "=" and stop.after.text == ">" and stop.after.start == found.end:
        return instead("SSM0152", "outputs follow `->`", Span(found.start, stop.after.end), "->")
    if line.head == "linear" and found.text == "=" and "->" in texts[stop.at :]:
        note, help_ = "inputs, outputs and options stand in this order", f"write `{example[:-1]}, bias = false)`"
        return Finding("SSM0152", "an option stands before the outputs", stop.before.span, "", (), (note,), help_)
    if line.head == "conv" and stop.before.text == "bias" and "=" in stop.expected:
        return Finding(
            "SSM0152", "`bias` is an option and cannot be an input", stop.before.span, "", help="rename the value"
        )
    if line.head == "conv" and stop.piece(2).text == "(" and "->" not in texts:
        numbers = [x for x, y in pairwise(line.pieces[: stop.at + 1]) if x.kind == "number" and y.text in (",", ")")]
        if numbers:
            return instead("SSM0152", "the width is an option", numbers[-1].span, f"width = {numbers[-1].text}")
    if line.head == "conv" and found.text == ")" and "->" not in texts and is_name(stop.before):
        help_ = f"give it a value, `{stop.before.text} = 4`; several inputs need outputs, `conv f(x, z -> a[N], b[N])`"
        return Finding("SSM0152", f"the option `{stop.before.text}` has no value", stop.before.span, "", (), (), help_)
    if found.text == ")" and "->" in stop.expected and stop.after.text == "->":
        note = "what it yields stands inside the brackets, behind the inputs"
        return Finding("SSM0152", "a `)` stands before the outputs", found.span, "", (), (note,), f"write `{example}`")
    if line.head == "linear" and "->" not in texts and (found.text in (")", "=") or found is END):
        help_ = f"say what it yields: `{example}`"
        return Finding("SSM0152", "the linear has no outputs", stop.place, "`-> name[axes]` is missing", (), (), help_)
    if "->" in texts[: stop.at] and is_name(stop.before) and stop.piece(stop.at - 2).text in ("->", ","):
        name = stop.before.text
        note = "an output says its axes; a single number a token has an axis of size 1, `axis One = 1`"
        help_ = f"write its axes: `{name}[N]`"
        return Finding("SSM0152", f"the output `{name}` has no axes", stop.before.span, "", (), (note,), help_)
    return None


def param(stop: Stop) -> Finding | None:
    """Unknown or misplaced words behind a parameter, `in (lo, hi)`, `as key`."""
    found, before = stop.found, stop.before
    if (
        before.text == "as"
        and stop.line.head in ("param", "linear", "conv")
        and found.kind == "word"
        and "STRING" in stop.expected
    ):
        right = f'"{found.text}"'
        return instead("SSM0124", "the key of the state_dict is a string", found.span, right)
    if stop.line.head != "param":
        return None
    if before.text == "in" and found.text == "(" and (closer := stop.closer(stop.at)) is not END:
        inside = stop.text[found.end : closer.start]
        return instead("SSM0153", "a range stands in square brackets", Span(found.start, closer.end), f"[{inside}]")
    if found.kind != "word" or "no_decay" not in stop.expected:
        return None
    note = f"the order is `{_PARAM_ORDER}`"
    if found.text in _TAGS:
        return Finding("SSM0153", f"`{found.text}` is out of order", found.span, "", (), (note,))
    word = did_you_mean(found.text, _TAGS)
    message = f"unknown word `{found.text}` behind a parameter"
    if word:
        return instead("SSM0153", message, found.span, word, note=note)
    return Finding("SSM0153", message, found.span, "", (), (note,))


RULES: tuple[Rule, ...] = (derivative, state, returned, keyword_as_name, equals, definition, module, param, equation)
