"""The table of `bench/table.toml` on this machine's GPU: every case checked against float64, then timed beside the
peers that can be imported here, in one process.

    python bench/gpu.py --rows scan,hgrn --out bench/results/gpu.json
    python bench/gpu.py --merge a.json b.json --out bench/results/gpu.json
    python bench/gpu.py --small --device cpu          # a trial: tiny sizes, nothing to learn from its figures

The file is written after every case; no case is begun after --limit seconds. A peer that is missing is named, no error.
"""

from __future__ import annotations

import argparse
import gc
import json
import sys
import time
import traceback
import warnings
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "bench")]

from ssmc import __version__  # noqa: E402
from ssmc.diagnostics.span import Source  # noqa: E402
from ssmc.driver import run  # noqa: E402
from ssmc.measuring.bench import Where, measure_call  # noqa: E402
from ssmc.measuring.calls import calls  # noqa: E402
from ssmc.measuring.cases import Case, chosen, read_cases  # noqa: E402
from ssmc.measuring.clock import machine  # noqa: E402
from ssmc.measuring.composed import composed  # noqa: E402
from ssmc.measuring.first import compilations, first_calls  # noqa: E402
from ssmc.measuring.goals import judged  # noqa: E402
from ssmc.measuring.layers import LAYER, measure_layer  # noqa: E402
from ssmc.measuring.peers import Peer, read_peers  # noqa: E402
from ssmc.measuring.report import machine_data, rows_data, table  # noqa: E402
from ssmc.resources import peer_dir  # noqa: E402
from ssmc.testing.generated import Generated, load  # noqa: E402

Data = dict[str, Any]


def measured(case: Case, peers: list[Peer], where: Where, parts: tuple[str, ...]) -> Data:
    """Everything there is to a case, as data."""
    where = replace(where, dtype=getattr(torch, case.dtype), what=case.what, graph=case.graph)
    done = run(Source(case.spec, (ROOT / case.spec).read_text(encoding="utf-8")))
    assert done.text is not None and done.plan is not None, done.rendered()
    text, plan = done.text, done.plan

    def fresh() -> Generated:
        g = load(text, plan)
        return composed(g) if len(g.ops) > 1 and LAYER not in case.what else g

    generated = fresh()
    data: Data = {}
    if LAYER in case.what:
        rows = measure_layer(generated, case.shape, peers, where)
    else:
        (call,) = calls(generated, case.shape, where.dtype, where.device, case.drawn)
        if case.first and "first" in parts:
            found = first_calls(call, fresh, where.backend, where.device)
            data |= {"first_call_s": round(found.cold, 3), "first_call_cached_s": round(found.warm, 3)}
        rows = measure_call(call, peers, where)
        if case.lengths and "lengths" in parts:
            counted = compilations(fresh(), call, case.lengths, where.backend)
            data |= {"lengths": case.lengths, "compilations": counted}
    print(table(rows), flush=True)
    return {**data, "rows": rows_data(rows)}


def all_of(cases: list[Case], args: argparse.Namespace, where: Where, head: Data) -> list[Data]:
    """Case after case; one that fails is told of, and the others go on."""
    peers, began, done = read_peers(peer_dir(), []), time.monotonic(), []
    for case in cases:
        if time.monotonic() - began > args.limit:
            print(f"{case.name}: not begun, {args.limit} seconds are over", flush=True)
            continue
        start = time.monotonic()
        data: Data = {
            "case": case.name, "spec": case.spec, "args": dict(case.args), "batch": case.batch, "length": case.length,
            "dtype": case.dtype, "small": args.small,
        }  # fmt: skip
        try:
            data |= measured(case, peers, where, tuple(args.parts))
        except Exception as failure:  # the other cases are still to be measured
            traceback.print_exc()
            line = (str(failure).strip().splitlines() or [""])[0]
            data |= {"failed": f"{type(failure).__name__}: {line}", "rows": []}
        data["seconds"] = round(time.monotonic() - start, 1)
        print(f"{case.name}: {data['seconds']} s\n", flush=True)
        done.append(data)
        write(args.out, head, done)
        gc.collect()
        if where.device == "cuda":
            torch.cuda.empty_cache()
    return done


def write(out: str | None, head: Data, cases: list[Data]) -> None:
    if out:
        Path(out).write_text(json.dumps({"ssmc": __version__, **head, "cases": cases}, indent=1) + "\n")


def merged(files: list[str]) -> tuple[Data, list[Data]]:
    """The cases of several files, each as the last file that has it tells it, in the order of the table."""
    head: Data = {}
    found: dict[str, Data] = {}
    for name in files:
        document = json.loads(Path(name).read_text(encoding="utf-8"))
        found |= {c["case"]: c for c in document.pop("cases")}
        head |= document
    order = {c.name: i for i, c in enumerate(read_cases(ROOT / "bench" / "table.toml"))}
    return head, sorted(found.values(), key=lambda c: order.get(c["case"], len(order)))


def main(argv: list[str] | None = None) -> int:
    """Measure, or merge, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", default="", help="begin of the names of the cases, comma after comma (default: all)")
    parser.add_argument("--out", help="write the data as JSON")
    parser.add_argument("--merge", nargs="+", metavar="FILE", help="join such files, measure nothing")
    parser.add_argument("--seconds", type=float, default=0.3, help="for each figure (default 0.3)")
    parser.add_argument("--limit", type=float, default=480, help="seconds after which no case is begun (default 480)")
    parser.add_argument("--parts", nargs="*", default=["first", "lengths"], choices=("first", "lengths"))
    parser.add_argument("--without", action="append", default=[], choices=("peers",))
    parser.add_argument("--device", choices=("cuda", "cpu"), default="cuda")
    parser.add_argument("--small", action="store_true", help="tiny sizes: a trial")
    args = parser.parse_args(argv)
    cases = read_cases(ROOT / "bench" / "table.toml")
    try:
        picked = chosen(cases, [n for n in args.rows.split(",") if n])
    except ValueError as error:
        parser.error(str(error))
    if args.merge:
        head, done = merged(args.merge)
        write(args.out, head, done)
    else:
        if args.device == "cuda" and not torch.cuda.is_available():
            parser.error("there is no CUDA device; `--small --device cpu` tries the rest of it")
        warnings.filterwarnings("ignore", message=".* runs on the eager backend")
        backend = "triton" if args.device == "cuda" else "eager"
        without = ("eager", "torch.compile", *args.without)
        where = Where(args.device, torch.float32, backend, args.seconds, machine(args.device), without)
        head = machine_data(where)
        done = all_of([c.tiny() for c in picked] if args.small else picked, args, where, head)
    print(f"{head['device']}, torch {head['torch']}, copy {head['copy_bytes_per_s'] / 1e9:.0f} GB/s\n")
    print(judged(cases, done))
    wrong = [r for c in done for r in c["rows"] if r["who"] == "ours" and r["why"]]
    return 1 if wrong or any("failed" in c for c in done) else 0


if __name__ == "__main__":
    raise SystemExit(main())
