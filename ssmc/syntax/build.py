"""From Lark's tree to ours: one `case` a grammar rule, children first, without recursion.

Filtered tokens still count for positions, so a node's span is exactly the text its rule matched. An expression in
parentheses carries them in its span.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from lark import Token, Tree

from ssmc.diagnostics.span import Span
from ssmc.syntax import ast


def build(tree: Any, comments: tuple[ast.Comment, ...], doc: str) -> ast.Spec:
    """The spec that a parse tree of rule `spec` stands for."""
    edition, layer, *body = _fold(tree)
    (name, args), span = layer
    return ast.Spec(span, edition, name, args, tuple(body), comments, doc)


def _fold(tree: Any) -> Any:
    """Apply `_node` to every subtree, deepest first."""
    order, todo = [], [tree]
    while todo:
        item = todo.pop()
        order.append(item)
        if isinstance(item, Tree):
            todo.extend(item.children)
    done: list[Any] = []
    for item in reversed(order):
        if isinstance(item, Tree):
            start = len(done) - len(item.children)
            children = done[start:]
            del done[start:]
            meta = item.meta
            span = Span(0, 0) if meta.empty else Span(meta.start_pos, meta.end_pos)
            done.append(_node(str(item.data), span, children))
        else:
            done.append(_leaf(item) if isinstance(item, Token) else item)
    return done.pop()


def _leaf(token: Any) -> Any:
    """Names, literals and keywords that matter; an operator is its text."""
    span = Span(token.start_pos, token.end_pos)
    match token.type:
        case "NAME" | "COMPLEX" | "NO_DECAY" | "FIXED" | "BIAS":
            return ast.Name(span, str(token))
        case "DERIVATIVE":
            return ast.Name(Span(span.start, span.end - 1), str(token)[:-1])
        case "NUMBER":
            return ast.Number(span, str(token))
        case "TRUE" | "FALSE":
            return ast.Boolean(span, token.type == "TRUE")
        case "STRING":
            return str(token)[1:-1]
        case _:
            return str(token)


def _node(rule: str, span: Span, children: list[Any]) -> Any:
    """The node of one rule. Lists become tuples; absent optional parts are None."""
    match rule, children:
        # the layer
        case "spec", _:
            return children
        case "edition", [number]:
            return int(number.text)
        case "layer", [name, args]:
            return (name, args), span
        case "argument", [name, annotation, default]:
            return ast.Argument(span, name, annotation, default)
        case "choices", _:
            return ast.Choices(span, tuple(children))
        # statements
        case "axis", _:
            return ast.Axis(span, tuple(children))
        case "axis_def", [name, size]:
            return ast.AxisDef(span, name, size)
        case "input", [target, default]:
            return ast.Input(span, target, default)
        case "param", [target, cplx, init, within, tags, alias]:
            return ast.Param(span, target, cplx is not None, init, within, tags, alias)
        case "conv", [name, value, options, alias]:
            return ast.Module(span, "conv", name, (value,), (), options, alias)
        case "linear" | "conv_outputs", [name, inputs, results, alias]:
            outputs = tuple(r for r in results if isinstance(r, ast.Typed))
            options = tuple(r for r in results if isinstance(r, ast.Option))
            return ast.Module(span, rule.partition("_")[0], name, inputs, outputs, options, alias)
        case "output" | "typed", [name, axes]:
            return ast.Typed(span, name, axes)
        case "option", [name, value]:
            return ast.Option(span, name, value)
        case "equation", [*targets, value]:
            return ast.Equation(span, tuple(targets), value)
        case "state", [target, allow, updated, value]:
            return ast.State(span, target, allow is not None, updated, False, value, (), None)
        case "state_ode", [target, allow, updated, value, (methods, step)]:
            return ast.State(span, target, allow is not None, updated, True, value, methods, step)
        case "by", [*methods, step]:
            return tuple(methods), step
        case "method", [name, terms]:
            plain = tuple(t for t in terms or () if isinstance(t, ast.Name))
            return ast.Method(span, name, plain, tuple(t for t in terms or () if isinstance(t, ast.Keyword)))
        case "def", [name, params, body]:
            return ast.Def(span, name, params, body)
        case "if" | "elif", [test, body, orelse]:
            return _if(span, test, body, orelse)
        case "else", [body]:
            return body
        case "return", [value]:
            return ast.Return(span, value)
        # expressions
        case "binary", [left, op, right]:
            return ast.Binary(span, op, left, right)
        case "unary", [op, operand]:
            return ast.Unary(span, op, operand)
        case "conditional", [then, test, orelse]:
            return ast.Conditional(span, test, then, orelse)
        case "call", [func, axes, items]:
            plain = tuple(i for i in items if not isinstance(i, ast.Keyword))
            return ast.Call(span, func, axes, plain, tuple(i for i in items if isinstance(i, ast.Keyword)))
        case "keyword", [name, value]:
            return ast.Keyword(span, name, value)
        case "rename", [value, *pairs]:
            return ast.Rename(span, value, tuple(pairs))
        case "group", [value]:
            return replace(value, span=span)
        # parts without a node of their own
        case "alias", [text]:
            return text
        case "allow", []:
            return True
        case "arguments" | "axes" | "block" | "items" | "names" | "options" | "pair" | "range" | "results", _:
            return tuple(children)
        case "tags" | "terms" | "inputs", _:
            return tuple(children)
        case _:
            raise AssertionError(f"rule {rule} with {len(children)} children has no node")


def _if(span: Span, test: ast.Expr, body: tuple[ast.Statement, ...], orelse: Any) -> ast.If:
    """An `if` ends with its last statement, not with the line break that closes its block."""
    match orelse:
        case None:
            rest: tuple[ast.Statement, ...] = ()
        case ast.If():
            rest = (orelse,)
        case _:
            rest = orelse
    return ast.If(Span(span.start, (*body, *rest)[-1].span.end), test, body, rest)
