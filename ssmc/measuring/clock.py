"""Time: medians of runs that take turns, so that what disturbs one disturbs all; and how fast the machine is."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import torch

Run = Callable[[], Any]
LEAST, MOST, WARM = 3, 100, 2


@dataclass(frozen=True)
class Timed:
    """The median in ms of so many runs, and the fastest of them."""

    median: float
    fastest: float
    runs: int


@dataclass(frozen=True)
class Machine:
    """What floors are worked out from: bytes read and written a second by a copy, special functions a second."""

    bandwidth: float
    special: float


def in_turns(runs: Mapping[str, Run], seconds: float, device: str) -> dict[str, Timed]:
    """Every run until it has had so many seconds, in turns, after a warm-up."""
    times: dict[str, list[float]] = {name: [] for name in runs}
    for run in runs.values():
        for _ in range(WARM):
            run()
    open_ = dict(runs)
    while open_:
        for name, run in list(open_.items()):
            times[name].append(_once(run, device))
            found = times[name]
            if len(found) >= MOST or (len(found) >= LEAST and sum(found) >= seconds * 1e3):
                del open_[name]
    return {name: Timed(statistics.median(t), min(t), len(t)) for name, t in times.items()}


def _once(run: Run, device: str) -> float:
    """One run in ms: by events on a GPU, by the clock on a CPU; one thread by the time it was running, which others on
    the machine disturb least."""
    if device != "cuda":
        clock = time.process_time if torch.get_num_threads() == 1 else time.perf_counter
        began = clock()
        run()
        return (clock() - began) * 1e3
    begin, end = torch.cuda.Event(enable_timing=True), torch.cuda.Event(enable_timing=True)
    torch.cuda.synchronize()
    begin.record()
    run()
    end.record()
    torch.cuda.synchronize()
    return float(begin.elapsed_time(end))


def machine(device: str) -> Machine:
    """This machine: a large copy; 16 special functions a clock and multiprocessor on a GPU, exponentials of
    numbers that stay in the cache on a CPU."""
    size = 2**30 if device == "cuda" else 2**26
    a = torch.zeros(size, dtype=torch.uint8, device=device)
    b = torch.zeros_like(a)
    copied = 2 * size / in_turns({"copy": lambda: b.copy_(a)}, 0.1, device)["copy"].median * 1e3
    if device == "cuda":
        p = torch.cuda.get_device_properties(0)
        return Machine(copied, 16 * p.multi_processor_count * getattr(p, "clock_rate", 1.7e6) * 1e3)
    x = torch.zeros(2**14)
    y = torch.empty_like(x)

    def exponentials() -> None:
        for _ in range(16):
            torch.exp(x, out=y)

    return Machine(copied, 16 * x.numel() / in_turns({"exp": exponentials}, 0.1, device)["exp"].median * 1e3)
