"""`ssmc fmt`: one way to write a spec, comments kept."""

from __future__ import annotations

import difflib
import sys

from ssmc.commands.console import FAILED, OK, USAGE, Parser, UsageError, say, show
from ssmc.commands.files import STANDARD, read_source, write_text

SUMMARY = "format specs"
DESCRIPTION = """Rewrite specs in the canonical form. Comments and single blank lines stay.

- reads standard input and writes standard output. --check and --diff write nothing; --check exits with 1 if a spec is
not in canonical form."""


def run(argv: list[str]) -> int:
    """Format specs, all of them even if one fails."""
    parser = Parser("fmt", DESCRIPTION)
    parser.add_argument("specs", metavar="SPEC", nargs="+", help="specs, or - for standard input")
    parser.add_argument("--check", action="store_true", help="only tell which specs would change")
    parser.add_argument("--diff", action="store_true", help="only show what would change")
    args = parser.parse_args(argv)
    code = OK
    for name in args.specs:
        try:
            code = max(code, _format(name, args.check, args.diff))
        except UsageError as error:
            say(f"ssmc: error: {error}")
            code = USAGE
    return code


def _format(name: str, check: bool, diff: bool) -> int:
    from ssmc.driver import run as compile_
    from ssmc.syntax.format import format_text

    source = read_source(name)
    done = compile_(source, until="spec")
    show(done.diagnostics, source)
    if done.spec is None or done.failed:
        return FAILED
    text = format_text(source, done.spec)
    changed = text != source.text
    if diff:
        before, after = source.text.splitlines(keepends=True), text.splitlines(keepends=True)
        sys.stdout.writelines(_ended(difflib.unified_diff(before, after, source.name, f"{source.name} (formatted)")))
    if check and changed:
        say(f"{source.name}: not formatted")
    if not check and not diff and (name == STANDARD or changed):
        write_text(name, text)
        if name != STANDARD:
            say(f"{name}: formatted")
    return FAILED if check and changed else OK


def _ended(lines: object) -> list[str]:
    """Lines of a difference; one that ends without a newline says so, as diff does."""
    return [x if x.endswith("\n") else f"{x}\n\\ No newline at end of file\n" for x in lines]  # type: ignore[attr-defined]
