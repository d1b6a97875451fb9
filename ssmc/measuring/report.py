"""What was measured, as a table for people and as data."""

from __future__ import annotations

import platform
import time
from pathlib import Path
from typing import Any

import torch

from ssmc.measuring.bench import Row, Where
from ssmc.measuring.calls import Shape
from ssmc.measuring.modes import Modes


def shape_text(shape: Shape) -> str:
    """B, T and the arguments."""
    return ", ".join([f"B {shape.batch}", f"T {shape.length}", *(f"{k} {v}" for k, v in shape.args.items())])


def table(rows: list[Row]) -> str:
    """A line a contender, under a heading for what it does."""
    lines: list[str] = []
    head = None
    width = max((len(r.who) for r in rows), default=0)
    for r in rows:
        if head != (r.op, r.shape, r.what):
            head = (r.op, r.shape, r.what)
            floor = f"floor {_ms(r.floor.ms)} by {r.floor.bound}"
            lines += ["", f"{r.op}, {r.what}, {shape_text(r.shape)}: {floor}"]
        if r.timed is None:
            lines.append(f"  {r.who:{width}}  {r.why}")
        else:
            ratio = f"{r.timed.median / r.floor.ms:7.1f} x floor" if r.floor.ms else ""
            why = f"; {r.why}" if r.why else ""
            lines.append(f"  {r.who:{width}}  {_ms(r.timed.median)}  {ratio}  ({r.timed.runs} runs){why}")
    return "\n".join(lines[1:]) + "\n"


def modes_table(found: list[Modes]) -> str:
    """A line a shape; then in how many the choice is right."""
    lines = []
    for m in found:
        times = "  ".join(f"{n} {_ms(t.median)}" for n, t in m.timed.items())
        off = "".join(f"; {n} is WRONG" for n in m.wrong)
        verdict = "" if m.good else f"  <- {m.fastest} is faster"
        lines.append(f"{m.op}, {shape_text(m.shape)}: {times}; chosen: {m.chosen}{off}{verdict}")
    good = sum(m.good for m in found)
    return "\n".join([*lines, f"the choice is within 10 % of the fastest in {good} of {len(found)}"]) + "\n"


def _ms(value: float) -> str:
    """Three digits."""
    digits = 0 if value >= 100 else 1 if value >= 10 else 2 if value >= 1 else 3
    return f"{value:8.{digits}f} ms"


def machine_data(where: Where) -> dict[str, Any]:
    """When and where it was measured."""
    data: dict[str, Any] = {"date": time.strftime("%Y-%m-%d"), "device": device_name(where.device)}
    if where.device == "cpu":
        data["threads"] = torch.get_num_threads()
    data |= {"python": platform.python_version(), "torch": torch.__version__}
    try:
        import triton

        data["triton"] = triton.__version__
    except ImportError:
        pass
    data |= {"dtype": str(where.dtype).removeprefix("torch."), "backend": where.backend}
    data["copy_bytes_per_s"] = _short(where.machine.bandwidth)
    data["special_functions_per_s"] = _short(where.machine.special)
    data["flops_per_s"] = _short(where.machine.flops)
    data["matrix_flops_per_s"] = _short(where.machine.products)
    return data


def device_name(device: str) -> str:
    """The GPU's or the processor's name."""
    if device == "cuda":
        return str(torch.cuda.get_device_name())
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
        return next(x.split(":", 1)[1].strip() for x in lines if x.startswith("model name"))
    except (OSError, StopIteration):
        return platform.processor() or platform.machine()


def rows_data(rows: list[Row]) -> list[dict[str, Any]]:
    """Every row, with a time or with the reason it has none."""
    return [
        {
            "op": r.op, "batch": r.shape.batch, "length": r.shape.length, "args": dict(r.shape.args), "what": r.what,
            "who": r.who,
            "median_ms": r.timed and _short(r.timed.median), "fastest_ms": r.timed and _short(r.timed.fastest),
            "runs": r.timed and r.timed.runs, "floor_ms": _short(r.floor.ms), "floor_by": r.floor.bound,
            "error_over_allowed": None if r.error is None else _short(r.error), "why": r.why or None,
            "peak_bytes": r.peak,
        }
        for r in rows
    ]  # fmt: skip


def modes_data(found: list[Modes]) -> list[dict[str, Any]]:
    """Every comparison of modes."""
    return [
        {
            "op": m.op, "batch": m.shape.batch, "length": m.shape.length, "args": dict(m.shape.args),
            "median_ms": {n: _short(t.median) for n, t in m.timed.items()}, "wrong": sorted(m.wrong),
            "chosen": m.chosen, "fastest": m.fastest, "good": m.good, "estimate_picks": m.estimated,
        }
        for m in found
    ]  # fmt: skip


def _short(value: float) -> float:
    """Four digits; infinite stays out of JSON."""
    return float(f"{min(value, 1e300):.4g}")
