"""Conditions on layer arguments, decided when compiling: of `if` statements and of `a if flag else b`."""

from __future__ import annotations

from ssmc.diagnostics.sink import Label
from ssmc.diagnostics.suggest import did_you_mean
from ssmc.ir.layer import LayerArg
from ssmc.sema.scope import Scope
from ssmc.syntax import ast


def decide(scope: Scope, test: ast.Expr) -> bool | None:
    """The value of a condition; None once it was reported. Records which arguments it fixes at compile time."""
    match test:
        case ast.Boolean():
            return test.value
        case ast.Name():
            return _flag(scope, test)
        case ast.Unary(op="not"):
            inner = decide(scope, test.operand)
            return None if inner is None else not inner
        case ast.Binary(op="and" | "or" as op):
            left, right = decide(scope, test.left), decide(scope, test.right)
            if left is None or right is None:
                return None
            return (left and right) if op == "and" else (left or right)
        case ast.Binary(op="==" | "!=" as op, left=ast.Name() as name, right=ast.Name() as word):
            equal = _comparison(scope, name, word)
            return None if equal is None else equal == (op == "==")
    scope.sink.report(
        "SSM0212",
        "a condition combines `bool` and named-list arguments",
        test.span,
        "cannot be decided when compiling",
        help="for a condition on values of the layer use `where(condition, a, b)`",
    )
    return None


def _argument(scope: Scope, name: ast.Name) -> LayerArg | None:
    """The argument a condition names, if it can be tested."""
    arg = scope.names.get(name.id)
    if isinstance(arg, LayerArg) and arg.kind in ("bool", "choice"):
        if arg.fixed is None:
            scope.sink.report(
                "SSM0212",
                f"`{arg.name}` decides the layer's structure and has no value",
                name.span,
                "tested here",
                secondary=(Label(scope.spans[arg.name], "has no default"),),
                help=f"give it a default, `{arg.name} = false`, or compile with `--set {arg.name}=true`",
            )
            return None
        scope.structural[arg.name] = arg.fixed
        return arg
    if name.id in scope.refused:
        return None
    testable = [n for n, d in scope.names.items() if isinstance(d, LayerArg) and d.kind in ("bool", "choice")]
    if isinstance(arg, LayerArg):
        scope.sink.report(
            "SSM0212",
            f"`if` cannot test `{arg.name}`, an argument of kind {arg.kind}",
            name.span,
            "tested here",
            secondary=(Label(scope.spans[arg.name], "declared here"),),
            notes=("a condition changes the layer's structure: it tests a `bool` or a named-list argument",),
        )
        return None
    near = did_you_mean(name.id, testable)
    known = name.id in scope.names or name.id in ("t", "start", "pi", "inf")
    scope.sink.report(
        "SSM0212",
        f"`{name.id}` is not a `bool` or named-list argument of this layer",
        name.span,
        "cannot be decided when compiling",
        help=f"did you mean `{near}`?"
        if near
        else "for a condition on values of the layer use `where(condition, a, b)`"
        if known
        else f"declare it among the layer's arguments: `{name.id} = false`",
    )
    return None


def _flag(scope: Scope, name: ast.Name) -> bool | None:
    arg = _argument(scope, name)
    if arg is None:
        return None
    if arg.kind == "choice":
        scope.sink.report(
            "SSM0212",
            f"`{arg.name}` is one of a named list, neither true nor false",
            name.span,
            "tested here",
            secondary=(Label(scope.spans[arg.name], "declared here"),),
            help=f"write `{arg.name} == {arg.choices[0]}`",
        )
        return None
    return bool(arg.fixed)


def _comparison(scope: Scope, name: ast.Name, word: ast.Name) -> bool | None:
    """`disc == zoh`."""
    if name.id not in scope.names and isinstance(scope.names.get(word.id), LayerArg):
        name, word = word, name
    arg = _argument(scope, name)
    if arg is None:
        return None
    if arg.kind == "bool":
        scope.sink.report(
            "SSM0212",
            f"`{arg.name}` is true or false, and has no words to compare with",
            name.span.to(word.span),
            "compared here",
            secondary=(Label(scope.spans[arg.name], "declared here"),),
            help=f"write `{arg.name}` or `not {arg.name}`",
        )
        return None
    if word.id not in arg.choices:
        near = did_you_mean(word.id, arg.choices)
        scope.sink.report(
            "SSM0212",
            f"`{word.id}` is not a word of `{arg.name}`",
            word.span,
            "compared here",
            secondary=(Label(scope.spans[arg.name], "its words are " + ", ".join(f"`{c}`" for c in arg.choices)),),
            help=f"did you mean `{near}`?"
            if near
            else f"add it to the list: `{arg.name} = {' | '.join((*arg.choices, word.id))}`",
        )
        return None
    return arg.fixed == word.id
