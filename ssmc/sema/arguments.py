"""The layer's arguments: kinds, defaults, and the settings the compilation was given for them."""

from __future__ import annotations

from collections.abc import Mapping

from ssmc.diagnostics.sink import Sink
from ssmc.diagnostics.suggest import did_you_mean
from ssmc.ir.expr import Const, Node, Pointwise
from ssmc.ir.layer import LayerArg
from ssmc.sema.context import SIZE, Refused
from ssmc.sema.scope import Setting
from ssmc.sema.values import Resolver
from ssmc.syntax import ast

KINDS = ("int", "float", "bool")


def declare(r: Resolver, args: tuple[ast.Argument, ...], settings: Mapping[str, Setting]) -> tuple[LayerArg, ...]:
    """Bind the arguments; a bool or choice is fixed to its setting, or to its default."""
    out: list[LayerArg] = []
    for a in args:
        try:
            arg = _argument(r, a, settings)
        except Refused:
            continue
        r.scope.bind(a.name, arg)
        out.append(arg)
    return tuple(out)


def unknown_settings(sink: Sink, spec: ast.Spec, settings: Mapping[str, Setting]) -> None:
    """Report settings of arguments the layer does not have."""
    names = [a.name.id for a in spec.args]
    for name in settings:
        if name not in names:
            near = did_you_mean(name, names)
            sink.report(
                "SSM0225", f"`{spec.name.id}` has no argument `{name}` to set", spec.name.span, "the layer",
                help=f"did you mean `{near}`?" if near else "its arguments are " + ", ".join(f"`{n}`" for n in names),
            )  # fmt: skip


def _argument(r: Resolver, a: ast.Argument, settings: Mapping[str, Setting]) -> LayerArg:
    name = a.name.id
    if isinstance(a.default, ast.Choices):
        words = tuple(n.id for n in a.default.names)
        return LayerArg(name, "choice", None, words, _fixed(r, a, "choice", settings, words[0], words), a.span)
    default: Node | None = None if a.default is None else r.lower(a.default, SIZE)
    kind = _kind(r, a, default)
    if kind == "bool":
        value = bool(default.value) if isinstance(default, Const) else False
        return LayerArg(name, kind, default, (), _fixed(r, a, kind, settings, value, ()), a.span)
    given = _fixed(r, a, kind, settings, None, ()) if name in settings else None
    return LayerArg(name, kind, default, (), given, a.span)


def _kind(r: Resolver, a: ast.Argument, default: Node | None) -> str:
    if a.annotation is not None:
        if a.annotation.id in KINDS:
            return a.annotation.id
        r.sink.report(
            "SSM0211", f"`{a.annotation.id}` is not a kind of argument", a.annotation.span, "unknown kind",
            notes=("arguments are " + ", ".join(f"`{k}`" for k in KINDS) + " or one of a named list such as `zoh | bilinear`",),
        )  # fmt: skip
        raise Refused
    if default is None:
        return "int"
    if default.dtype == "bool":
        return "bool"
    return "int" if _integral(default, a.default) else "float"


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
    r: Resolver, a: ast.Argument, kind: str, settings: Mapping[str, Setting], default: Setting | None, words: tuple[str, ...]
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
    offered = "`true` or `false`" if kind == "bool" else ", ".join(f"`{w}`" for w in words) if words else f"a value of kind {kind}"
    r.sink.report(
        "SSM0225", f"`{a.name.id}` cannot be set to `{value}`", a.span, f"takes {offered}",
    )  # fmt: skip
    return default
