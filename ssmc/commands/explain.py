"""`ssmc explain`: what the compiler makes of a layer, and why."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from ssmc.commands.console import FAILED, OK, Parser, emit_json, exit_code, show
from ssmc.commands.files import read_source, write_bytes
from ssmc.commands.running import needed
from ssmc.commands.settings import add_json, add_plan, add_settings, options, positive

if TYPE_CHECKING:
    from ssmc.driver import Compilation
    from ssmc.options import Options

SUMMARY = "tell what the compiler makes of a layer, and why"
DESCRIPTION = """Tell what the compiler makes of a layer: its axes and values, the regions in order, and for every
recurrence its equations, class, frontier, adjoint, modes and stability; then parameters, work and state.

Counts are given in the layer's arguments and for their defaults; --set gives others, also to required arguments."""


def run(argv: list[str]) -> int:
    """Explain one spec."""
    parser = Parser("explain", DESCRIPTION)
    parser.add_argument("spec", metavar="SPEC", help="a spec, or - for standard input")
    add_settings(parser)
    add_plan(parser)
    parser.add_argument("--seqlen", type=positive, metavar="T", help="the length the modes are compared at")
    parser.add_argument("--batch", type=positive, metavar="B", default=1, help="the sequences of a call (default 1)")
    parser.add_argument("--plot", metavar="FILE", help="draw poles, filters and cost against length (matplotlib)")
    add_json(parser)
    args = parser.parse_args(argv)
    asked = options(args)
    source = read_source(args.spec)

    from ssmc.diagnostics.render import as_json
    from ssmc.driver import run as compile_

    done = compile_(source, asked, "plan")
    code = exit_code(done.diagnostics)
    if not args.json:
        show(done.diagnostics, source)
    explained = None
    if done.plan is not None and code == OK:
        from ssmc.explain.layer import explain
        from ssmc.explain.text import text

        explained = explain(done.plan, args.batch, args.seqlen)
        if args.plot is not None:
            _draw(args.plot, done, asked, args.batch)
        if not args.json:
            sys.stdout.write(text(explained))
    if args.json:
        document = {"command": "explain", "ok": code == OK, "file": source.name}
        emit_json(document | {"diagnostics": as_json(done.diagnostics, source), "explanation": explained})
    return code if explained is not None else code or FAILED


def _draw(name: str, done: Compilation, asked: Options, batch: int) -> None:
    """Write the pictures of a plan, of the layer as it is first initialised."""
    with needed("--plot", "'ssmc[plot]' torch"):
        import matplotlib  # noqa: F401
        import torch

    from ssmc.api import load
    from ssmc.explain.counts import arguments
    from ssmc.explain.plot import draw, pictures

    assert done.plan is not None
    layer = done.plan.partition.layer
    module = load(done.source.text + "\n", options=asked)
    given, _ = arguments(layer)
    torch.manual_seed(0)
    made = getattr(module, module.__all__[0])(**{a.name: given[a.name] for a in layer.args if a.name in given})
    params = {key: value.double().numpy() for key, value in made.state_dict().items()}
    write_bytes(name, draw(pictures(done.plan, params, batch), f"{layer.name} ({done.source.name})"))
