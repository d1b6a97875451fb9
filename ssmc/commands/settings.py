"""The options that several commands share: `--set`, `--mode`, `--backend`, `--json`."""

from __future__ import annotations

import argparse
import re
from collections.abc import Collection

from ssmc.commands.console import UsageError
from ssmc.options import Options

Setting = int | float | bool | str
BACKENDS = ("triton", "eager")
_INT = re.compile(r"[+-]?\d{1,18}")
_FLOAT = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?")


def add_settings(parser: argparse.ArgumentParser) -> None:
    """`--set name=value`, once an argument."""
    parser.add_argument(
        "--set", dest="settings", metavar="NAME=VALUE", action="append", default=[],
        help="fix an argument of the layer when compiling; may be given several times",
    )  # fmt: skip


def add_plan(parser: argparse.ArgumentParser) -> None:
    """`--mode` and `--backend`."""
    from ssmc.modes import modes

    names = ("auto", *(m.name for m in modes()))
    parser.add_argument("--mode", choices=names, default="auto", help="force one evaluation mode")
    parser.add_argument(
        "--backend", choices=BACKENDS, default="triton",
        help="triton: kernels with the eager formulas beside them (default); eager: those alone",
    )  # fmt: skip


def add_json(parser: argparse.ArgumentParser) -> None:
    """`--json`."""
    parser.add_argument("--json", action="store_true", help="print one JSON document on standard output")


def settings(given: list[str]) -> dict[str, Setting]:
    """The settings by name. Numbers, `true` and `false` are what they look like, other words stay words."""
    found: dict[str, Setting] = {}
    for item in given:
        name, equals, text = item.partition("=")
        name, text = name.strip(), text.strip()
        if not equals or not name.isidentifier() or not text:
            raise UsageError(f"--set {item}: a setting is written NAME=VALUE, as in --set d_state=16")
        if name in found:
            raise UsageError(f"--set {item}: `{name}` is set twice")
        found[name] = _value(text)
    return found


def options(args: argparse.Namespace) -> Options:
    """What a command's options ask of a compilation."""
    return Options(settings(args.settings), getattr(args, "mode", "auto"), getattr(args, "backend", "triton"))


def shape(option: str, text: str, known: Collection[str]) -> tuple[int, int, dict[str, Setting]]:
    """`B,T[,NAME=VALUE]`: sequences, tokens, and arguments of the layer, whose names are known."""
    try:
        batch, length, *rest = text.split(",")
        found = positive(batch), positive(length), settings(rest)
    except (ValueError, argparse.ArgumentTypeError):
        example = f"{option} 8,2048"
        raise UsageError(f"{option} {text}: a shape is written B,T[,NAME=VALUE], as in {example}") from None
    if unknown := [n for n in found[2] if n not in known]:
        raise UsageError(f"{option} {text}: the layer has no argument `{unknown[0]}`")
    return found


def positive(text: str) -> int:
    """A positive whole number on the command line."""
    if not _INT.fullmatch(text) or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a positive whole number")
    return int(text)


def seconds(text: str) -> float:
    """A time on the command line."""
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not 0 <= value < 1e6:
        raise argparse.ArgumentTypeError(f"{text!r} is no number of seconds")
    return value


def _value(text: str) -> Setting:
    if text in ("true", "false"):
        return text == "true"
    if _INT.fullmatch(text):
        return int(text)
    return float(text) if _FLOAT.fullmatch(text) else text
