"""Pictures of a layer's recurrences: poles in the unit disk, filters over time, cost against length."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction
from io import BytesIO
from typing import Any

import numpy as np

from ssmc.explain.counts import Sizes, arguments
from ssmc.explain.recurrence import job_of
from ssmc.ir.interpret import Array
from ssmc.ir.plan import Plan, Planned
from ssmc.ir.run import resolve
from ssmc.ir.run_filter import FilterRun
from ssmc.ir.run_partition import run_partition
from ssmc.modes import modes

LAGS, SHOWN, LONGEST = 256, 6, 18


@dataclass(frozen=True, slots=True)
class Picture:
    """One recurrence: its poles (None if it has no filter), filters [which, lag], microseconds by mode and length."""

    name: str
    title: str
    poles: Array | None
    filters: Array | None
    lengths: tuple[int, ...]
    costs: Mapping[str, tuple[float, ...]]


def pictures(plan: Plan, params: Mapping[str, Array], batch: int = 1) -> list[Picture]:
    """What there is to draw of each recurrence, for parameters by their state_dict keys (as numbers of a layer that was
    made with the defaults, and with examples where an argument has none)."""
    layer = plan.partition.layer
    given, _ = arguments(layer)
    known = {k: float(v) if isinstance(v, Fraction) else v for k, v in given.items() if v is not None}
    args, sizes = resolve(layer, known)
    rng = np.random.default_rng(0)
    inputs = {i.name: rng.normal(size=(1, 2, *(sizes[a] for a in i.axes))) for i in layer.inputs.values()}
    _, values, _ = run_partition(plan.partition, inputs, params, args)
    return [_picture(p, plan, values, sizes, args, batch) for p in plan.programs]


def _picture(p: Planned, plan: Plan, values: dict[str, Array], sizes: dict[str, int], args: Any, batch: int) -> Picture:
    c, r = p.classified, p.program.recurrence
    poles = filters = None
    if p.program.filter is not None:
        values = values | {"t": np.broadcast_to(np.arange(2.0), (1, 2))}
        operands = {o.name: values[o.name] if o.token else values[o.name][0, 0] for o in r.operands}
        run = FilterRun(p.program, operands, sizes, args)
        poles = run.a.reshape(-1)
        pairs = [(x, s) for x in run.f.reads for s in run.f.streams]
        shown = np.stack([np.stack([run.response(x, s, i).reshape(-1) for i in range(LAGS)]) for x, s in pairs])
        channels = np.linspace(0, shown.shape[-1] - 1, min(SHOWN, shown.shape[-1])).astype(int)
        filters = shown[0][:, channels].T
    lengths = tuple(2**i for i in range(4, LONGEST))
    allowed = {m.name for m in p.modes if m.allowed}
    jobs = [job_of(p, Sizes(plan.partition.layer), args, batch, n) for n in lengths]
    costs = {m.name: tuple(m.seconds(c, j) * 1e6 for j in jobs if j is not None) for m in modes() if m.name in allowed}
    return Picture(r.name, f"{r.name}: {c.title}", poles, filters, lengths, costs)


def draw(found: list[Picture], title: str) -> bytes:
    """The pictures as a PNG file. Needs matplotlib."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(14, 4.2 * len(found)), layout="constrained")
    figure.suptitle(title)
    axes = figure.subplots(len(found), 3, squeeze=False)
    for (disk, lags, cost), p in zip(axes, found, strict=True):
        _disk(disk, p)
        _lags(lags, p)
        _cost(cost, p)
    out = BytesIO()
    figure.set_canvas(FigureCanvasAgg(figure))
    figure.savefig(out, format="png")
    return out.getvalue()


def _disk(ax: Any, p: Picture) -> None:
    ax.set_title(p.title)
    ax.set_aspect("equal")
    angle = np.linspace(0, 2 * np.pi, 256)
    ax.plot(np.cos(angle), np.sin(angle), color="0.6", linewidth=1)
    if p.poles is None:
        ax.text(0, 0, "the poles depend\non the token", ha="center", va="center")
    else:
        ax.scatter(p.poles.real, p.poles.imag, s=8)
    ax.set_xlabel("re")
    ax.set_ylabel("im")


def _lags(ax: Any, p: Picture) -> None:
    ax.set_title("filters of some channels")
    ax.set_xlabel("lag")
    if p.filters is None:
        ax.text(0.5, 0.5, "no filter", ha="center", va="center", transform=ax.transAxes)
    else:
        for row in p.filters:
            ax.plot(row, linewidth=1)


def _cost(ax: Any, p: Picture) -> None:
    ax.set_title("estimated time of a call, forward")
    ax.set_xlabel("length")
    ax.set_ylabel("microseconds")
    for name, values in p.costs.items():
        if len(values) == len(p.lengths):
            ax.loglog(p.lengths, values, label=name)
    best = [min(p.costs, key=lambda n: p.costs[n][i]) for i in range(len(p.lengths))] if p.costs else []
    for i in range(1, len(best)):
        if best[i] != best[i - 1]:
            ax.axvline(p.lengths[i], color="0.7", linestyle=":")
    ax.legend()
