"""What the README shows is what the compiler does: its specs compile, its Mamba is the shipped one, its mistake is met so."""

from __future__ import annotations

import re
from pathlib import Path

from ssmc.commands import check, compile, explain, fmt, new, test
from ssmc.diagnostics.span import Source
from ssmc.driver import run

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text()
FENCED = re.findall(r"^```(\w*)\n(.*?)^```$", README, re.MULTILINE | re.DOTALL)
BLOCKS = [text for language, text in FENCED if not language]
MAMBA = (ROOT / "specs" / "mamba.ssm").read_text()


def test_the_tutorial_compiles() -> None:
    leaky, selective, states = BLOCKS[:3]
    head, body = leaky.split("  param rate[d_model]\n  a = sigmoid(rate)\n")
    assert leaky.startswith("layer Leaky")
    for text in (leaky, head + selective + body, head + states + "  return y\n"):
        done = run(Source("readme.ssm", text))
        assert not done.diagnostics and done.text, done.rendered()


def test_mamba_is_the_shipped_one() -> None:
    shown = next(b for b in BLOCKS if b.startswith("layer Mamba"))
    assert shown == MAMBA[MAMBA.index("layer Mamba") :]


def test_the_mistake_is_met_as_shown() -> None:
    shown = next(b for b in BLOCKS if b.startswith("error["))
    done = run(Source("specs/mamba.ssm", MAMBA.replace("A * h + B * x", "A * h + B * u")))
    assert done.rendered().strip() == shown.strip()


def test_every_spec_and_command_is_listed() -> None:
    assert set(re.findall(r"\(specs/(\w+)\.ssm\)", README)) == {p.stem for p in (ROOT / "specs").glob("*.ssm")}
    for command in (check, compile, explain, fmt, new, test):
        assert f"| `ssmc {command.__name__.rsplit('.', 1)[1]} " in README
