"""The ops of a layer at a shape: every contender is checked, then all take turns under the clock."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch

from ssmc.measuring.calls import Call, Shape, Tensor, calls
from ssmc.measuring.clock import Machine, Run, Timed, in_turns
from ssmc.measuring.contenders import (
    COMPILED,
    EAGER,
    OURS,
    Sequence,
    Step,
    compiled_sequence,
    op_sequence,
    op_step,
    peer_sequence,
    peer_step,
)
from ssmc.measuring.floor import BOTH, FORWARD, STEP, Floor, floor
from ssmc.measuring.gpu import copies, graphed, peak
from ssmc.measuring.peers import Peer
from ssmc.measuring.truth import GRADIENT, OTHERS, Truth, truth, tuple_of
from ssmc.testing.generated import Generated


@dataclass(frozen=True)
class Where:
    """How calls are made and measured."""

    device: str
    dtype: torch.dtype
    backend: str
    seconds: float
    machine: Machine
    without: tuple[str, ...] = ()
    what: tuple[str, ...] = (FORWARD, BOTH, STEP)
    graph: bool = False  # whether steps run in a CUDA graph


@dataclass(frozen=True)
class Row:
    """One contender on one thing: its time, or why it has none. `error` is over what is allowed; `peak` the bytes that
    forward and backward allocate at most."""

    op: str
    shape: Shape
    what: str
    who: str
    timed: Timed | None
    floor: Floor
    error: float | None
    why: str = ""
    wrong: bool = False
    peak: int | None = None


def measure(g: Generated, shape: Shape, peers: list[Peer], where: Where) -> list[Row]:
    """All rows of a shape."""
    return [row for call in calls(g, shape, where.dtype, where.device) for row in measure_call(call, peers, where)]


def measure_call(call: Call, peers: list[Peer], where: Where) -> list[Row]:
    """All rows of an op at a shape."""
    found = truth(call)
    out = []
    whole = tuple(w for w in (FORWARD, BOTH) if w in where.what and (w == FORWARD or call.moving))
    if whole:
        with torch.no_grad():
            results = tuple_of(call.function(**call.operands, **call.numbers, backend=where.backend))
        out += _timed(call, found, _sequences(call, peers, where), where, results, whole)
    if STEP in where.what and "inplace" in inspect.signature(call.function).parameters:
        with torch.no_grad():
            one = tuple_of(call.function(**call.token(), **call.numbers, backend=where.backend))
        out += _timed(call, found, _steps(call, peers, where), where, one, (STEP,))
    return out


Maker = Callable[[], Sequence | Step | str]


def _sequences(call: Call, peers: list[Peer], where: Where) -> dict[str, Maker]:
    makers: dict[str, Maker] = {OURS: lambda: op_sequence(call, where.backend)}
    if where.device == "cuda" and where.backend != "eager" and EAGER not in where.without:
        makers[EAGER] = lambda: op_sequence(call, "eager")
    if COMPILED not in where.without:
        makers[COMPILED] = lambda: compiled_sequence(call)
    return makers | _theirs(call, peers, where, "sequence", peer_sequence)


def _steps(call: Call, peers: list[Peer], where: Where) -> dict[str, Maker]:
    makers: dict[str, Maker] = {OURS: lambda: op_step(call, where.backend)}
    if where.device == "cuda" and where.backend != "eager" and EAGER not in where.without:
        makers[EAGER] = lambda: op_step(call, "eager")
    return makers | _theirs(call, peers, where, "step", peer_step)


def _theirs(call: Call, peers: list[Peer], where: Where, what: str, make: Any) -> dict[str, Maker]:
    def maker(peer: Peer) -> Maker:
        def made() -> Sequence | Step | str:
            if where.device not in peer.devices:
                return f"it runs on {' and '.join(peer.devices)} only"
            try:
                found: Sequence | Step = make(call, peer)
            except (ImportError, AttributeError, OSError) as missing:
                return f"missing: {missing}" + (f"; {peer.install}" if peer.install else "")
            return found

        return made

    fitting = [p for p in peers if p.what == what and p.fits(call) and "peers" not in where.without]
    return {p.name: maker(p) for p in fitting}


def _timed(
    call: Call, found: Truth, makers: dict[str, Maker], where: Where, results: tuple[Tensor, ...], of: tuple[str, ...]
) -> list[Row]:
    """Check each contender, then time those that are right at what it is `of`."""
    ready, errors, why, wrong = _checked(call, found, makers, where)
    sequences = {w: m for w, m in ready.items() if isinstance(m, Sequence)}
    steps = {w: m for w, m in ready.items() if isinstance(m, Step)}
    n = copies(sum(s.numel() * s.element_size() for s in call.state)) if where.graph else 1
    out = []
    for what in of:
        if what == STEP:
            runs = _step_runs(steps, n, where, why)
        else:
            runs = {w: m.forward() if what == FORWARD else m.both() for w, m in sequences.items()}
        times, bound = in_turns(runs, where.seconds, where.device), floor(call, results, what, where.machine)
        peaks = {w: peak(run, where.device) for w, run in runs.items()} if what == BOTH else {}
        if what == STEP:
            times = {w: t.over(n) for w, t in times.items()}
        out += [
            Row(
                call.op.name, call.shape, what, w, times.get(w), bound, errors.get(w), why.get(w, ""), w in wrong,
                peaks.get(w),
            )
            for w in makers
        ]  # fmt: skip
    return out


def _step_runs(steps: dict[str, Step], n: int, where: Where, why: dict[str, str]) -> dict[str, Run]:
    """What is timed of steps: one, or n of them on states of their own in a graph."""
    if not where.graph:
        return {w: m.fresh() for w, m in steps.items()}
    runs: dict[str, Run] = {}
    for who, m in steps.items():
        try:
            runs[who] = graphed([m.fresh() for _ in range(n)], where.device)
        except Exception as failure:  # a peer may not be captured for any reason
            if who == OURS:
                raise
            why[who] = f"failed in a graph: {type(failure).__name__}: {(str(failure).splitlines() or [''])[0]}"
    return runs


def _checked(
    call: Call, found: Truth, makers: dict[str, Maker], where: Where
) -> tuple[dict[str, Sequence | Step], dict[str, float], dict[str, str], set[str]]:
    """The contenders that are right, the errors of all, and why the others get no time."""
    ready: dict[str, Sequence | Step] = {}
    errors: dict[str, float] = {}
    why: dict[str, str] = {}
    wrong: set[str] = set()
    for who, make in makers.items():
        try:
            made = make()
            by_name = {} if isinstance(made, str) else made.errors(call, found, where.dtype)
        except Exception as failure:  # a peer may fail in any way
            if who == OURS:
                raise
            lines = str(failure).strip().splitlines()
            why[who] = f"failed: {type(failure).__name__}: {lines[0] if lines else 'it says nothing'}"
            continue
        if isinstance(made, str):
            why[who] = made
            continue
        worst, most = max(by_name, key=lambda n: by_name[n]), 1.0 if who == OURS else OTHERS
        errors[who] = by_name[worst]
        if by_name[worst] <= most:
            ready[who] = made
            continue
        off = f"{worst} is off by {by_name[worst]:.1f} times what the generated file may be"
        own = made.gradients if isinstance(made, Sequence) else ""
        if own and all(e <= most for n, e in by_name.items() if not n.startswith(GRADIENT)):
            ready[who], why[who] = made, f"{off}: {own}"
        else:
            why[who] = f"wrong: {off}"
            wrong.add(who)
    return ready, errors, why, wrong
