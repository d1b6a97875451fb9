"""A spec from a stranger: whatever is done to a shipped one, it compiles or it is explained, and soon."""

from __future__ import annotations

import random
import re
import time
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ssmc.diagnostics.render import as_json
from ssmc.diagnostics.span import Source
from ssmc.driver import Compilation, run
from ssmc.options import Options

SPECS = {p.stem: p.read_text(encoding="utf-8") for p in sorted((Path(__file__).parents[2] / "specs").glob("*.ssm"))}
TOKEN = re.compile(r"[A-Za-z_]\w*'?|\d+(?:\.\d+)?(?:[eE][+-]?\d+)?|\*\*|//|->|[<>=!]=|\"[^\"\n]*\"|#[^\n]*|\s+|.")
WORDS = [t for text in SPECS.values() for t in TOKEN.findall(text) if t.strip() and not t.startswith("#")]
SECONDS = 2.0


def compiled(text: str, until: str) -> Compilation:
    """The compilation of a text: it ends soon, and in a result or a diagnostic."""
    source = Source("fuzz.ssm", text)
    began = time.perf_counter()
    done = run(source, Options(), until=until)
    taken = time.perf_counter() - began
    assert taken < SECONDS, f"{taken:.1f} s\n{text}"
    reached = {"layer": done.layer, "partition": done.partition, "text": done.text}[until]
    assert (reached is None) == done.failed, text
    assert len(as_json(done.diagnostics, source)) == len(done.diagnostics)
    for d in done.diagnostics:
        assert 0 <= d.primary.span.start <= d.primary.span.end <= len(text)
    done.rendered(color=True)
    return done


def changed(text: str, draw: random.Random) -> str:
    """One to three tokens dropped, doubled, swapped, or replaced by a token of some shipped spec."""
    tokens = TOKEN.findall(text)
    for _ in range(draw.randint(1, 3)):
        at = draw.choice([i for i, t in enumerate(tokens) if t.strip() and not t.startswith("#")])
        match draw.randint(0, 3):
            case 0:
                tokens[at] = ""
            case 1:
                tokens[at] = f"{tokens[at]} {tokens[at]}"
            case 2:
                other = draw.randrange(len(tokens))
                tokens[at], tokens[other] = tokens[other], tokens[at]
            case _:
                tokens[at] = draw.choice(WORDS)
        tokens = TOKEN.findall("".join(tokens))
    return "".join(tokens)


@pytest.mark.parametrize("name", SPECS)
@pytest.mark.parametrize("seed", range(40))
def test_tokens(name: str, seed: int) -> None:
    compiled(changed(SPECS[name], random.Random(f"{name} {seed}")), "partition")


@pytest.mark.slow
@pytest.mark.parametrize("name", SPECS)
@pytest.mark.parametrize("seed", range(1000))
def test_many_tokens(name: str, seed: int) -> None:
    compiled(changed(SPECS[name], random.Random(f"{seed} {name}")), "partition")


@pytest.mark.parametrize("name", SPECS)
@pytest.mark.parametrize("seed", range(3))
def test_tokens_to_the_end(name: str, seed: int) -> None:
    done = compiled(changed(SPECS[name], random.Random(f"end {name} {seed}")), "text")
    if done.text is not None:
        compile(done.text, "generated.py", "exec")


@settings(max_examples=60, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
@given(st.data())
def test_characters(data: st.DataObject) -> None:
    text = SPECS[data.draw(st.sampled_from(sorted(SPECS)))]
    for _ in range(data.draw(st.integers(1, 3))):
        at = data.draw(st.integers(0, len(text)))
        cut = data.draw(st.integers(0, 3))
        text = (
            text[:at]
            + data.draw(st.text(st.sampled_from("aeN0.,:=*-+/()[] \n'\"#\\{}%_é"), max_size=3))
            + text[at + cut :]
        )
    compiled(text, "partition")


H = "layer M(d_model)\n  input u[d_model]\n  param w[d_model] = 1\n"
STATE = "  state h[d_model]: h = {a} * prev(h) + u\n  return h\n"


def chain(count: int, step: str) -> str:
    return "".join(f"  a{i + 1} = {step.format(f'a{i}')}\n" for i in range(count))


def nest(count: int, inner: str) -> str:
    return "f(" * count + inner + ")" * count


HUGE = {
    "definitions double": H + "  def f0(v) = v * v + v\n" + "".join(f"  def f{i + 1}(v) = f{i}(f{i}(v))\n" for i in range(40))
    + "  a = f40(w)\n" + STATE.format(a="a"),
    "nested in a rate": H + "  def f(v) = v * v + v\n  state h[d_model]: h' = -" + nest(30, "w") + " * h + u by zoh, step 1\n  return h\n",
    "nested around a state": H + "  def f(v) = (v + 1) * w + v\n  state h[d_model]: h' = " + nest(30, "h") + " by zoh, step 1\n  return h\n",
    "a polynomial of a state": H + "  def f(v) = v * (v + 1)\n" + STATE.format(a=nest(30, "prev(h)")),
    "equations double": H + "  a0 = sigmoid(w)\n" + chain(60, "{0} * {0} + {0}") + STATE.format(a="a60"),
    "a long chain": H + "  a0 = sigmoid(u)\n" + chain(1900, "tanh({0})") + STATE.format(a="a1900"),
    "a long chain backwards": H + STATE.format(a="a1900").split("  return")[0]
    + "".join(reversed([line + "\n" for line in chain(1900, "tanh({0})").splitlines()])) + "  a0 = u\n  return h\n",
    "a tower": H + STATE.format(a="9 ** 9 ** 9 ** 9"),
    "a tower of a size": "layer M(d_model)\n  axis E = 9 ** 9 ** 9\n  input u[d_model]\n  param w[E]\n  y = u * sum[E](w)\n  return y\n",
    "axes of axes": "layer M(d_model)\n  axis A0 = 2\n" + "".join(f"  axis A{i + 1} = A{i}\n" for i in range(1500))
    + "  input u[d_model]\n  param w[A1500]\n  y = u * sum[A1500](w)\n  return y\n",
}  # fmt: skip


@pytest.mark.parametrize("name", HUGE)
def test_what_grows_without_end_is_refused(name: str) -> None:
    done = compiled(HUGE[name], "text")
    assert {d.code for d in done.diagnostics if d.severity.value == "error"} <= {"SSM0226", "SSM0227"} and done.failed
