"""`ssmc test`: tries a generated file against its own token loop and its equations, on this machine."""

from __future__ import annotations

import argparse
import os
import sys
from typing import TYPE_CHECKING, Any

from ssmc.commands.console import FAILED, OK, Parser, UsageError, emit_json, say
from ssmc.commands.files import STANDARD, read_source
from ssmc.commands.running import compiled, needed
from ssmc.commands.settings import add_json, add_settings, options, seconds

if TYPE_CHECKING:
    from ssmc.testing.suite import Failure, Report, Tally

SUMMARY = "try a layer's generated code against its token loop"
DESCRIPTION = """Compile a spec and try the generated code: every op against its token loop, all gradients against
autograd, float32 against float64, the layer against its equations, cut at random, token by token, packed, and row by
row; with random sizes, lengths from 0 to 129 and values scaled by 0.001, 1 and 30. On a machine with a CUDA device the
kernels are tried too; elsewhere --interpret tries them in Triton's interpreter, on short sequences. Needs torch and
numpy.

A failure is made as small as possible and shown as a line for --case, which tries it again."""


_NO_KERNEL = "; no CUDA device, so no kernel was tried"


def run(argv: list[str]) -> int:
    """Test one spec."""
    parser = Parser("test", DESCRIPTION)
    parser.add_argument("spec", metavar="SPEC", help="a spec, or - for standard input")
    parser.add_argument("--seconds", type=seconds, default=20.0, metavar="N", help="how long to try (default 20)")
    parser.add_argument("--seed", type=int, default=0, help="the seed of all random choices (default 0)")
    parser.add_argument("--file", metavar="GENERATED", help="try this generated file instead of compiling the spec")
    parser.add_argument("--case", metavar="CASE", help="try one case again, as a failure shows it")
    parser.add_argument("--interpret", action="store_true", help="try the kernels without a GPU, slowly")
    add_settings(parser)
    add_json(parser)
    args = parser.parse_args(argv)
    asked = options(args)
    source = read_source(args.spec)
    if args.interpret:
        os.environ["TRITON_INTERPRET"] = "1"  # before triton is imported
    with needed("`ssmc test` runs the generated code and"):
        import numpy  # noqa: F401
        import torch

    done, code = compiled(source, asked)
    if code != OK:
        return code
    assert done.text is not None and done.plan is not None and done.layer is not None

    from ssmc.testing.case import parse
    from ssmc.testing.generated import load
    from ssmc.testing.suite import run as run_suite

    text = done.text if args.file is None else read_source(args.file).text
    cuda = torch.cuda.is_available() and not args.interpret
    try:
        generated = load(text, done.plan)
    except Exception as error:
        raise UsageError(f"{args.file or source.name}: the generated file cannot be imported: {error}") from None
    try:
        only = parse(args.case, done.layer) if args.case else None
        report = run_suite(generated, args.seconds, args.seed, only, cuda=cuda, interpreter=args.interpret)
    except ValueError as error:
        raise UsageError(f"--case: {error}") from None
    if args.json:
        emit_json({"command": "test", "ok": not report.failures, "file": source.name, **_data(report)})
    else:
        head = f"{done.layer.name}: {report.cases} cases in {report.seconds:.1f} s, seed {args.seed}"
        places = ", triton on cuda" if cuda else ", triton in its interpreter" if args.interpret else _NO_KERNEL
        print(f"{head}; eager on cpu{places}")
        _print(report, _again(args))
    return FAILED if report.failures else OK


def _again(args: argparse.Namespace) -> str:
    """The command that tries a case of this run again, up to the case."""
    words = ["ssmc test", "SPEC" if args.spec == STANDARD else args.spec]
    words += [f"--set {s}" for s in args.settings] + [f"--file {args.file}"] * bool(args.file)
    return " ".join([*words, *["--interpret"] * args.interpret, "--case"])


def _print(report: Report, again: str) -> None:
    width = max(len(t.property.title) for t in report.tallies)
    for t in report.tallies:
        if t.cases:
            print(f"  {'FAILED' if _failed(t, report) else 'ok':6}  {t.property.title:{width}}  {_numbers(t)}")
    for f in report.failures:
        print("\n" + "\n".join(_failure(f, again)))
    sys.stdout.flush()
    for t in report.tallies:
        if t.loosened:
            say(f"{t.property.title}: in {t.loosened} cases the token loop is itself off by as much; judged by that")


def _failed(t: Tally, report: Report) -> bool:
    return any(f.property is t.property for f in report.failures)


def _numbers(t: Tally) -> str:
    if t.worst is None or not t.compared:
        return f"{t.cases:4} cases  nothing finite to compare"
    return f"{t.cases:4} cases  worst error {t.worst.error:8.1e} of {t.worst.tolerance:.0e}  ({t.worst.what})"


def _failure(f: Failure, again: str) -> list[str]:
    wrong = f.error.strip() or f"{f.outcome.what} is off by {f.outcome.error:.3g}; {f.outcome.tolerance:.0e} is allowed"
    return [
        f"FAILED: {f.property.title}",
        *(f"  {line}" for line in wrong.split("\n")),
        "  the smallest case found; try it again with",
        f'    {again} "{f.case}"',
    ]


def _data(report: Report) -> dict[str, Any]:
    return {
        "seconds": round(report.seconds, 3),
        "properties": [
            {
                "property": t.property.name,
                "title": t.property.title,
                "cases": t.cases,
                "compared": t.compared,
                "judged_by_conditioning": t.loosened,
                "ok": not _failed(t, report),
                "worst": None if t.worst is None or t.worst.error == float("inf") else t.worst.error,
                "tolerance": None if t.worst is None else t.worst.tolerance,
                "what": None if t.worst is None else t.worst.what,
            }
            for t in report.tallies
        ],
        "failures": [
            {"property": f.property.name, "case": str(f.case), "what": f.outcome.what, "exception": f.error or None}
            for f in report.failures
        ],
    }
