"""What was measured, held against what a table of cases asks for: a line for everything that was timed."""

from __future__ import annotations

from typing import Any

from ssmc.measuring.cases import Case
from ssmc.measuring.contenders import OURS
from ssmc.measuring.layers import AROUND, LAYER

BESIDE = 1.2  # how much further from its floor than the case beside it a case may be
COLD, WARM, COMPILATIONS = 15.0, 3.0, 3  # seconds of a first call, with kernels compiled before, and compilations
_HEAD = ("case", "what", "ours", "floor", "x floor", "peer", "peer's", "faster", "asked", "peak", "peer's", "")
_SHORT = {"forward and backward": "fwd+bwd", LAYER: "layer", AROUND: "around"}

Data = dict[str, Any]


def judged(cases: list[Case], done: list[Data]) -> str:
    """The table: times in ms, memory in MB; in the last column what misses what is asked for."""
    by_name, found = {c.name: c for c in cases}, {d["case"]: d for d in done}
    lines: list[tuple[str, ...]] = []
    notes = []
    for d in done:
        case = by_name[d["case"]]
        if d.get("failed"):
            notes.append(f"{case.name} failed: {d['failed']}")
        for what in dict.fromkeys(r["what"] for r in d["rows"]):
            rows = [r for r in d["rows"] if r["what"] == what]
            lines.append(_line(case, what, rows, found.get(case.beside)))
            if what == LAYER:
                lines.append(_around(case, rows))
        notes += _first(case, d)
        notes += [f"{case.name}: {r['who']}: {r['why']}" for r in d["rows"] if r["why"] and r["what"] != "forward"]
    widths = [max(map(len, column)) for column in zip(_HEAD, *lines, strict=True)]
    text = ["  ".join(v.ljust(w) for v, w in zip(line, widths, strict=True)).rstrip() for line in (_HEAD, *lines)]
    return "\n".join([*text, "", *dict.fromkeys(notes)]).rstrip() + "\n"


def _ours(rows: list[Data]) -> Data:
    return next(r for r in rows if r["who"] == OURS)


def _peer(case: Case, rows: list[Data]) -> Data | None:
    """The fastest peer with a time; of those that the case names, if one of them has."""
    timed = [r for r in rows if r["who"] != OURS and r["median_ms"]]
    named = [r for r in timed if case.peer and r["who"].startswith(case.peer)]
    return min(named or timed, key=lambda r: r["median_ms"], default=None)


def _line(case: Case, what: str, rows: list[Data], beside: Data | None) -> tuple[str, ...]:
    ours, peer = _ours(rows), _peer(case, rows)
    if ours["median_ms"] is None:
        return (case.name, _SHORT.get(what, what), *("" for _ in range(9)), ours["why"])
    ratio = ours["median_ms"] / ours["floor_ms"] if ours["floor_ms"] else 0.0
    goal = case.goals.get(what)
    faster = peer["median_ms"] / ours["median_ms"] if peer else None
    missed = []
    if goal is not None and faster is not None and faster < goal:
        missed.append("too slow")
    if peer and ours["peak_bytes"] is not None and peer["peak_bytes"] is not None and what != LAYER:
        missed += ["too much memory"] if ours["peak_bytes"] > peer["peak_bytes"] else []
    asked = "" if goal is None else f"{goal:g}"
    if beside is not None:
        own = next((r for r in beside["rows"] if r["what"] == what and r["who"] == OURS and r["median_ms"]), None)
        if own is not None:
            asked = f"{BESIDE * own['median_ms'] / own['floor_ms']:.1f} x"
            missed += ["too far from its floor"] if ratio > BESIDE * own["median_ms"] / own["floor_ms"] else []
    return (
        case.name, _SHORT.get(what, what), _ms(ours["median_ms"]), _ms(ours["floor_ms"]), f"{ratio:.1f}",
        peer["who"] if peer else "", _ms(peer["median_ms"]) if peer else "", f"{faster:.2f}" if faster else "", asked,
        _mb(ours["peak_bytes"]), _mb(peer["peak_bytes"]) if peer else "", ", ".join(missed),
    )  # fmt: skip


def _around(case: Case, rows: list[Data]) -> tuple[str, ...]:
    """A layer less its projections' products, on both sides."""
    ours, peer = _ours(rows), _peer(case, rows)
    if ours["median_ms"] is None:
        return (case.name, _SHORT[AROUND], *("" for _ in range(10)))
    left = ours["median_ms"] - ours["floor_ms"]
    theirs = peer["median_ms"] - peer["floor_ms"] if peer else None
    goal = case.goals.get(AROUND)
    missed = "too slow" if theirs and goal and theirs < goal * left else ""
    return (
        case.name, _SHORT[AROUND], _ms(left), "", "", peer["who"] if peer else "", _ms(theirs) if theirs else "",
        f"{theirs / left:.2f}" if theirs and left > 0 else "", f"{goal:g}" if goal else "", "", "", missed,
    )  # fmt: skip


def _first(case: Case, d: Data) -> list[str]:
    out = []
    if "first_call_s" in d:
        late = d["first_call_s"] > COLD or d["first_call_cached_s"] > WARM
        cold, warm = d["first_call_s"], d["first_call_cached_s"]
        out.append(f"{case.name}: first call {cold:.1f} s, {warm:.1f} s cached{': too late' if late else ''}")
    if "compilations" in d:
        most = max(d["compilations"].values(), default=0)
        often = ": too often" if most > COMPILATIONS else ""
        out.append(f"{case.name}: {d['lengths']} lengths, at most {most} compilations of a kernel{often}")
    return out


def _ms(value: float) -> str:
    return f"{value:.3g}" if value < 1e4 else f"{value:.0f}"


def _mb(value: int | None) -> str:
    return "" if value is None else f"{value / 1e6:.0f}"
