"""What the compiler says to every mistake of the catalogue (`mistakes_*.txt`), and that what it proposes is right."""

from __future__ import annotations

import re

import pytest
from catalogue import FILES, Case, apply, read

from ssmc.diagnostics.codes import CODES
from ssmc.diagnostics.sink import Severity
from ssmc.diagnostics.span import Source
from ssmc.driver import run

CASES = [c for f in FILES for c in read(f)]


@pytest.mark.parametrize("case", [pytest.param(c, id=c.id) for c in CASES])
def test_rendering(case: Case) -> None:
    assert case.compile().rendered() == case.shown


@pytest.mark.parametrize("case", [pytest.param(c, id=c.id) for c in CASES])
def test_style(case: Case) -> None:
    for d in case.compile().diagnostics:
        if d.code.startswith("SSM01"):
            continue  # the syntax's own tests
        assert re.match(r"[`\"a-z0-9]", d.message), d.message
        assert not d.message.endswith("."), d.message
        assert d.primary.span.end > d.primary.span.start, "a diagnostic stands somewhere"
        assert d.primary.text and len(d.message) < 110
        for text in (d.primary.text, *(s.text for s in d.secondary), *d.notes, d.help or "x"):
            assert text and not text.endswith(".") and text == text.strip(), text
        assert d.edit is None or d.help is not None, "an edit is explained"


def edited() -> list[Case]:
    """The cases whose errors all come with an edit."""
    out = []
    for c in CASES:
        errors = [d for d in c.compile().diagnostics if d.severity is Severity.ERROR]
        if errors and all(d.edit for d in errors):
            out.append(c)
    return out


@pytest.mark.parametrize("case", [pytest.param(c, id=c.id) for c in edited()])
def test_edits_make_the_spec_compile(case: Case) -> None:
    done = case.compile()
    text = apply(done.source.text, [d.edit for d in done.diagnostics if d.edit])
    again = run(Source("test.ssm", text), case.options(), until="partition")
    assert not again.failed, again.rendered()


def test_there_are_edits() -> None:
    assert len(edited()) >= 10


def test_every_code_of_this_part_is_shown() -> None:
    shown = {code for c in CASES for code in re.findall(r"\[(SSM\d+)\]", c.shown)}
    wanted = {c for c in CODES if c.startswith(("SSM02", "SSM04")) or c == "SSM0304"}
    assert wanted - shown == set()
