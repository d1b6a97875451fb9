"""Which sums of exponentials get a running maximum, what it is, and what is said of the others."""

from __future__ import annotations

import pytest

from ssmc.diagnostics.span import Source
from ssmc.driver import Compilation, run
from ssmc.ir.layer import Gauge
from ssmc.ir.pretty import pretty

HEAD = """layer Sums(width)
  input k[width]
  input v[width]
"""
BOTH = """  state p[width]: p = 0.5 * prev(p) + exp(k) * v
  state q[width]: q = 0.5 * prev(q) + exp(k)
"""


def compiled(body: str) -> Compilation:
    return run(Source("sums.ssm", HEAD + body), until="plan", verify=True)


def gauges(body: str) -> tuple[Gauge, ...]:
    done = compiled(body)
    assert done.partition is not None, done.rendered()
    assert not any(d.code == "SSM0306" for d in done.diagnostics), done.rendered()
    return done.partition.layer.gauges


RECOGNISED = {
    "after the token": BOTH + "  return p / q",
    "before it": BOTH + "  return prev(p) / (prev(q) + 1e-10)",
    "the token apart": BOTH + "  return (prev(p) + exp(k + 2) * v) / (prev(q) + exp(k + 2))",
    "in equations of their own": BOTH + "  top = 2 * p - v\n  bottom = max(abs(q), 1)\n  return tanh(top / bottom)",
    "a constant beside": BOTH + "  return where(v > 0, p, -p) / relu(q)",
    "the logarithm": BOTH + "  return log(q) + 0 * p / q",
    "of differences": BOTH + "  return (p - prev(p)) / (q + prev(q))",
    "an exponential by name": "  e = exp(k)\n" + BOTH.replace("exp(k)", "e") + "  return p / (q + e)",
    "backward in time": BOTH.replace("prev", "next") + "  return (next(p) + exp(k) * v) / q",
    "a quotient below": BOTH + "  return v / (q / exp(k) + 1) + p / q",
}


@pytest.mark.parametrize("body", RECOGNISED.values(), ids=RECOGNISED)
def test_one_maximum_for_both_and_one_op(body: str) -> None:
    done = compiled(body)
    (g,) = gauges(body)
    assert tuple(g.written) == ("p", "q")
    assert [pretty(x) for x in g.exponents] == ["k"]
    assert done.partition is not None
    (r,) = done.partition.recurrences.values()
    assert [c.of for c in r.carried] == ["p", "q", "log_scale"]


def test_exponents_and_decays_of_their_own() -> None:
    body = """  state p[width]: p = sigmoid(v) * prev(p) + exp(k) * v + exp(-k)
  state q[width]: q = sigmoid(v) * prev(q) + exp(k)
  return p / q
"""
    one, other = gauges(body)
    assert [[pretty(x) for x in g.exponents] for g in (one, other)] == [["k", "-k"], ["k"]]
    assert pretty(one.log_decay) == "log_sigmoid(v)"


NOT_NEEDED = {
    "bounded": "  state p[width]: p = 0.5 * prev(p) + exp(-softplus(k)) * v\n  return p",
    "its own maximum": """  state m[width]: m = max(prev(m), k)
  state p[width] allow unstable: p = exp(prev(m) - m) * prev(p) + exp(k - m) * v
  return p
""",
    "a logarithm's": """  log_g = where(v >= 0, log(relu(v) + 0.5), -softplus(-v))
  state p[width]: p = 0.5 * prev(p) + exp(log_sigmoid(k) + log_g)
  return p
""",
    "of a parameter": "  param b[width]\n  state p[width]: p = 0.5 * prev(p) + exp(b) * v\n  return p + 0 * k",
}


@pytest.mark.parametrize("body", NOT_NEEDED.values(), ids=NOT_NEEDED)
def test_none_where_nothing_overflows(body: str) -> None:
    assert gauges(body) == ()


REFUSED = {
    "the result reads `s`, in which the scale does not cancel": "  state s[width]: s = 0.5 * prev(s) + exp(log(1 + exp(k)) + v)"
    + "\n  return s",
    "the result reads `result`, in which the scale does not cancel": BOTH + "  return p + q",
    "the result reads `p`, in which the scale does not cancel": BOTH + "  return p",
    "`tanh` is taken of a sum of exponentials, in `result`": BOTH + "  return tanh(p) / q",
    "two sums of exponentials are multiplied, in `result`": BOTH + "  return p * q / q",
    "its decay is not proven positive": BOTH.replace("0.5", "tanh(v)") + "  return p / q",
    "another token reads `top`": BOTH + "  top = p + q\n  return prev(top) / q",
    "what it gathers depends on `p`": BOTH
    + "  state s[width]: s = 0.5 * prev(s) + exp(k) * p\n  return s / q + p / q",
    "`s` gathers sums in which the scale does not cancel": BOTH
    + "  state s[width]: s = 0.5 * prev(s) + p\n  return s + p / q",
    "`tanh` is taken of a sum of exponentials, in `s`": BOTH
    + "  state s[width]: s = tanh(prev(s) + p)\n  return s + p / q",
    "`p` starts from a value of its own": BOTH.replace("prev(p)", "prev(p, 1)") + "  return p / q",
}


@pytest.mark.parametrize(("why", "body"), REFUSED.items(), ids=REFUSED)
def test_what_is_not_recognised_is_said_and_stays(why: str, body: str) -> None:
    done = compiled(body)
    found = [d for d in done.diagnostics if d.code == "SSM0306"]
    assert any(why in n for d in found for n in d.notes), done.rendered()
    assert done.partition is not None
    left = {n for d in found for n in ("p", "q", "s") if f"`{n}` gathers" in d.message}
    assert left.isdisjoint(n for g in done.partition.layer.gauges for n in g.written)


def test_rendered() -> None:
    assert compiled(BOTH + "  return p + v / q").rendered() == """\
warning[SSM0306]: `p` gathers exponentials that may overflow
  --> sums.ssm:4:3
   |
 4 |   state p[width]: p = 0.5 * prev(p) + exp(k) * v
   |   ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^ has no bound
   |
   = note: the result reads `result`, in which the scale does not cancel
   = help: read such sums through their quotients alone, or take a running maximum out of the exponent"""
