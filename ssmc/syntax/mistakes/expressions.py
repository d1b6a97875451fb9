"""Mistakes inside an expression: what stands in brackets, chains of comparisons, missing operators and values."""

from __future__ import annotations

from ssmc.diagnostics.sink import Edit
from ssmc.diagnostics.span import Span
from ssmc.syntax.finding import Finding, instead
from ssmc.syntax.mistakes.stop import END, OPERATORS, Rule, Stop, begins_value, ends_value, is_name

_COMPARISONS = frozenset({"<", "<=", ">", ">=", "==", "!="})
_REDUCTIONS = frozenset({"sum", "mean", "max", "min", "softmax", "rms", "layernorm", "l2norm"})


def parentheses(stop: Stop) -> Finding | None:
    """`input u(d_model)`: axes in parentheses."""
    if stop.found.text != "(" or stop.at != 2 or stop.line.head not in ("input", "param", "state"):
        return None
    closer = stop.closer(2)
    if closer is END:
        return None
    inside = stop.text[stop.found.end : closer.start]
    return instead("SSM0160", "axes stand in square brackets", Span(stop.found.start, closer.end), f"[{inside}]")


def axes(stop: Stop) -> Finding | None:
    """`x[16]`, `u[2 * N]`, `x[]`, `x[:, N]`."""
    index = stop.opener()
    if index is None or stop.piece(index).text != "[" or stop.piece(index - 1).text == "in":
        return None
    closer = stop.closer(index)
    if closer is END or (stop.found.text in ("->", "=", ":") and is_name(stop.before)):
        return None
    inside = stop.text[stop.piece(index).end : closer.start].strip()
    span = Span(stop.piece(index).start, closer.end)
    note = "axes are told apart by their names, also where their sizes are equal"
    if not inside:
        help_ = "a value with no axes has no brackets"
        edit = Edit(span, "")
        return Finding("SSM0160", "the brackets are empty", span, "", (), (), help_, edit)
    if ":" in inside:
        note = "a slice is not needed: axes are multiplied and summed by name"
        return Finding("SSM0160", "brackets hold names of axes", span, "a slice", (), (note,))
    name = "One" if inside == "1" else "M"
    what = inside if "," not in inside else stop.found.text
    help_ = f"name the axis: `axis {name} = {what}`, and write `[{name}]`"
    label = "a number" if stop.found.kind == "number" else "an expression"
    return Finding("SSM0160", "brackets hold names of axes", span, label, (), (note,), help_)


def rename(stop: Stop) -> Finding | None:
    """`h[N -> M]`, `h[N = M]`, and `h[N]` in an expression."""
    found, before = stop.found, stop.before
    index = stop.opener()
    if (
        found.text in ("->", "=", ":")
        and index is not None
        and stop.piece(index).text == "["
        and is_name(before)
        and is_name(stop.after)
    ):
        message = "an axis is renamed with `as`"
        right = "as" if stop.text[before.end : found.start].endswith(" ") else " as "
        right = right if stop.text[found.end : stop.after.start] or right == " as " else "as "
        return instead("SSM0161", message, found.span, right)
    if before.text != "]" or stop.expected != {"("}:
        return None
    start = max(i for i in range(stop.at) if stop.piece(i).text == "[")
    name, span = stop.piece(start - 1).text, Span(stop.piece(start).start, before.end)
    if name in _REDUCTIONS:
        message = f"`{name}` over axes is a call"
        whole = Span(stop.piece(start - 1).start, before.end)
        help_ = f"write `{stop.text[whole.start : whole.end]}(...)`"
        return Finding("SSM0161", message, whole, "its argument is missing", (), (), help_)
    note = "axes are written where a value is bound; in an expression brackets rename, `x[N as M]`"
    help_ = f"write `{name}`"
    return Finding("SSM0161", "a value is used without its axes", span, "", (), (note,), help_, Edit(span, ""))


def axis_option(stop: Stop) -> Finding | None:
    """`sum(x, axis = N)`."""
    index = stop.opener()
    if stop.found.text != "axis" or stop.after.text != "=" or index is None:
        return None
    call, name = stop.piece(index - 1), stop.piece(stop.at + 2)
    if call.text not in _REDUCTIONS:
        return None
    body = stop.text[stop.piece(index).end : stop.before.start]
    help_ = f"write `{call.text}[{name.text if is_name(name) else 'N'}]({body})`"
    span = Span(stop.found.start, max(name.end, stop.after.end))
    return Finding("SSM0161", f"`{call.text}` names its axis in square brackets", span, "", (), (), help_)


def chain(stop: Stop) -> Finding | None:
    """`a < b < c`."""
    if stop.found.text not in _COMPARISONS:
        return None
    depth = 0
    for piece in reversed(stop.line.pieces[: stop.at]):
        depth += (piece.text in (")", "]")) - (piece.text in ("(", "["))
        if depth < 0 or (depth == 0 and piece.text in ("and", "or", "not", "=", ",", "if", "else")):
            return None
        if depth == 0 and piece.text in _COMPARISONS:
            help_ = "join two comparisons with `and`: `a < b and b < c`"
            return Finding(
                "SSM0162", "a comparison has two sides", stop.found.span, "a third side follows", (), (), help_
            )
    return None


def operator_missing(stop: Stop) -> Finding | None:
    """`2 x`, `(a + b) c`, `a b`."""
    before, found = stop.before, stop.found
    if not (ends_value(before) and begins_value(found)) or not stop.expected & {"MUL", "ADD"}:
        return None
    span = Span(before.start, found.end)
    if before.text not in (")", "]") and found.text != "(":
        product = f"{before.text} * {found.text}"
        return Finding(
            "SSM0163",
            "an operator is missing between two values",
            span,
            "",
            (),
            (),
            f"for the product write `{product}`",
        )
    here = Span(before.end, found.start) if before.end < found.start else found.span
    return Finding(
        "SSM0163", "an operator is missing between two values", here, "", (), (), "for the product write `*`"
    )


def bar(stop: Stop) -> Finding | None:
    """`a | b` outside the default of an argument."""
    if stop.found.text != "|" or "or" not in stop.expected:
        return None
    note = "`|` lists the choices of a layer argument, `disc = zoh | bilinear`"
    return instead("SSM0120", "conditions are joined by `or`", stop.found.span, "or", note=note)


def order(stop: Stop) -> Finding | None:
    """`f(k = 1, x)`."""
    before, opener = stop.before, stop.opener()
    named = before.text == "," and opener is not None and "=" in stop.texts[opener : stop.at]
    if is_name(before) and stop.piece(stop.at - 2).text == "," and stop.expected == {"="}:
        span = before.span
    elif named and ")" in stop.expected and "NAME" in stop.expected and begins_value(stop.found):
        span = stop.found.span
    else:
        return None
    return Finding("SSM0165", "a value without a name stands behind one with a name", span, "", help="write it first")


def value_missing(stop: Stop) -> Finding | None:
    """`a +`, `f(, x)`, `y =`."""
    before = stop.before
    if stop.found.text == "if" and "NUMBER" in stop.expected:
        return Finding(
            "SSM0164", "a choice begins with its first value", stop.found.span, "", help="write `a if flag else b`"
        )
    if stop.found.kind == "string" and "NUMBER" in stop.expected:
        note = "strings are keys of the state_dict; an option is one of a named list, `disc = zoh | bilinear`"
        return Finding("SSM0164", "a string is no value", stop.found.span, "", (), (note,))
    if "NUMBER" not in stop.expected or not (
        before.text in OPERATORS or before.text in ("(", "[", ":", "return", "step")
    ):
        return None
    label = "" if stop.found is END else "found instead"
    return Finding("SSM0164", f"a value is missing after `{before.text}`", stop.place, label)


RULES: tuple[Rule, ...] = (parentheses, rename, axes, axis_option, chain, operator_missing, bar, order, value_missing)
