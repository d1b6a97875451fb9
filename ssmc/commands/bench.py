"""`ssmc bench`: times a layer's ops on this machine, against what else there is, after checking that they are right."""

from __future__ import annotations

import argparse
import json
import sys
import warnings
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from ssmc.commands.console import FAILED, OK, Parser, UsageError, emit_json, say
from ssmc.commands.files import read_source, write_bytes, write_text
from ssmc.commands.running import compiled, needed
from ssmc.commands.settings import add_json, add_plan, add_settings, options, positive, seconds, shape

if TYPE_CHECKING:
    from ssmc.diagnostics.span import Source
    from ssmc.driver import Compilation
    from ssmc.measuring.bench import Where
    from ssmc.measuring.calls import Shape
    from ssmc.options import Options
    from ssmc.testing.generated import Generated

SUMMARY = "time a layer's ops on this machine, against peers and the floor"
DESCRIPTION = """Compile a spec and time its ops on this machine: forward, forward with backward, and the step; against
the eager form, that form under torch.compile, and the peers described in bench/peers. Results and gradients are first
held against the token loop in float64; what is wrong gets no time. The floor is every byte moved once at the bandwidth
of a copy, or every special function once. Figures are medians of runs that take turns. Needs torch and numpy.

--modes times the modes of ops that have several instead, and tells whether the file chooses the fastest; --plot draws
that against length."""
DTYPES = ("float32", "bfloat16", "float16", "float64")
WITHOUT = ("eager", "torch.compile", "peers")


def run(argv: list[str]) -> int:
    """Measure one spec."""
    args = _parser().parse_args(argv)
    asked, source = options(args), read_source(args.spec)
    with needed("`ssmc bench`"):
        import numpy  # noqa: F401
        import torch
    if args.plot:
        with needed("`ssmc bench`", "'ssmc[plot]'"):
            import matplotlib  # noqa: F401

    done, code = compiled(source, asked)
    if code != OK:
        return code
    if args.threads:
        torch.set_num_threads(args.threads)
    warnings.filterwarnings("ignore", message=".* runs on the eager backend")

    from ssmc.measuring.bench import Where
    from ssmc.measuring.clock import machine
    from ssmc.measuring.report import machine_data

    device = args.device or ("cuda" if torch.cuda.is_available() else "cpu")
    if device == "cuda" and not torch.cuda.is_available():
        raise UsageError("--device cuda: there is no CUDA device")
    backend = "triton" if device == "cuda" and args.backend == "triton" else "eager"
    where = Where(device, getattr(torch, args.dtype), backend, args.seconds, machine(device), tuple(args.without))
    shapes = _shapes(args, done)
    document: dict[str, Any] = {"command": "bench", "file": source.name, **machine_data(where)}
    by_mode = args.modes or args.plot is not None
    right, text, data = _modes(done, asked, shapes, where, args) if by_mode else _ops(done, shapes, where, args)
    document |= {"ok": right, **data}
    if args.output:
        from ssmc import __version__

        write_text(args.output, json.dumps({"ssmc": __version__, **document}, indent=1) + "\n")
    if args.json:
        emit_json(document)
    else:
        print(f"{document['device']}, {document['dtype']}, copy {where.machine.bandwidth / 1e9:.1f} GB/s\n")
        sys.stdout.write(text)
    return OK if right else FAILED


def _parser() -> Parser:
    parser = Parser("bench", DESCRIPTION)
    parser.add_argument("spec", metavar="SPEC", help="a spec, or - for standard input")
    parser.add_argument(
        "--shape", metavar="B,T[,NAME=VALUE]", action="append", default=[],
        help="sequences, tokens and arguments of the layer; may be given several times",
    )  # fmt: skip
    parser.add_argument("--batch", type=positive, metavar="B", default=1, help="the sequences of a call (default 1)")
    parser.add_argument("--seqlen", type=positive, metavar="T", default=1024, help="its length (default 1024)")
    add_settings(parser)
    parser.add_argument("--dtype", choices=DTYPES, default="float32", help="of what streams in and out")
    parser.add_argument("--device", choices=("cpu", "cuda"), help="where to run (default: cuda if there is one)")
    add_plan(parser)
    parser.add_argument("--against", metavar="FILE", action="append", default=[], help="describes a further peer")
    parser.add_argument("--without", choices=WITHOUT, action="append", default=[], help="leave something out")
    parser.add_argument("--seconds", type=seconds, default=1.0, metavar="N", help="time for each figure (default 1)")
    parser.add_argument("--threads", type=positive, metavar="N", help="threads on a CPU; on a shared machine, take one")
    parser.add_argument("--modes", action="store_true", help="time every mode instead, and judge the choice")
    parser.add_argument("--plot", metavar="FILE", help="draw the modes' time against length (matplotlib)")
    parser.add_argument("-o", "--output", metavar="FILE", help="write the results as JSON")
    add_json(parser)
    return parser


def _ops(
    done: Compilation, shapes: list[Shape], where: Where, args: argparse.Namespace
) -> tuple[bool, str, dict[str, Any]]:
    """Every op against everyone: whether ours were right, the table, and the data."""
    from ssmc.measuring.bench import measure
    from ssmc.measuring.contenders import OURS
    from ssmc.measuring.peers import BadPeer, read_peers
    from ssmc.measuring.report import rows_data, table
    from ssmc.resources import peer_dir
    from ssmc.testing.generated import load

    try:
        peers = read_peers(peer_dir(), args.against)
    except BadPeer as error:
        raise UsageError(str(error)) from None
    assert done.text is not None and done.plan is not None
    generated = load(done.text, done.plan)
    rows = [row for shape in shapes for row in measure(generated, shape, peers, where)]
    return not any(r.wrong and r.who == OURS for r in rows), table(rows), {"rows": rows_data(rows)}


def in_every_mode(source: Source, asked: Options) -> dict[str, Generated]:
    """The file of a spec in every mode that can evaluate it."""
    from ssmc.driver import run as compile_
    from ssmc.modes import modes
    from ssmc.testing.generated import load

    made = {m.name: compile_(source, replace(asked, mode=m.name)) for m in modes()}
    return {n: load(d.text, d.plan) for n, d in made.items() if d.text is not None and d.plan is not None}


def _modes(
    done: Compilation, asked: Any, shapes: list[Shape], where: Where, args: argparse.Namespace
) -> tuple[bool, str, dict[str, Any]]:
    """Every mode of every op: whether all were right, the table, and the data."""
    from ssmc.measuring.modes import measure_modes
    from ssmc.measuring.report import modes_data, modes_table
    from ssmc.testing.generated import load

    assert done.text is not None and done.plan is not None
    forced = in_every_mode(done.source, asked)
    auto = load(done.text, done.plan)
    found = [m for shape in shapes for m in measure_modes(auto, forced, shape, where)]
    if not found:
        say("no op here has several modes")
    elif args.plot:
        from ssmc.measuring.plot import draw

        write_bytes(args.plot, draw(found, f"{auto.plan.partition.layer.name} ({done.source.name})"))
    return not any(m.wrong for m in found), modes_table(found), {"modes": modes_data(found)}


def _shapes(args: argparse.Namespace, done: Compilation) -> list[Shape]:
    """The shapes asked for; a plot without any goes through lengths up to the one given."""
    from ssmc.explain.counts import arguments
    from ssmc.measuring.calls import Shape

    assert done.plan is not None
    layer = done.plan.partition.layer
    known = {a.name for a in layer.args}
    out = []
    for text in args.shape:
        batch, length, more = shape("--shape", text, known)
        out.append(Shape(batch, length, arguments(layer, given=more)[0]))
    if out:
        return out
    lengths = [args.seqlen]
    if args.plot:
        lengths = [2**i for i in range(4, args.seqlen.bit_length()) if 2**i < args.seqlen] + lengths
    return [Shape(args.batch, n, arguments(layer)[0]) for n in lengths]
