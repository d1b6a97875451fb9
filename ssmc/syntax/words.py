"""Single words that are written otherwise in a spec: names, numbers and strings of other languages or of mathematics.

Each rule yields the mistake and what the parser may read in its place.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator

from ssmc.diagnostics.sink import Edit
from ssmc.diagnostics.span import Span
from ssmc.syntax.finding import Finding, instead
from ssmc.syntax.scan import Piece

Spelling = tuple[Finding, str]

NUMBER = re.compile(r"[0-9]+(\.[0-9]+)?([eE][+-]?[0-9]+)?")

_LONGEST_NAME, _LONGEST_NUMBER = 80, 40

_VALUES = {"True": "true", "False": "false", "TRUE": "true", "FALSE": "false"}
_NOTHING = frozenset({"None", "null", "nil", "NULL"})
_MODULES = frozenset({"np", "numpy", "jnp", "torch", "math", "F", "nn", "scipy", "jax", "tl", "cmath", "lax"})
_FUNCTIONS = {"maximum": "max", "minimum": "min", "clamp": "clip", "fabs": "abs", "logsigmoid": "log_sigmoid"}
_REDUCTIONS = frozenset({"sum", "mean", "max", "min", "softmax"})

_PATH = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)+")
_AT_TIME = re.compile(r"([A-Za-z]\w*?)(?:_?\{|\[)\s*t\s*(?:([+-])\s*1)?\s*[\]}]")
_AT_TOKEN = {"-": ("prev({})", "previous"), "+": ("next({})", "next"), None: ("{}", "present")}


def words(text: str, piece: Piece) -> Iterator[Spelling]:
    """What a word may be besides a name."""
    yield from _dotted(text, piece)
    yield from _at_time(text, piece)
    word, span = piece.text, piece.span
    if len(word) > _LONGEST_NAME:
        message = f"a name of {len(word):,} characters"
        yield Finding("SSM0103", message, span, f"the limit is {_LONGEST_NAME}"), "x" * len(word)
    elif word in _VALUES:
        yield instead("SSM0127", f"`{word}` is written `{_VALUES[word]}`", span, _VALUES[word]), _VALUES[word]
    elif word in _NOTHING:
        note = "every value of a layer is a number; what is absent is not written"
        yield Finding("SSM0127", f"there is no `{word}`", span, "not a value here", notes=(note,)), "0"
    elif not word.isascii():
        yield from _not_ascii(word, span)


def number(piece: Piece) -> Iterator[Spelling]:
    """`.5`, `1.`, `1_000`, `1j`, `0x10`, `2x`."""
    text, span = piece.text, piece.span
    plain = re.sub(r"\.(?=[eE]|$)", "", text.replace("_", ""))
    plain = "0" + plain if plain.startswith(".") else plain
    factor = re.fullmatch(r"([0-9]+(?:\.[0-9]+)?)([A-Za-z_]\w*)", text)
    if NUMBER.fullmatch(text):
        exponent = re.search("[eE][+-]?(.*)", text)
        if len(text) > _LONGEST_NUMBER or (exponent and len(exponent.group(1)) > 3):
            note = "a computer's numbers keep about seventeen digits, and exponents up to 308"
            yield Finding("SSM0123", "a number that is too long", span, "", notes=(note,)), "1" * len(text)
        return
    if NUMBER.fullmatch(plain):
        note = "digits stand on both sides of the point, with nothing between them"
        yield instead("SSM0123", f"`{text}` is not how a number is written", span, plain, note=note), "1" * len(text)
    elif factor and factor.group(2) in ("j", "J"):
        message = "there are no imaginary numbers"
        yield instead("SSM0123", message, span, f"complex(0, {factor.group(1)})"), "1" * len(text)
    elif factor and not text.startswith("0"):
        message = "an operator is missing between a number and a name"
        yield instead("SSM0163", message, span, f"{factor.group(1)} * {factor.group(2)}"), "1" * len(text)
    else:
        note = "numbers are decimal: `16`, `0.5`, `1e-3`"
        yield Finding("SSM0123", f"`{text}` is not a number", span, "", notes=(note,)), "1" * len(text)


def string(piece: Piece) -> Iterator[Spelling]:
    """A string that is not closed on its line, or stands between other quotes."""
    text, span = piece.text, piece.span
    if piece.kind == "quoted":
        right = f'"{text[1:-1]}"'
        yield instead("SSM0124", 'a string is written with `"`', span, right), right
    elif piece.kind == "open":
        key = text.split("#")[0].rstrip()
        message = "the string is not closed"
        span = Span(span.start, span.start + len(key))
        found = Finding("SSM0124", message, span, "it begins here", help='end it with `"`', edit=Edit(span, key + '"'))
        yield found, key[:-1] + '"' if len(key) > 1 else '""'


def _dotted(text: str, piece: Piece) -> Iterator[Spelling]:
    """`np.exp`, `torch.nn.functional.silu`, `x.mean`."""
    path = _PATH.match(text, piece.start)
    if path is None:
        return
    span = Span(*path.span())
    first, *_, name = path.group().split(".")
    if first in _MODULES:
        name = _FUNCTIONS.get(name, name)
        note = "the language has its own functions, and nothing is imported"
        yield instead("SSM0126", "functions have no module in front", span, name, note=note), name
    else:
        axes = "[N]" if name in _REDUCTIONS else ""
        help_ = f"write the function around the value: `{name}{axes}({first})`"
        yield (
            Finding("SSM0126", "values have no attributes", span, "a name has no dots", help=help_),
            "x" * len(path.group()),
        )


def _at_time(text: str, piece: Piece) -> Iterator[Spelling]:
    """`h[t]`, `h[t-1]`, `h_{t+1}`."""
    index = _AT_TIME.match(text, piece.start)
    if index is None or index.group(1) in _REDUCTIONS:
        return
    form, token = _AT_TOKEN[index.group(2)]
    right = form.format(index.group(1))
    message = "values are not indexed by time"
    note = f"an equation holds at each token; `{right}` is the value at the {token} one"
    yield instead("SSM0140", message, Span(*index.span()), right, label=f"the {token} token", note=note), index.group(1)


def _not_ascii(word: str, span: Span) -> Iterator[Spelling]:
    """`λ`, `Δt`, `x²`."""
    power = re.fullmatch(r"(.*?)([²³])", word)
    note = "names are made of the letters a to z, digits and `_`"
    if power and power.group(1).isascii():
        right = f"{power.group(1)} ** {unicodedata.digit(power.group(2))}"
        yield instead("SSM0121", "a power is written `**`", span, right), power.group(1) or "  "
    elif name := _ascii_name(word):
        yield instead("SSM0122", f"the name `{word}` is not ASCII", span, name, note=note), "x" * len(word)
    else:
        help_ = "choose an ASCII name"
        yield Finding("SSM0122", f"the name `{word}` is not ASCII", span, "", (), (note,), help_), "x" * len(word)


def _ascii_name(word: str) -> str:
    """Greek letters by their names, accents dropped, raised and lowered digits as digits; "" for other writing."""
    parts = []
    for char in unicodedata.normalize("NFKD", word):
        name = unicodedata.name(char, "")
        if char.isascii():
            parts.append(char)
        elif name.startswith("GREEK") and "LETTER" in name:
            if char == "Δ" and not parts and len(word) > 1:  # Δt is dt
                parts.append("d")
                continue
            letter = name.split("LETTER ")[1].split()[-1].lower().replace("lamda", "lambda")
            parts.append(letter.capitalize() if "CAPITAL" in name else letter)
        elif not unicodedata.combining(char):
            return ""
    result = "".join(parts)
    return result if result.isidentifier() else ""
