"""What only a GPU has: memory whose peak is known, and graphs of launches that are replayed without the host."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch

from ssmc.measuring.clock import Run

_ROOM = 2**28  # bytes of states that steps walk over in turn: more than a cache holds, as in decoding with many layers


def peak(run: Run, device: str) -> int | None:
    """Bytes allocated at most during a run beyond those before it, its results included; None on a CPU."""
    if device != "cuda":
        run()
        return None
    torch.cuda.synchronize()
    torch.cuda.reset_peak_memory_stats()
    before = torch.cuda.memory_allocated()
    kept = run()
    torch.cuda.synchronize()
    most = torch.cuda.max_memory_allocated()
    del kept
    return int(most - before)


def copies(state_bytes: int) -> int:
    """How many states, each of so many bytes, steps are taken on in turn."""
    return min(32, max(4, math.ceil(_ROOM / max(state_bytes, 1))))


def graphed(steps: Sequence[Run], device: str, capture: Callable[[Run], Run] | None = None) -> Run:
    """The steps one after another as one replay; on a CPU, which has no graphs, as they are."""

    def all_of_them() -> None:
        for step in steps:
            step()

    if device != "cuda" and capture is None:
        return all_of_them
    return (capture or _captured)(all_of_them)


@dataclass(frozen=True)
class _Replay:
    """A graph, and the run that it was made of: the tensors whose memory it reads and writes live there."""

    graph: torch.cuda.CUDAGraph
    run: Run

    def __call__(self) -> None:
        self.graph.replay()


def _captured(run: Run) -> Run:
    """A run as a CUDA graph, after one on the side that compiles and allocates what there is to."""
    side = torch.cuda.Stream()
    side.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(side):
        run()
    torch.cuda.current_stream().wait_stream(side)
    torch.cuda.synchronize()
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        run()
    return _Replay(graph, run)
