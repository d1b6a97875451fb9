"""`ssmc check`: what is wrong with specs, without writing anything."""

from __future__ import annotations

from typing import Any

from ssmc.commands.console import OK, USAGE, Parser, UsageError, emit_json, exit_code, say, show
from ssmc.commands.files import read_source
from ssmc.commands.settings import add_json, add_settings, options
from ssmc.options import Options

SUMMARY = "report what is wrong with specs"
DESCRIPTION = """Report what is wrong with specs, up to the plan of every recurrence. Writes nothing."""


def run(argv: list[str]) -> int:
    """Check specs, all of them even if one fails."""
    parser = Parser("check", DESCRIPTION)
    parser.add_argument("specs", metavar="SPEC", nargs="+", help="specs, or - for standard input")
    add_settings(parser)
    add_json(parser)
    args = parser.parse_args(argv)
    asked = options(args)
    results = [_check(name, asked, args.json) for name in args.specs]
    code = max(code for code, _ in results)
    if args.json:
        emit_json({"command": "check", "ok": code == OK, "files": [data for _, data in results]})
    return code


def _check(name: str, asked: Options, quiet: bool) -> tuple[int, dict[str, Any]]:
    """The exit code of one spec and what `--json` says of it."""
    from ssmc.diagnostics.render import as_json
    from ssmc.driver import run as compile_

    try:
        source = read_source(name)
    except UsageError as error:
        if not quiet:
            say(f"ssmc: error: {error}")
        return USAGE, {"file": name, "ok": False, "error": str(error), "diagnostics": []}
    done = compile_(source, asked, "plan")
    code = exit_code(done.diagnostics)
    if not quiet:
        show(done.diagnostics, source)
        if done.plan is not None and code == OK:
            print(f"{source.name}: ok: {_summary(done.plan)}")
    return code, {"file": source.name, "ok": code == OK, "diagnostics": as_json(done.diagnostics, source)}


def _summary(plan: Any) -> str:
    """The layer and the class of each of its recurrences."""
    kinds = [f"`{p.program.recurrence.name}` {p.classified.letter} ({p.classified.title})" for p in plan.programs]
    return ", ".join([plan.partition.layer.name, *(kinds or ["no recurrence"])])
