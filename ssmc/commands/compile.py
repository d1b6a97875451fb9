"""`ssmc compile`: a spec becomes one Python file."""

from __future__ import annotations

from ssmc.commands.console import OK, Parser, emit_json, exit_code, say, show
from ssmc.commands.files import STANDARD, read_source, write_text
from ssmc.commands.settings import add_json, add_plan, add_settings, options

SUMMARY = "compile a spec into one Python file"
DESCRIPTION = """Compile a spec into one Python file that needs torch, and uses triton where it is installed.

Without -o the file is <layer>_layer.py in the current directory (the layer's name in snake case); a spec from standard
input goes to standard output. The file is replaced as a whole, and left alone if nothing changed. With --emit the level
is printed instead of a file."""
LEVELS = {"layer": "layer", "regions": "partition", "plan": "plan", "program": "plan"}


def run(argv: list[str]) -> int:
    """Compile one spec."""
    parser = Parser("compile", DESCRIPTION)
    parser.add_argument("spec", metavar="SPEC", help="a spec, or - for standard input")
    parser.add_argument("-o", "--output", metavar="OUT", help="the file to write, or - for standard output")
    add_settings(parser)
    add_plan(parser)
    parser.add_argument("--emit", choices=tuple(LEVELS), help="print a level of the compiler instead of the file")
    add_json(parser)
    args = parser.parse_args(argv)
    asked = options(args)
    source = read_source(args.spec)

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

            text = done.text
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
