"""Time against length for each mode, as measured, with the lengths at which another mode becomes the fastest."""

from __future__ import annotations

import math
from io import BytesIO
from itertools import pairwise

from ssmc.measuring.modes import Modes


def crossovers(found: list[Modes]) -> list[tuple[float, str, str]]:
    """Between neighbouring lengths with different fastest modes: where their lines meet (in logarithms), and which."""
    out = []
    ordered = sorted(found, key=lambda m: m.shape.length)
    for low, high in pairwise(ordered):
        a, b = low.fastest, high.fastest
        if a != b and a in high.timed and b in low.timed:
            before = math.log(low.timed[b].median / low.timed[a].median)
            after = math.log(high.timed[a].median / high.timed[b].median)
            share = before / (before + after) if before + after else 0.5
            x, y = math.log(low.shape.length), math.log(high.shape.length)
            out.append((math.exp(x + share * (y - x)), a, b))
    return out


def draw(found: list[Modes], title: str) -> bytes:
    """A PNG file, a panel for every op and every batch and arguments. Needs matplotlib."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    panels: dict[str, list[Modes]] = {}
    for m in found:
        args = "".join(f", {k} {v}" for k, v in m.shape.args.items())
        panels.setdefault(f"{m.op}, batch {m.shape.batch}{args}", []).append(m)
    figure = Figure(figsize=(7, 4.5 * len(panels)), layout="constrained")
    figure.suptitle(title)
    for ax, (name, points) in zip(figure.subplots(len(panels), 1, squeeze=False)[:, 0], panels.items(), strict=True):
        points = sorted(points, key=lambda m: m.shape.length)
        for mode in dict.fromkeys(n for m in points for n in m.timed):
            line = [(m.shape.length, m.timed[mode].median) for m in points if mode in m.timed]
            ax.loglog(*zip(*line, strict=True), marker="o", label=mode)
        for at, before, after in crossovers(points):
            ax.axvline(at, color="0.7", linestyle=":")
            ax.annotate(f"{before} to {after}\nat {at:.0f}", (at, ax.get_ylim()[1]), fontsize=7, va="top")
        ax.set_title(name, fontsize=9)
        ax.set_xlabel("length")
        ax.set_ylabel("ms, forward and backward")
        ax.legend()
    out = BytesIO()
    figure.set_canvas(FigureCanvasAgg(figure))
    figure.savefig(out, format="png")
    return out.getvalue()
