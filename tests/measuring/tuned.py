"""`--tune` in Triton's interpreter, with a clock that says what it is told to: `python tuned.py`, JSON on standard output.

The interpreter must be chosen before triton is imported, so this is a process of its own.
"""

from __future__ import annotations

import itertools
import json
import os
import warnings
from dataclasses import replace
from pathlib import Path

os.environ["TRITON_INTERPRET"] = "1"

import torch

from ssmc.codegen.emit import emit
from ssmc.diagnostics.span import Source
from ssmc.driver import run
from ssmc.measuring.bench import Where
from ssmc.measuring.calls import Shape, calls
from ssmc.measuring.clock import Machine
from ssmc.measuring.contenders import op_sequence
from ssmc.measuring.truth import truth
from ssmc.measuring.tune import tune
from ssmc.testing.generated import load


def main() -> None:
    warnings.simplefilter("ignore")
    torch.set_num_threads(1)
    path = Path(__file__).parents[2] / "specs" / "leaky.ssm"
    plan = run(Source("leaky.ssm", path.read_text())).plan
    assert plan is not None
    plan = replace(plan, tuned_for=("2,9,d_model=4",))
    g, shape = load(emit(plan), plan), Shape(2, 9, {"d_model": 4})
    where = Where("cpu", torch.float32, "triton", 0.0, Machine(1.0, 1.0))
    times = itertools.chain([1.0, 1.1, 0.5], itertools.repeat(2.0))  # of the forward pass the second other one is best
    ran: list[int] = []

    def clock(timed) -> float:
        timed()
        ran.append(1)
        return next(times)

    said: list[str] = []
    found = tune(g, shape, where, "cpu", clock, said.append)
    text = emit(replace(plan, tuned=tuple(f.tuned for f in found)))
    tuned = load(text, plan)
    (call,) = calls(tuned, shape, torch.float32, "cpu")
    asked: list[tuple] = []
    look_up = tuned.module._tuned

    def noting(config, device, *sizes):
        asked.append((sizes, tuple(look_up(config, device, *sizes))))
        return look_up(config, device, *sizes)

    tuned.module._tuned = noting
    errors = op_sequence(call, "triton").errors(call, truth(call), torch.float32)
    other = look_up("its own", torch.device("cpu"), "leaky", "forward", 2, 10, 4, 1)
    print(json.dumps({
        "found": [(f.tuned.what, f.before, f.after, f.tried, f.tuned.config, f.tuned.length) for f in found],
        "said": said, "ran": len(ran), "asked": asked[:2], "errors": max(errors.values()), "other": other,
        "text": text, "again": emit(replace(plan, tuned=tuple(f.tuned for f in found))) == text,
    }, default=str))  # fmt: skip


if __name__ == "__main__":
    main()
