"""`ssmc compile`: a spec becomes one Python file."""

from __future__ import annotations

import argparse
from dataclasses import replace
from typing import TYPE_CHECKING

from ssmc.commands.console import OK, Parser, UsageError, emit_json, exit_code, say, show
from ssmc.commands.files import STANDARD, read_source, write_text
from ssmc.commands.running import needed
from ssmc.commands.settings import add_json, add_plan, add_settings, options, shape

if TYPE_CHECKING:
    from ssmc.driver import Compilation

SUMMARY = "compile a spec into one Python file"
DESCRIPTION = """Compile a spec into one Python file that needs torch, and uses triton where it is installed.

Without -o the file is <layer>_layer.py in the current directory (the layer's name in snake case); a spec from standard
input goes to standard output. The file is replaced as a whole, and left alone if nothing changed. With --emit the level
is printed instead of a file.

The file chooses how its kernels are launched from sizes and the device. With --tune it is measured on this machine's
GPU what is fastest for the shapes given, and the file keeps that in a table, by device and sizes; for all others it
chooses as before. It is an option of this command and not of `ssmc bench`, because what it finds belongs into the file,
whose first lines say how it was made. Another run may find another winner; without --tune equal specs give equal
files."""
LEVELS = {"layer": "layer", "regions": "partition", "plan": "plan", "program": "plan"}


def run(argv: list[str]) -> int:
    """Compile one spec."""
    parser = Parser("compile", DESCRIPTION)
    parser.add_argument("spec", metavar="SPEC", help="a spec, or - for standard input")
    parser.add_argument("-o", "--output", metavar="OUT", help="the file to write, or - for standard output")
    add_settings(parser)
    add_plan(parser)
    parser.add_argument(
        "--tune", metavar="B,T[,NAME=VALUE]", action="append", default=[],
        help="search launch configurations for so many sequences and tokens, needs a GPU; may be given several times",
    )  # fmt: skip
    parser.add_argument(
        "--tune-dtype", choices=("bfloat16", "float16", "float32"), default="bfloat16", help="of what streams in there"
    )
    parser.add_argument("--emit", choices=tuple(LEVELS), help="print a level of the compiler instead of the file")
    add_json(parser)
    args = parser.parse_args(argv)
    asked = options(args)
    if args.tune and (args.emit or asked.backend != "triton"):
        raise UsageError("--tune searches how kernels are launched: it goes with neither --emit nor --backend eager")
    source = read_source(args.spec)
    if args.tune:
        _needs_gpu()

    from ssmc.driver import run as compile_

    done = compile_(source, asked, LEVELS.get(args.emit, "text"))
    code = exit_code(done.diagnostics)
    target: str | None = None
    written = False
    text = data = None
    if code == OK and done.layer is not None:
        if args.emit:
            from ssmc.ir.dump import as_data, dump

            text, data = dump(done, args.emit), as_data(done, args.emit) if args.json else None
            target = args.output or (None if args.json else STANDARD)
        else:
            from ssmc.codegen.names import snake

            text = _tuned(done, args) if args.tune else done.text
            target = args.output or (STANDARD if args.spec == STANDARD else f"{snake(done.layer.name)}_layer.py")
    if not args.json:
        show(done.diagnostics, source)
    if text is not None and target is not None and not (args.json and target == STANDARD):
        written = write_text(target, text)
        if target != STANDARD and not args.json:
            say(f"{target}: {'written' if written else 'unchanged'}, {text.count(chr(10))} lines")
    if args.json:
        from ssmc.diagnostics.render import as_json

        document: dict[str, object] = {"command": "compile", "ok": code == OK, "file": source.name}
        document["diagnostics"] = as_json(done.diagnostics, source)
        if target is not None:
            document |= {"text": text} if target == STANDARD else {"output": target, "written": written}
        if args.emit and data is not None:
            document |= {"level": args.emit, args.emit: data}
        emit_json(document)
    return code


def _needs_gpu() -> None:
    """Raises UsageError where there is nothing to measure on."""
    with needed("--tune", "'ssmc[run]' triton"):
        import numpy  # noqa: F401

        from ssmc.measuring.tune import has_gpu
    if not has_gpu():
        raise UsageError("--tune measures on a GPU, and there is no CUDA device here")


def _tuned(done: Compilation, args: argparse.Namespace) -> str:
    """The file with what was found to be fastest here."""
    from ssmc.codegen.emit import emit
    from ssmc.measuring.calls import Shape
    from ssmc.measuring.tune import tuned

    assert done.plan is not None
    known = {a.name for a in done.plan.partition.layer.args}
    plan = replace(done.plan, tuned_for=tuple(args.tune))
    if not plan.programs or not plan.kernels:
        raise UsageError("--tune: no recurrence of this layer has a kernel")
    found = tuned(plan, [Shape(*shape("--tune", text, known)) for text in args.tune], args.tune_dtype, say)
    if not found:
        say("no kernel is launched for these shapes whose launch could be tuned")
    return emit(replace(plan, tuned=found))
