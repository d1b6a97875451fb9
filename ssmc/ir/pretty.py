"""An expression as the text of a spec: for diagnostics, `explain` and comments. Parentheses only where needed."""

from __future__ import annotations

from fractions import Fraction

from ssmc.ir.expr import Arg, Const, Draw, Index, Node, Pointwise, Position, Reduce, Ref, Relabel, Size, fold
from ssmc.ir.functions import BINARY

LIMIT = 400
_SIGN = {fn: sign for sign, fn in BINARY.items()}
_LEVEL = {"or": 1, "and": 2, "lt": 4, "le": 4, "gt": 4, "ge": 4, "eq": 4, "ne": 4, "add": 5, "sub": 5}
_LEVEL |= {"mul": 6, "div": 6, "floordiv": 6, "mod": 6, "pow": 8}
_NOT, _NEG, _ATOM = 3, 7, 9
_TIGHT = ("mul", "div", "pow")

Text = tuple[str, int]  # and how strongly it binds


def pretty(node: Node, limit: int = LIMIT) -> str:
    """The expression as text; parts longer than `limit` characters are left out as `...`."""

    def step(n: Node, children: tuple[Text, ...]) -> Text:
        text, level = _write(n, children)
        return ("...", _ATOM) if len(text) > limit else (text, level)

    text: Text = fold(node, step)
    return text[0]


def number(value: Fraction) -> str:
    """A rational as people write it: an integer, a short decimal, a quotient, or six digits."""
    if value.denominator == 1 and abs(value) < 10**9:
        return str(value.numerator)
    short = f"{float(value):.6g}"
    if Fraction(short) == value or value.denominator > 999:
        return short
    return f"{value.numerator}/{value.denominator}"


def _write(n: Node, children: tuple[Text, ...]) -> Text:
    match n:
        case Const():
            if isinstance(n.value, bool):
                return str(n.value).lower(), _ATOM
            text = number(n.value)
            return text, _NEG if text.startswith("-") else _LEVEL["div"] if "/" in text else _ATOM
        case Arg():
            return n.name, _ATOM
        case Size():
            return n.axis, _ATOM
        case Index():
            return f"index({n.axis})", _ATOM
        case Position():
            return "t", _ATOM
        case Ref():
            start = f", {children[0][0]}" if children else ""
            text = n.name
            for _ in range(abs(n.offset)):
                text, start = f"{'prev' if n.offset < 0 else 'next'}({text}{start})", ""
            return text, _ATOM
        case Reduce():
            return f"{n.op}[{', '.join(n.over)}]({children[0][0]})", _ATOM
        case Relabel():
            return f"{_within(children[0], _ATOM)}[{', '.join(f'{o} as {m}' for o, m in n.pairs)}]", _ATOM
        case Draw():
            told = [n.word, *n.axes] if n.word else [t for t, _ in children]
            return f"{n.kind}({', '.join(told)})", _ATOM
        case Pointwise():
            return _call(n.fn, children)
    return "?", _ATOM


def _call(fn: str, args: tuple[Text, ...]) -> Text:
    if fn == "neg":
        inner = _within(args[0], _LEVEL["mul"])
        return (f"-({inner})" if inner.startswith("-") else f"-{inner}"), _LEVEL["mul"]
    if fn == "not":
        return f"not {_within(args[0], _NOT)}", _NOT
    if fn in _LEVEL:
        level, sign = _LEVEL[fn], _SIGN[fn]
        left, right = args
        if fn == "add" and right[0].startswith("-") and right[1] >= _LEVEL["mul"]:
            return f"{_within(left, level)} - {right[0][1:]}", level
        first = _within(left, level + 1 if fn in ("pow", "lt", "le", "gt", "ge", "eq", "ne") else level)
        tight = level if fn in ("add", "mul", "and", "or") else _NEG if fn == "pow" else level + 1
        if fn == "mul" and right[0].startswith("-"):
            tight = level + 1
        second = _within(right, tight)
        if fn in ("sub", "mul", "div") and second.startswith("-"):
            second = f"({second})"
        binds = _LEVEL["add"] if fn in ("mod", "floordiv") else level  # a*(b % c) is not a*b % c
        return (f"{first}{sign}{second}" if fn in _TIGHT else f"{first} {sign} {second}"), binds
    if not args:
        return fn, _ATOM
    name = {"sqrt_clip": "sqrt"}.get(fn, fn)
    texts = [t for t, _ in args]
    if fn == "sqrt_clip":
        texts[1] = f"clip = {texts[1]}"
    return f"{name}({', '.join(texts)})", _ATOM


def _within(text: Text, level: int) -> str:
    return text[0] if text[1] >= level else f"({text[0]})"
