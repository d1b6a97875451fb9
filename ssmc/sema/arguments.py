"""The layer's arguments: kinds, defaults, and the settings the compilation was given for them."""

from __future__ import annotations

from collections.abc import Mapping

from ssmc.diagnostics.sink import Edit, Label, Sink
from ssmc.diagnostics.span import Span
from ssmc.diagnostics.suggest import did_you_mean
from ssmc.ir.expr import Const, Node, Pointwise
from ssmc.ir.layer import LayerArg
from ssmc.sema.context import SIZE, Refused
from ssmc.sema.scope import Setting, nodes
from ssmc.sema.values import Resolver
from ssmc.sema.words import CONSTANTS, FUNCTION_NAMES
from ssmc.syntax import ast

KINDS = ("int", "float", "bool")


def declare(r: Resolver, args: tuple[ast.Argument, ...], settings: Mapping[str, Setting]) -> tuple[LayerArg, ...]:
    """Bind the arguments; a bool or choice is fixed to its setting, or to its default."""
    out: list[LayerArg] = []
    names = [a.name.id for a in args]
    for i, a in enumerate(args):
        try:
            _earlier_only(r, a, names[i:])
            arg = _argument(r, a, settings)
        except Refused:
            r.scope.refused.add(a.name.id)
            continue
        if r.scope.bind(a.name, arg):
            out.append(arg)
    return tuple(out)


def _earlier_only(r: Resolver, a: ast.Argument, later: list[str]) -> None:
    """A default names earlier arguments, nothing else."""
    if a.default is None or isinstance(a.default, ast.Choices):
        return
    known = {*FUNCTION_NAMES, *CONSTANTS, *r.scope.names, *r.scope.refused}
    for n in nodes(a.default):
        if not isinstance(n, ast.Name) or n.id in known:
            continue
        if n.id in later:
            message = f"the default of `{a.name.id}` names " + (
                "itself" if n.id == a.name.id else f"`{n.id}`, a later argument"
            )
            advice = None if n.id == a.name.id else f"declare `{n.id}` before `{a.name.id}`"
        else:
            near = did_you_mean(n.id, list(r.scope.names))
            message, advice = (
                f"the default of `{a.name.id}` names `{n.id}`, which is no argument",
                f"did you mean `{near}`?" if near else None,
            )
        r.sink.report(
            "SSM0211",
            message,
            n.span,
            "not known here",
            notes=("a default is an expression of the arguments before it",),
            help=advice,
        )
        raise Refused


def unknown_settings(sink: Sink, spec: ast.Spec, settings: Mapping[str, Setting]) -> None:
    """Report settings of arguments the layer does not have."""
    names = [a.name.id for a in spec.args]
    for name in settings:
        if name not in names:
            near = did_you_mean(name, names)
            sink.report(
                "SSM0225",
                f"`{spec.name.id}` has no argument `{name}` to set",
                spec.name.span,
                "the layer",
                help=f"did you mean `{near}`?"
                if near
                else "its arguments are " + ", ".join(f"`{n}`" for n in names)
                if names
                else None,
            )


def _argument(r: Resolver, a: ast.Argument, settings: Mapping[str, Setting]) -> LayerArg:
    name = a.name.id
    if isinstance(a.default, ast.Choices):
        words = tuple(n.id for n in a.default.names)
        for i, n in enumerate(a.default.names):
            if n.id in words[:i]:
                r.sink.report(
                    "SSM0211",
                    f"`{n.id}` stands twice in the list of `{name}`",
                    n.span,
                    "again here",
                    secondary=(Label(a.default.names[words.index(n.id)].span, "first here"),),
                    help="remove it",
                )
                raise Refused
        if a.annotation is not None:
            r.sink.report(
                "SSM0211",
                f"`{name}` is one of a named list and has no other kind",
                a.annotation.span,
                "not needed",
                help="remove it",
                edit=Edit(Span(a.name.span.end, a.annotation.span.end), ""),
            )
            raise Refused
        return LayerArg(name, "choice", None, words, _fixed(r, a, "choice", settings, words[0], words), a.span)
    default: Node | None = None if a.default is None else r.lower(a.default, SIZE)
    kind = _kind(r, a, default)
    if kind == "bool":
        value = bool(default.value) if isinstance(default, Const) else None
        return LayerArg(name, kind, default, (), _fixed(r, a, kind, settings, value, ()), a.span)
    given = _fixed(r, a, kind, settings, None, ()) if name in settings else None
    return LayerArg(name, kind, default, (), given, a.span)


def _kind(r: Resolver, a: ast.Argument, default: Node | None) -> str:
    found = (
        "int"
        if default is None
        else "bool"
        if default.dtype == "bool"
        else "int"
        if _integral(default, a.default)
        else "float"
    )
    if a.annotation is None:
        return found
    kind = a.annotation.id
    if kind not in KINDS:
        near = did_you_mean(kind, KINDS) or {
            "integer": "int",
            "number": "float",
            "real": "float",
            "boolean": "bool",
        }.get(kind.lower())
        r.sink.report(
            "SSM0211",
            f"`{kind}` is not a kind of argument",
            a.annotation.span,
            "unknown kind",
            notes=(
                "arguments are "
                + ", ".join(f"`{k}`" for k in KINDS)
                + " or one of a named list such as `zoh | bilinear`",
            ),
            help=f"write `{near}`" if near else None,
            edit=Edit(a.annotation.span, near) if near else None,
        )
        raise Refused
    if default is not None and a.default is not None and found != kind and (found, kind) != ("int", "float"):
        r.sink.report(
            "SSM0211",
            f"the default of `{a.name.id}` is of kind {found}, not {kind}",
            a.default.span,
            f"of kind {found}",
            secondary=(Label(a.annotation.span, f"declared {kind}"),),
            help=f"write `{found}`",
            edit=Edit(a.annotation.span, found),
        )
        raise Refused
    return kind


def _integral(node: Node, written: ast.Expr | None) -> bool:
    match node:
        case Const():
            text = written.text if isinstance(written, ast.Number) else ""
            return node.value == int(node.value) and "." not in text and "e" not in text.lower()
        case Pointwise(fn="ceil" | "floor" | "round" | "floordiv"):
            return True
        case Pointwise(fn="add" | "sub" | "mul" | "max" | "min" | "mod" | "neg"):
            return all(_integral(c, None) for c in node.args)
        case Pointwise():
            return False
    return True


def _fixed(
    r: Resolver,
    a: ast.Argument,
    kind: str,
    settings: Mapping[str, Setting],
    default: Setting | None,
    words: tuple[str, ...],
) -> Setting | None:
    if a.name.id not in settings:
        return default
    value = settings[a.name.id]
    good = {
        "bool": isinstance(value, bool),
        "choice": value in words,
        "int": isinstance(value, int) and not isinstance(value, bool),
        "float": isinstance(value, int | float) and not isinstance(value, bool),
    }[kind]
    if good:
        return value
    offered = (
        "`true` or `false`"
        if kind == "bool"
        else ", ".join(f"`{w}`" for w in words)
        if words
        else f"a value of kind {kind}"
    )
    r.sink.report(
        "SSM0225",
        f"`{a.name.id}` cannot be set to `{str(value).lower() if isinstance(value, bool) else value}`",
        a.span,
        f"takes {offered}",
    )
    return default
