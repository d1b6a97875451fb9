"""The choice between modes against the clock: forward and backward of every mode on a grid of shapes.

    python bench/modes.py --out bench/results/modes-cpu.json
    python bench/modes.py --device cuda --out bench/results/modes-gpu.json

On a CPU with one thread, so that the figures mean the same on a machine that others use.
"""

from __future__ import annotations

import argparse
import json
import sys
import warnings
from pathlib import Path

import torch

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

import ssmc  # noqa: E402
from ssmc.commands.bench import in_every_mode  # noqa: E402
from ssmc.diagnostics.span import Source  # noqa: E402
from ssmc.driver import run  # noqa: E402
from ssmc.measuring.bench import Where  # noqa: E402
from ssmc.measuring.calls import Shape  # noqa: E402
from ssmc.measuring.clock import machine  # noqa: E402
from ssmc.measuring.modes import Modes, measure_modes  # noqa: E402
from ssmc.measuring.report import machine_data, modes_data, modes_table  # noqa: E402
from ssmc.options import Options  # noqa: E402
from ssmc.testing.generated import load  # noqa: E402

VARIANTS = "tests/specs/variants"
SMALL = (
    ("specs/leaky.ssm", {"d_model": 256}),
    *((f"{VARIANTS}/s4dr.ssm", {"d_model": 64, "d_state": n}) for n in (8, 32, 128)),
    (f"{VARIANTS}/mimo.ssm", {"d_model": 64}),
    ("specs/lru.ssm", {"d_model": 64, "d_state": 64}),
)
HEADS = {"heads": 16, "key": 128, "value": 128}
LARGE = (
    ("specs/leaky.ssm", {"d_model": 2048}),
    *((f"{VARIANTS}/s4dr.ssm", {"d_model": 512, "d_state": n}) for n in (16, 64)),
    ("specs/lru.ssm", {"d_model": 512, "d_state": 512}),
    *((f"bench/{spec}.ssm", HEADS) for spec in ("key_gates", "head_gates", "no_decay")),
)
LAYERS, BACKENDS = {"cpu": SMALL, "cuda": LARGE}, {"cpu": "eager", "cuda": "triton"}
BATCHES, LENGTHS = (1, 4, 8), (16, 64, 256, 1024, 4096)


def measure(spec: str, args: dict[str, int], batches: list[int], lengths: list[int], where: Where) -> list[Modes]:
    source, asked = Source(spec, (ROOT / spec).read_text(encoding="utf-8")), Options(backend=where.backend)
    done = run(source, asked)
    assert done.text is not None and done.plan is not None, done.rendered()
    auto, forced = load(done.text, done.plan), in_every_mode(source, asked)
    return [m for b in batches for t in lengths for m in measure_modes(auto, forced, Shape(b, t, args), where)]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--out", default="modes.json")
    parser.add_argument("--device", choices=sorted(LAYERS), default="cpu")
    parser.add_argument("--dtype", choices=("float32", "bfloat16"), default="float32")
    parser.add_argument("--seconds", type=float, default=0.1, help="for each figure")
    parser.add_argument("--batches", type=int, nargs="+", default=list(BATCHES))
    parser.add_argument("--only", default="", help="what the path of a spec has in it (default: all)")
    parser.add_argument("--lengths", type=int, nargs="+", default=list(LENGTHS))
    args = parser.parse_args()
    warnings.simplefilter("ignore")
    torch.set_num_threads(1)
    dtype = getattr(torch, args.dtype)
    where = Where(args.device, dtype, BACKENDS[args.device], args.seconds, machine(args.device))
    found: list[Modes] = []
    rows = []
    for spec, given in (x for x in LAYERS[args.device] if args.only in x[0]):
        part = measure(spec, given, args.batches, args.lengths, where)
        print(modes_table(part), flush=True)
        found += part
        rows += [{"spec": spec, **row} for row in modes_data(part)]
    good = sum(m.good for m in found)
    print(f"in all: the choice is within 10 % of the fastest in {good} of {len(found)}")
    head = {"ssmc": ssmc.__version__, **machine_data(where), "good": good, "cases": len(found)}
    Path(args.out).write_text(json.dumps({**head, "modes": rows}, indent=1) + "\n")


if __name__ == "__main__":
    main()
