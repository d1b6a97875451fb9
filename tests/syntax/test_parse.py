"""What right texts mean: every kind of statement, exact spans, line structure."""

from __future__ import annotations

import logging
from dataclasses import fields, is_dataclass
from typing import Any

import lark
import pytest
from syntax_helpers import FRAME, KITCHEN_SINK, bare, read, refuse

from ssmc.resources import grammar_text
from ssmc.syntax import ast
from ssmc.syntax.layout import Layout
from ssmc.syntax.scan import RESERVED
from ssmc.syntax.unparse import expression


def statement(text: str) -> Any:
    """The tree of one statement."""
    return read(FRAME.format(f"  {text}\n")).body[1]


def nodes(node: Any) -> list[Any]:
    """Every dataclass with a span inside a tree, parents first."""
    if isinstance(node, tuple):
        return [n for item in node for n in nodes(item)]
    if not is_dataclass(node) or not hasattr(node, "span"):
        return []
    return [node, *(n for f in fields(node) for n in nodes(getattr(node, f.name)))]


def test_the_grammar_has_no_conflicts_and_fits_two_screens(caplog: pytest.LogCaptureFixture) -> None:
    text = grammar_text()
    lark.logger.setLevel(logging.DEBUG)
    try:
        with caplog.at_level(logging.DEBUG, logger="lark"):
            lark.Lark(text, parser="lalr", postlex=Layout(), start="spec", debug=True)  # type: ignore[arg-type]
    finally:
        lark.logger.setLevel(logging.CRITICAL)
    assert "onflict" not in caplog.text
    assert len(text.splitlines()) <= 120


def test_reserved_words_are_those_of_the_grammar() -> None:
    line = next(row for row in grammar_text().splitlines() if row.startswith("NAME:"))
    assert set(line[line.index("(?:") + 3 : line.index(r")\b")].split("|")) == RESERVED


def test_head() -> None:
    spec = read(KITCHEN_SINK)
    assert spec.doc == "Every statement there is."
    assert (spec.edition, spec.name.id) == (1, "Sink")
    assert [a.name.id for a in spec.args] == ["d_model", "d_state", "gate", "rate", "disc"]
    assert bare(spec.args[1]) == ("Argument", ("Name", "d_state"), None, ("Number", "16"))
    assert bare(spec.args[3]) == ("Argument", ("Name", "rate"), ("Name", "float"), None)
    assert bare(spec.args[4].default) == ("Choices", (("Name", "zoh"), ("Name", "bilinear")))
    assert KITCHEN_SINK[spec.span.start : spec.span.end].startswith("layer Sink(")


def test_every_node_kind_occurs_and_spans_nest() -> None:
    spec = read(KITCHEN_SINK)
    found = nodes(spec.body) + nodes(spec.args)
    kinds = {n.__name__ for u in (ast.Expr, ast.Statement) for n in u.__args__}
    assert kinds <= {type(n).__name__ for n in found}
    for node in found:
        text = KITCHEN_SINK[node.span.start : node.span.end]
        assert text and text == text.strip(), node
        for child in nodes(tuple(getattr(node, f.name) for f in fields(node))):
            assert node.span.start <= child.span.start <= child.span.end <= node.span.end
    for name in (n for n in found if isinstance(n, ast.Name)):
        assert KITCHEN_SINK[name.span.start : name.span.end] == name.id


def test_spans_of_expressions_carry_their_parentheses() -> None:
    text = FRAME.format("  y = (a + b) * sum[N](c)\n")
    equation = read(text).body[1]
    assert isinstance(equation, ast.Equation) and isinstance(equation.value, ast.Binary)
    product = equation.value
    for node, shown in [(product, "(a + b) * sum[N](c)"), (product.left, "(a + b)"), (product.right, "sum[N](c)")]:
        assert text[node.span.start : node.span.end] == shown


def test_param() -> None:
    node = statement('param A[H, N] complex = complex(0, 1) in [-1, 2 * N] no_decay fixed as "a.b"')
    assert isinstance(node, ast.Param)
    assert (node.complex, node.alias, [t.id for t in node.tags]) == (True, "a.b", ["no_decay", "fixed"])
    assert node.range is not None and [expression(e) for e in node.range] == ["-1", "2 * N"]
    plain = statement("param D")
    assert isinstance(plain, ast.Param)
    assert (plain.complex, plain.init, plain.range, plain.tags, plain.alias) == (False, None, None, (), None)
    assert plain.target.axes is None


def test_modules() -> None:
    linear = statement("linear f(u, x -> r[R], [N], bias = false, weight = normal(0, 1),)")
    assert isinstance(linear, ast.Module)
    assert (linear.kind, len(linear.inputs), len(linear.outputs), len(linear.options)) == ("linear", 2, 2, 2)
    assert linear.outputs[1].name is None
    conv = statement("conv f(u, width = 4, bias)")
    assert isinstance(conv, ast.Module)
    assert (conv.kind, conv.outputs, conv.options[1].value) == ("conv", (), None)
    many = statement("conv f(u, z -> a[N], b[N], width = 4, bias)")
    assert isinstance(many, ast.Module)
    assert (many.kind, len(many.inputs), len(many.outputs), len(many.options)) == ("conv", 2, 2, 2)


def test_states() -> None:
    ode = statement("state h[N]: h' = A * h by zoh(A), gbt(B, alpha = 0.3), step 2 * dt")
    assert isinstance(ode, ast.State)
    assert (ode.continuous, ode.updated.id, ode.allow_unstable) == (True, "h", False)
    assert [(m.name.id, [t.id for t in m.terms], len(m.keywords)) for m in ode.methods] == [
        ("zoh", ["A"], 0),
        ("gbt", ["B"], 1),
    ]
    assert ode.step is not None and expression(ode.step) == "2 * dt"
    discrete = statement("state s allow unstable: s = prev(s) + 1")
    assert isinstance(discrete, ast.State)
    assert (discrete.continuous, discrete.methods, discrete.step, discrete.allow_unstable) == (False, (), None, True)


@pytest.mark.parametrize(
    ("text", "meaning"),
    [
        ("-a ** -b", "-(a ** (-b))"),
        ("a ** b ** c", "a ** (b ** c)"),
        ("a - b - c", "(a - b) - c"),
        ("a / b * c", "(a / b) * c"),
        ("not a == b", "not (a == b)"),
        ("a or b and not c", "a or (b and (not c))"),
        ("a if b else c if d else e", "a if b else (c if d else e)"),
        ("-h[N as M] + 1", "(-(h[N as M])) + 1"),
    ],
)
def test_precedence(text: str, meaning: str) -> None:
    first, second = statement(f"y = {text}"), statement(f"y = {meaning}")
    assert bare(first) == bare(second)
    assert expression(second.value) == text


def test_calls_and_renames_share_brackets() -> None:
    assert bare(statement("y = f[N, M](x, k = 2)").value)[2] == (("Name", "N"), ("Name", "M"))
    assert bare(statement("y = (a + b)[N as M][K as L]").value)[0] == "Rename"


@pytest.mark.parametrize("word", ["step", "edition", "allow", "unstable", "complex", "no_decay", "fixed", "bias", "t_"])
def test_words_that_are_keywords_only_in_their_place(word: str) -> None:
    spec = read(FRAME.format(f"  {word} = 1\n  y[{word}], z = f({word}, {word} = {word}) + {word}\n"))
    assert len(spec.body) == 4


def test_continued_lines() -> None:
    one = "  y = f(u, 1) + 2\n"
    for many in [
        "  y = f(u,\n1)\n    + 2\n",
        "  y = f(u, # why\n\n  1\n  )\n   + 2\n",
        "  y =\n     f(u, 1)\n  # note\n      + 2\n",
    ]:
        assert bare(read(FRAME.format(many))) == bare(read(FRAME.format(one)))


def test_indentation_of_the_body_does_not_matter() -> None:
    flat = "\n".join(row[2:] if row.startswith("  ") else row for row in KITCHEN_SINK.split("\n"))
    deep = KITCHEN_SINK.replace("  ", "\t")
    for text in (flat, deep, KITCHEN_SINK.replace("\n", "\r\n"), KITCHEN_SINK.rstrip("\n"), "\n\n" + KITCHEN_SINK):
        assert bare(read(text))[2:-1] == bare(read(KITCHEN_SINK))[2:-1]


def test_nested_blocks_close_together() -> None:
    spec = read(FRAME.format("  if gate:\n    if gate:\n      y = 1\n  z = 2\n"))
    assert [type(s).__name__ for s in spec.body] == ["Input", "If", "Equation", "Return"]
    assert spec.body[1].span.end < spec.body[2].span.start


def test_comments_are_kept_beside_the_tree() -> None:
    text = "# a\n# b\n\n# c\nlayer M(d) # d\n  # e\n  return d # f\n# g"
    spec = read(text)
    assert spec.doc == "a\nb"
    assert [(c.text, c.own_line) for c in spec.comments] == [
        ("# a", True),
        ("# b", True),
        ("# c", True),
        ("# d", False),
        ("# e", True),
        ("# f", False),
        ("# g", True),
    ]
    assert all(text[c.span.start : c.span.end] == c.text for c in spec.comments)


def test_words_are_not_glued() -> None:
    for text in ("y = (u)ifgate else 1", "y = 2and u", "y = u if gate else(u)else 1"):
        refuse(FRAME.format(f"  {text}\n"))
