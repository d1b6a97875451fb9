"""A spec from a stranger: limits, and no text whatever that makes the parser raise or hang."""

from __future__ import annotations

import random
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from syntax_helpers import FRAME, KITCHEN_SINK, apply, read, refuse

from ssmc.diagnostics.render import as_json, render
from ssmc.diagnostics.sink import Sink
from ssmc.diagnostics.span import Source
from ssmc.syntax.parse import MAX_ERRORS, parse
from ssmc.syntax.scan import scan


@pytest.mark.parametrize(
    "text",
    [
        FRAME.format(f"  y = {'(' * 5000}u{')' * 5000}\n"),
        FRAME.format(f"  y = {'f(' * 101}u{')' * 101}\n"),
        FRAME.format(f"  y = {'u + ' * 5000}u\n"),
        FRAME.format(f"  y = {'-' * 5000}u\n"),
        FRAME.format(f"  y = {'not ' * 5000}u\n"),
        FRAME.format(f"  y = {'u ** ' * 5000}u\n"),
        FRAME.format(f"  y = {'1 if gate else ' * 5000}u\n"),
        FRAME.format("  y = u" + "[N as M]" * 5000 + "\n"),
        FRAME.format("".join("  " * i + "if gate:\n" for i in range(1, 150)) + "  " * 150 + "y = 1\n"),
        FRAME.format("  y = u\n" * 2001),
        FRAME.format(f"  {'y' * 81} = u\n"),
        "#" * (256 * 1024 + 1),
    ],
)
def test_limits(text: str) -> None:
    sink, _ = refuse(text)
    assert {d.code for d in sink} == {"SSM0103"}


def test_below_the_limits() -> None:
    sink = Sink()
    assert parse(Source("s", FRAME.format(f"  y = {'(' * 90}u{')' * 90}\n" + "  y = u\n" * 1900)), sink)


def test_many_errors_end() -> None:
    sink, _ = refuse(FRAME.format("  y = = u\n" * 1900))
    assert len(sink.items) <= MAX_ERRORS


@pytest.mark.parametrize(
    "piece", ["y = 1 +\n", "(", "if x\n", "  x", '"', "'", "e1", "λ", "[", "-", "\n  (", "a.", "state h: "]
)
def test_large_nonsense_is_fast(piece: str) -> None:
    began = time.perf_counter()
    refuse("layer M(d)\n" + piece * (60_000 // len(piece)))
    assert time.perf_counter() - began < 10


def mutate(text: str, rng: random.Random) -> str:
    """A text with a few pieces dropped, doubled, swapped or replaced."""
    pieces = scan(text)
    for _ in range(rng.randint(1, 3)):
        a, b = rng.choice(pieces), rng.choice(pieces)
        new = rng.choice(
            ["", a.text * 2, b.text, b.text + " " + a.text, "\n", "  ", "(", "]", ":", "'", '"', "é", "\t"]
        )
        text = text[: a.start] + new + text[a.end :]
        pieces = scan(text) or pieces
    return text


@pytest.mark.parametrize("seed", range(300))
def test_mutated_specs_give_diagnostics_never_exceptions(seed: int) -> None:
    text = mutate(KITCHEN_SINK, random.Random(seed))
    source, sink = Source("m", text), Sink()
    spec = parse(source, sink)
    assert (spec is None) == sink.failed
    shown = render(sink, source, color=True)
    assert len(as_json(sink, source)) == len(sink.items) and "Token(" not in shown
    for name in ("LPAR", "RPAR", "LSQB", "RSQB", "EQUAL", "_NL", "DERIVATIVE", "NUMBER", "$END", "SKIPPED", "_DEDENT"):
        assert name not in shown


@settings(max_examples=150, deadline=None, derandomize=True)
@given(st.text(st.sampled_from("layerMd(,)\n  inputu[]=+-*/'\"#:.;>\té\0\r1e0_"), max_size=80))
def test_any_text(text: str) -> None:
    for whole in (text, "layer M(d)\n" + text, FRAME.format(text)):
        source, sink = Source("m", whole), Sink()
        assert (parse(source, sink) is None) == sink.failed
        render(sink, source)


@pytest.mark.parametrize("text", ["", "\n", "# only a comment", "  \n\t"])
def test_a_file_without_statements(text: str) -> None:
    sink, shown = refuse(text)
    assert [d.code for d in sink] == ["SSM0102"]
    assert "begin with `layer Name(d_model)`" in shown


@pytest.mark.parametrize("char", ["\0", "\x1b", "\r", "\ufeff", "\u202e", "\x7f"])
def test_control_characters(char: str) -> None:
    text = FRAME.format(f"  y = u{char} \n")
    sink, _ = refuse(text)
    assert [d.code for d in sink] == ["SSM0104"]
    read(apply(text, [d.edit for d in sink if d.edit]))
