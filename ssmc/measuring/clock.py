"""Time: medians of runs that take turns, so that what disturbs one disturbs all; and how fast the machine is.

On a GPU a run is timed by events that stand in its queue. Before the first of them the GPU is given something else to
do, for longer than the host takes to enqueue the run: so no gap between two kernels is counted that is only there
because nothing was queued, which nobody sees in a training loop. What it is given is a large buffer to overwrite, so
that operands are not found in the cache either.
"""

from __future__ import annotations

import math
import statistics
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache, partial
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

    def over(self, n: int) -> Timed:
        """The time of one of n things that a run did."""
        return Timed(self.median / n, self.fastest / n, self.runs)


@dataclass(frozen=True)
class Machine:
    """What floors are worked out from: bytes read and written a second by a copy, special functions a second, and
    additions and multiplications a second in float32, and in products of matrices in bfloat16."""

    bandwidth: float
    special: float
    flops: float = math.inf
    products: float = math.inf


def in_turns(runs: Mapping[str, Run], seconds: float, device: str) -> dict[str, Timed]:
    """Every run until it has had so many seconds, in turns, after a warm-up."""
    times: dict[str, list[float]] = {name: [] for name in runs}
    clocks = {name: _clock(run, device) for name, run in runs.items()}
    open_ = dict(runs)
    while open_:
        for name, run in list(open_.items()):
            times[name].append(clocks[name](run))
            found = times[name]
            if len(found) >= MOST or (len(found) >= LEAST and sum(found) >= seconds * 1e3):
                del open_[name]
    return {name: Timed(statistics.median(t), min(t), len(t)) for name, t in times.items()}


def _clock(run: Run, device: str) -> Callable[[Run], float]:
    """Warms a run up; what times it from then on, in ms: events on a GPU, the clock on a CPU; one thread by the time it
    was running, which others on the machine disturb least."""
    for _ in range(WARM - 1):
        run()
    if device != "cuda":
        run()
        return lambda run: _seconds(run) * 1e3
    torch.cuda.synchronize()
    began = time.perf_counter()
    run()
    enqueued = time.perf_counter() - began  # the host's share: the queue was empty, and nobody waited for its end
    torch.cuda.synchronize()
    return partial(_once, covers(enqueued))


def _seconds(run: Run) -> float:
    clock = time.process_time if torch.get_num_threads() == 1 else time.perf_counter
    began = clock()
    run()
    return clock() - began


COVER = 2**28  # bytes: several times the cache of any GPU, and about a tenth of a millisecond to overwrite


def covers(enqueued: float) -> int:
    """How often the buffer is overwritten, for a run that takes the host so many seconds: one and a half times as long,
    as if at 5 TB/s."""
    return min(200, 2 + math.ceil(1.5 * enqueued / (COVER / 5e12)))


def _once(times: int, run: Run) -> float:
    """One run on a GPU in ms."""
    cover = _cover()
    torch.cuda.synchronize()
    begin, end = torch.cuda.Event(enable_timing=True), torch.cuda.Event(enable_timing=True)
    for _ in range(times):
        cover.zero_()
    begin.record()
    run()
    end.record()
    end.synchronize()
    return float(begin.elapsed_time(end))


@lru_cache(maxsize=1)
def _cover() -> torch.Tensor:
    return torch.empty(COVER, dtype=torch.uint8, device="cuda")


def machine(device: str) -> Machine:
    """This machine: a large copy and a product of large matrices; on a GPU 16 special functions and 128 multiply-adds a
    clock and multiprocessor, on a CPU exponentials and multiply-adds of numbers that stay in the cache."""
    size = 2**30 if device == "cuda" else 2**26
    a = torch.zeros(size, dtype=torch.uint8, device=device)
    b = torch.zeros_like(a)
    copied = 2 * size / in_turns({"copy": lambda: b.copy_(a)}, 0.1, device)["copy"].median * 1e3
    if device == "cuda":
        p = torch.cuda.get_device_properties(0)
        lanes = p.multi_processor_count * getattr(p, "clock_rate", 1.7e6) * 1e3
        return Machine(copied, 16 * lanes, 256 * lanes, _products(8192, device, torch.bfloat16))
    x = torch.zeros(2**14)
    y = torch.empty_like(x)

    def exponentials() -> None:
        for _ in range(16):
            torch.exp(x, out=y)

    def products() -> None:
        for _ in range(16):
            torch.addcmul(x, x, x, out=y)

    found = in_turns({"exp": exponentials, "mul": products}, 0.1, device)
    special, flops = (k * 16e3 * x.numel() / found[n].median for k, n in ((1, "exp"), (2, "mul")))
    return Machine(copied, special, flops, _products(512, device, torch.float32))


def _products(size: int, device: str, dtype: torch.dtype) -> float:
    """Additions and multiplications a second in a product of square matrices."""
    a, b = (torch.randn(size, size, device=device, dtype=dtype) for _ in range(2))
    out = torch.empty_like(a)
    return 2e3 * size**3 / in_turns({"it": lambda: torch.mm(a, b, out=out)}, 0.1, device)["it"].median
