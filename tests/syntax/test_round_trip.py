"""Text to tree and back: the canonical text means the same, and formatting it again changes nothing."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from syntax_helpers import FRAME, KITCHEN_SINK, bare, read

from ssmc.diagnostics.span import Source, Span
from ssmc.syntax import ast
from ssmc.syntax.format import format_text
from ssmc.syntax.unparse import WIDTH, expression, unparse

SPECS = sorted(Path(__file__).parents[2].glob("specs/*.ssm"))
HERE = Span(0, 0)

# --- any tree ------------------------------------------------------------------------------------------------------

names = st.sampled_from(["a", "B_2", "x", "step", "bias", "complex", "fixed", "sum", "edition", "lambda"]).map(
    lambda n: ast.Name(HERE, n)
)
numbers = st.sampled_from(["0", "16", "0.5", "1e-3", "2.5E+10"]).map(lambda n: ast.Number(HERE, n))
some_names = st.lists(names, min_size=1, max_size=3).map(tuple)
axes = st.none() | some_names
keys = st.none() | st.sampled_from(["a", "mixer.A_log", "", "a b # c"])


def tuples(of: st.SearchStrategy[Any], least: int = 0) -> st.SearchStrategy[Any]:
    return st.lists(of, min_size=least, max_size=3).map(tuple)


def compound(e: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    keyword = st.builds(ast.Keyword, st.just(HERE), names, e)
    operators = st.sampled_from(["+", "-", "*", "/", "//", "%", "**", "<", "<=", ">", ">=", "==", "!=", "and", "or"])
    return st.one_of(
        st.builds(ast.Unary, st.just(HERE), st.sampled_from(["-", "+", "not"]), e),
        st.builds(ast.Binary, st.just(HERE), operators, e, e),
        st.builds(ast.Conditional, st.just(HERE), e, e, e),
        st.builds(ast.Call, st.just(HERE), names, axes, tuples(e), tuples(keyword)),
        st.builds(ast.Rename, st.just(HERE), e, tuples(st.tuples(names, names), 1)),
    )


leaves = names | numbers | st.builds(ast.Boolean, st.just(HERE), st.booleans())
exprs = st.recursive(leaves, compound, max_leaves=12)
typed = st.builds(ast.Typed, st.just(HERE), names, axes)
outputs = st.builds(ast.Typed, st.just(HERE), st.none() | names, some_names)
keywords = tuples(st.builds(ast.Keyword, st.just(HERE), names, exprs))
methods = st.builds(ast.Method, st.just(HERE), names.filter(lambda n: n.id != "step"), tuples(names), keywords)
bias = st.builds(ast.Option, st.just(HERE), st.just(ast.Name(HERE, "bias")), st.none())
options = tuples(st.builds(ast.Option, st.just(HERE), names, exprs) | bias)
tags = tuples(st.sampled_from(["no_decay", "fixed"]).map(lambda n: ast.Name(HERE, n)))
state = (st.just(HERE), typed, st.booleans(), names)


def module(kind: str, out: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    several = tuples(exprs if kind == "linear" else exprs.filter(lambda e: not expression(e).startswith("bias")), 1)
    return st.builds(ast.Module, st.just(HERE), st.just(kind), names, several, out, options, keys)


simple = st.one_of(
    st.builds(ast.Axis, st.just(HERE), tuples(st.builds(ast.AxisDef, st.just(HERE), names, exprs), 1)),
    st.builds(ast.Input, st.just(HERE), typed, st.none() | exprs),
    st.builds(
        ast.Param,
        st.just(HERE),
        typed,
        st.booleans(),
        st.none() | exprs,
        st.none() | st.tuples(exprs, exprs),
        tags,
        keys,
    ),
    module("linear", tuples(outputs, 1)),
    module("conv", tuples(outputs, 1)),
    st.builds(ast.Module, st.just(HERE), st.just("conv"), names, st.tuples(exprs), st.just(()), options, keys),
    st.builds(ast.Equation, st.just(HERE), tuples(typed, 1), exprs),
    st.builds(ast.State, *state, st.just(False), exprs, st.just(()), st.none()),
    st.builds(ast.State, *state, st.just(True), exprs, tuples(methods, 1), exprs),
    st.builds(ast.Def, st.just(HERE), names, tuples(names), exprs),
)
statements = st.recursive(
    simple, lambda s: st.builds(ast.If, st.just(HERE), exprs, tuples(s, 1), tuples(s)), max_leaves=5
)
choices = st.builds(ast.Choices, st.just(HERE), st.lists(names, min_size=2, max_size=3).map(tuple))
arguments = st.builds(ast.Argument, st.just(HERE), names, st.none() | names, st.none() | exprs | choices)
returns = st.builds(ast.Return, st.just(HERE), exprs)
specs = st.builds(
    lambda edition, name, args, body, end, doc: ast.Spec(HERE, edition, name, args, (*body, end), (), doc),
    st.none() | st.just(1),
    names,
    tuples(arguments),
    st.lists(statements, max_size=4),
    returns,
    st.sampled_from(["", "What it is.", "A\n\n  B: (x"]),
)


@settings(max_examples=60, deadline=None, derandomize=True)
@given(specs)
def test_any_tree_survives(spec: ast.Spec) -> None:
    text = unparse(spec)
    again = read(text)
    assert bare(again) == bare(spec)
    assert unparse(again) == text
    assert format_text(Source("t", text), again) == text


# --- files ---------------------------------------------------------------------------------------------------------


def formatted(text: str) -> str:
    return format_text(Source("t", text), read(text))


@pytest.mark.parametrize(
    "text", [KITCHEN_SINK, *(p.read_text() for p in SPECS)], ids=["sink", *(p.stem for p in SPECS)]
)
def test_files(text: str) -> None:
    once = formatted(text)
    assert formatted(once) == once
    assert bare(read(once)) == bare(read(text))
    assert bare(read(unparse(read(text)))) == bare(read(text))
    assert sorted(c.text for c in read(once).comments) == sorted(c.text for c in read(text).comments)
    assert all(len(row) <= WIDTH for row in once.splitlines() if "#" not in row)


MESSY = """\


# doc

# other
edition 1  # ed
# before layer
layer M(d_model, # arg
  gate = true) # lay

  # first
  input   u[ d_model ]


  # a
  # b

  y = f( u, # in the middle
        3) # behind
  if gate: # head

    y = 1

    # tail of body

    # tail
  # before else
  else: # e
      # x
      z = ((a+b)*c)**2 +-(a*b) - (c - d) + not_x # z
      if gate :
       k=(-2)**2
      # after inner
      # in else
  # after if
  state h[N]:
    # inner
    h' = (A*h)+B
    by zoh(A,), euler ( B ), step dt # step
  return y
  # end in
# end out"""

NEAT = """\
# doc

# other
edition 1  # ed

# before layer
# arg
layer M(d_model, gate = true)  # lay
  # first
  input u[d_model]

  # a
  # b

  # in the middle
  y = f(u, 3)  # behind
  if gate:  # head
    y = 1

    # tail of body

    # tail
  # before else
  else:  # e
    # x
    z = ((a + b) * c) ** 2 + -(a * b) - (c - d) + not_x  # z
    if gate:
      k = (-2) ** 2
    # after inner
    # in else
  # after if
  # inner
  state h[N]: h' = A * h + B by zoh(A), euler(B), step dt  # step
  return y
  # end in
# end out
"""


def test_format() -> None:
    assert formatted(MESSY) == NEAT
    assert formatted(NEAT) == NEAT


def test_long_lines_break_where_brackets_are_fewest() -> None:
    long = "  y = where(index(N) > 3, alpha_one * beta_one, alpha_two * beta_two) + "
    long += "where(index(N) > 4, alpha_three * beta_three, alpha_four * beta_four)\n"
    expected = """\
  y = where(index(N) > 3, alpha_one * beta_one, alpha_two * beta_two)
      + where(index(N) > 4, alpha_three * beta_three, alpha_four * beta_four)
"""
    assert formatted(FRAME.format(long)) == FRAME.format(expected)
    assert formatted(FRAME.format(expected)) == FRAME.format(expected)


@settings(max_examples=60, deadline=None, derandomize=True)
@given(st.lists(st.sampled_from(["\n", "# c\n", "    # d\n", "  # e\n"]), max_size=12), st.integers(0, 10**6))
def test_comments_and_blank_lines_anywhere(extra: list[str], seed: int) -> None:
    rows = KITCHEN_SINK.splitlines(keepends=True)
    for i, row in enumerate(extra):
        rows.insert((seed * (i + 3)) % (len(rows) + 1), row)
    text = "".join(rows)
    once = formatted(text)
    assert formatted(once) == once
    assert bare(read(once))[2:-1] == bare(read(text))[2:-1]
    assert [c.text for c in read(once).comments] == [c.text for c in read(text).comments]


@pytest.mark.parametrize("path", sorted((Path(__file__).parents[2] / "specs").glob("*.ssm")), ids=lambda p: p.stem)
def test_shipped_specs_are_formatted(path: Path) -> None:
    from ssmc.cli import main

    assert main(["fmt", "--check", str(path)]) == 0
