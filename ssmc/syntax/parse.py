"""Text to syntax tree. (being written)"""

from __future__ import annotations

from functools import cache
from typing import Any

from lark import Lark
from lark.exceptions import UnexpectedInput

from ssmc.diagnostics.sink import Sink
from ssmc.diagnostics.span import Source, Span
from ssmc.resources import grammar_text
from ssmc.syntax import ast
from ssmc.syntax.build import build
from ssmc.syntax.layout import Layout, LayoutError


@cache
def _parser() -> Any:
    return Lark(
        grammar_text(),
        parser="lalr",
        lexer="contextual",
        postlex=Layout(),
        propagate_positions=True,
        maybe_placeholders=True,
        start="spec",
    )


def parse(source: Source, sink: Sink) -> ast.Spec | None:
    """The tree of a spec, or None after reporting what is wrong with it."""
    try:
        tree = _parser().parse(source.text)
    except UnexpectedInput as error:
        pos = error.pos_in_stream or 0
        sink.report("SSM0101", "the line cannot be read", Span(pos, pos + 1), str(error))
        return None
    except LayoutError as error:
        sink.report("SSM0101", f"the line cannot be read: {error.kind}", error.span)
        return None
    return build(tree, (), "")
