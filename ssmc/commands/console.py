"""What commands say to a person: diagnostics on stderr, one JSON document on stdout, usage errors in one line."""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Iterable
from typing import IO, Any

from ssmc import __version__
from ssmc.diagnostics.sink import Diagnostic
from ssmc.diagnostics.span import Source

OK, FAILED, USAGE = 0, 1, 2
_SETTINGS = "SSM0225"  # a bad `--set` is a mistake in the command, not in the spec


class UsageError(Exception):
    """The command cannot do what it was asked; the message is one line."""


class Parser(argparse.ArgumentParser):
    """A parser of one command; a mistake is a UsageError, so that every command reports it alike."""

    def __init__(self, name: str, description: str | None) -> None:
        super().__init__(
            prog=f"ssmc {name}",
            description=description,
            formatter_class=argparse.RawDescriptionHelpFormatter,
            allow_abbrev=False,
        )

    def error(self, message: str) -> Any:
        """Report a mistake in the command line."""
        raise UsageError(f"{message} (`{self.prog} --help` shows how it is used)")


def colored(stream: IO[str]) -> bool:
    """Whether a stream is a terminal that wants color."""
    if os.environ.get("NO_COLOR") or os.environ.get("TERM") == "dumb":
        return False
    return stream.isatty()


def show(diagnostics: Iterable[Diagnostic], source: Source) -> None:
    """Diagnostics on stderr."""
    from ssmc.diagnostics.render import render

    text = render(diagnostics, source, color=colored(sys.stderr))
    if text:
        print(text + "\n", file=sys.stderr)


def say(text: str) -> None:
    """A line for people, on stderr."""
    print(text, file=sys.stderr)


def emit_json(document: dict[str, Any]) -> None:
    """The one JSON document of a command."""
    json.dump({"ssmc": __version__, **document}, sys.stdout, indent=2, ensure_ascii=False)
    sys.stdout.write("\n")


def exit_code(diagnostics: Iterable[Diagnostic]) -> int:
    """0 without errors; 2 if every error is about `--set`; else 1."""
    errors = [d.code for d in diagnostics if d.severity.value == "error"]
    if not errors:
        return OK
    return USAGE if all(code == _SETTINGS for code in errors) else FAILED
