"""`ssmc COMMAND ...`: finds the command and turns whatever goes wrong into one line and an exit code."""

from __future__ import annotations

import os
import sys
from importlib import import_module

from ssmc import __version__
from ssmc.commands import COMMANDS
from ssmc.commands.console import OK, USAGE, UsageError, emit_json, say

_INTERRUPTED = 130


def main(argv: list[str] | None = None) -> int:
    """Run a command line; the exit code is 0 (done), 1 (errors in a spec) or 2 (wrong usage)."""
    arguments = sys.argv[1:] if argv is None else argv
    try:
        code = _dispatch(arguments)
        sys.stdout.flush()
        return code
    except UsageError as error:
        say(f"ssmc: error: {error}")
        if "--json" in arguments:
            emit_json({"ok": False, "error": str(error)})
        return USAGE
    except SystemExit as stop:  # argparse, after `--help`
        return stop.code if isinstance(stop.code, int) else OK
    except BrokenPipeError:  # the reader went away, as `| head` does
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return OK
    except KeyboardInterrupt:
        return _INTERRUPTED


def _dispatch(arguments: list[str]) -> int:
    if not arguments:
        say(_help())
        return USAGE
    first, *rest = arguments
    if first in ("-h", "--help", "help"):
        print(_help())
        return OK
    if first in ("-V", "--version"):
        print(f"ssmc {__version__}")
        return OK
    if first not in COMMANDS:
        raise UsageError(_unknown(first))
    code: int = import_module(f"ssmc.commands.{first}").run(rest)
    return code


def _unknown(word: str) -> str:
    from ssmc.diagnostics.suggest import did_you_mean

    if word.startswith("-"):
        return f"unknown option {word}; a command comes first: {', '.join(COMMANDS)}"
    if word.endswith(".ssm"):
        return f"a command comes before the spec, as in `ssmc compile {word}`"
    near = did_you_mean(word, COMMANDS)
    hint = f"did you mean `{near}`?" if near else f"commands are {', '.join(COMMANDS)}"
    return f"`{word}` is no command; {hint}"


def _help() -> str:
    """What `ssmc --help` shows."""
    lines = [f"  {name:8} {import_module(f'ssmc.commands.{name}').SUMMARY}" for name in COMMANDS]
    return "\n".join(
        [
            "usage: ssmc COMMAND ...",
            "",
            "A compiler for state-space layers: equations in, one torch and Triton file out.",
            "",
            *lines,
            "",
            "`ssmc COMMAND --help` shows a command's options; `ssmc --version` the version.",
            "Exit codes: 0 done, 1 the spec has errors, 2 wrong usage.",
        ]
    )


if __name__ == "__main__":
    sys.exit(main())
