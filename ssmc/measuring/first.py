"""What a first call costs: its seconds with an empty cache of kernels and with a full one, and how many compilations a
stretch of lengths takes."""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from ssmc.measuring.calls import Call
from ssmc.testing.generated import Generated

_CACHE = "TRITON_CACHE_DIR"


@dataclass(frozen=True)
class First:
    """Seconds of the first forward and backward, by the wall clock: nothing compiled yet; all compiled by others."""

    cold: float
    warm: float


def first_calls(call: Call, fresh: Callable[[], Generated], backend: str, device: str) -> First:
    """`fresh` gives the file as a module that has not run. What CUDA itself needs at first is not counted: the operands
    are there already."""
    with _empty_cache():
        return First(*(_seconds(fresh(), call, backend, device) for _ in range(2)))


def _seconds(g: Generated, call: Call, backend: str, device: str) -> float:
    function: Any = getattr(g.module, call.op.name)
    _wait(device)
    began = time.perf_counter()
    _both(function, call, call.shape.length, backend)
    _wait(device)
    return time.perf_counter() - began


def _both(function: Any, call: Call, length: int, backend: str) -> None:
    cut = {n: v[:, :length] if n in call.op.tokens else v for n, v in call.operands.items()}
    leaves = {n: v.detach().clone().requires_grad_(n in call.moving) for n, v in cut.items()}
    y = function(**leaves, **call.numbers, backend=backend)
    results = [r for r in (y if isinstance(y, tuple) else (y,)) if r.requires_grad]
    torch.autograd.grad(
        results, [leaves[n] for n in call.moving], [torch.ones_like(r) for r in results], allow_unused=True
    )


def _wait(device: str) -> None:
    if device == "cuda":
        torch.cuda.synchronize()


@contextmanager
def _empty_cache() -> Iterator[Path]:
    """Within, compiled kernels are looked for and kept in a new folder."""
    before = os.environ.get(_CACHE)
    with tempfile.TemporaryDirectory(prefix="ssmc_cache_") as folder:
        os.environ[_CACHE] = folder
        try:
            yield Path(folder)
        finally:
            if before is None:
                del os.environ[_CACHE]
            else:
                os.environ[_CACHE] = before


def spread_lengths(most: int, count: int) -> list[int]:
    """So many different lengths, from one token to `most`; closer together where they are short."""
    count = min(count, most)
    out: list[int] = []
    for i in range(1, count + 1):
        out.append(max(out[-1] + 1 if out else 1, round(most * (i / count) ** 2)))
    return [n for n in out if n <= most]


def compilations(g: Generated, call: Call, count: int, backend: str) -> dict[str, int]:
    """How often each kernel of a file that has not run is compiled for `count` lengths up to the call's, forward and
    backward: those that were are named."""
    function: Any = getattr(g.module, call.op.name)
    for length in spread_lengths(call.shape.length, count):
        _both(function, call, length, backend)
    found = {n: compiled(k) for n, k in vars(g.module).items() if n.endswith("_kernel")}
    return {n: k for n, k in found.items() if k}


def compiled(kernel: Any) -> int:
    """How many binaries of a kernel this process has."""
    return sum(len(entry[0]) for entry in getattr(kernel, "device_caches", {}).values())
