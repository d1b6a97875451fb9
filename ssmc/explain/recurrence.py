"""One recurrence as data: its equations, class and frontier, its adjoint, the modes with costs, and its stability."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from ssmc.analysis.stability import Verdict
from ssmc.explain.adjoint import adjoint_lines
from ssmc.explain.counts import Sizes, Value
from ssmc.explain.filters import filter_of
from ssmc.explain.work import Work, lets_work
from ssmc.ir.classified import Classified
from ssmc.ir.equations import equation, gauge_lines, typed
from ssmc.ir.expr import refs
from ssmc.ir.layer import Layer, Time
from ssmc.ir.plan import Planned
from ssmc.ir.pretty import number, pretty
from ssmc.ir.regions import Operand, Partition
from ssmc.modes import Job, modes

LONGEST = 20  # crossovers are looked for up to 2**LONGEST tokens


def recurrence(
    planned: Planned,
    partition: Partition,
    verdicts: tuple[Verdict, ...],
    sizes: Sizes,
    args: Mapping[str, Value],
    call: tuple[int, int | None],
) -> dict[str, Any]:
    """Everything there is to say about one op; `call` is (batch, length or None)."""
    c, p, layer = planned.classified, planned.program, partition.layer
    r = c.recurrence
    own = {k.of for k in r.carried}
    taken = [*layer.values, *layer.states, *layer.params, *layer.inputs, *partition.definitions, *r.definitions]
    forward = lets_work([*p.prologue, *p.update, *p.epilogue], sizes)
    a = p.adjoint
    backward = lets_work([*a.epilogue, *a.update, *a.prologue], sizes)
    return {
        "name": r.name,
        "line": layer.source.line_of(r.span),
        "states": [typed(k.of, k.axes) + (" complex" if k.dtype == "complex" else "") for k in r.carried],
        "reverse": r.reverse,
        "continuous": _continuous(layer, r.name),
        "equations": {
            "before_time": [equation(d) for d in r.hoisted],
            "prologue": [equation(d) for d in r.prologue],
            "update": [equation(d) for d in r.update],
            "epilogue": [equation(d) for d in r.epilogue],
        },
        "class": {"letter": c.letter, "title": c.title, "reasons": list(c.reasons)},
        "gauges": [
            {"scale": g.scale, "states": list(g.written), "lines": list(gauge_lines(g)), "here": g.scale in own}
            for g in r.gauges
        ],
        "coefficient": _coefficient(c),
        "filter": filter_of(c, p),
        "outer_products": _outer(c),
        "not_outer_products": _not_outer(c),
        "operands": [_operand(o, c, partition) for o in r.operands],
        "results": [{"name": n, "axes": list(r.definitions[n].axes), "why": _why(c, n)} for n in r.results],
        "channels": list(r.channels),
        "summed_inside": list(r.inner),
        "left_outside": [
            {"name": n, "why": why} for n, why in r.frontier if n not in r.results and not why.startswith("operand: ")
        ],
        "adjoint": adjoint_lines(p, taken),
        "work_per_token": {"forward": _work(forward, sizes, args), "backward": _work(backward, sizes, args)},
        "modes": _modes(planned, sizes, args, call),
        "crossover": _crossover(planned, sizes, args, call),
        "stability": [_verdict(v) for v in verdicts],
        "kernel": planned.kernel,
    }


def _continuous(layer: Layer, name: str) -> dict[str, Any] | None:
    state = layer.states.get(name)
    if state is None or state.continuous is None:
        return None
    c = state.continuous
    rules = [{"term": pretty(node), "rule": rule} for node, rule in c.terms]
    return {
        "rate": f"{name}' = {pretty(c.rate)}",
        "coefficient": pretty(c.coefficient),
        "rule": c.rule,
        "terms": rules,
        "step": pretty(c.step),
    }


def _coefficient(c: Classified) -> dict[str, Any] | None:
    """What multiplies the state, and whether it depends on the token."""
    if not c.linear:
        return None
    r = c.recurrence
    late = {o.name for o in r.operands if o.token} | {n for n, d in r.definitions.items() if d.time > Time.PARAMETER}
    through = dict.fromkeys(x.name for a, _ in c.linear for x in refs(a) if x.name in late)
    return {
        "a": [pretty(a) for a, _ in c.linear],
        "b": [pretty(x) for _, x in c.linear],
        "selective": c.coefficient_time > Time.PARAMETER,
        "through": list(through),
    }


def _outer(c: Classified) -> dict[str, Any] | None:
    """Decay, key, value and queries of a state that gathers outer products."""
    o = c.outer
    if isinstance(o, str):
        return None
    return {
        "log_decay": pretty(o.log_decay),
        "key": pretty(o.key),
        "value": pretty(o.value),
        "queries": {f"prev({x.name})" if x.late else x.name: pretty(x.weight) for x in o.reads},
        "heads": list(o.heads),
        "keys": list(o.keys),
        "values": list(o.values),
    }


def _not_outer(c: Classified) -> str | None:
    """Why a varying recurrence with a state of several axes is not evaluated as one that gathers outer products."""
    wide = any(len(x.axes) > 1 for x in c.recurrence.carried)
    return c.outer if isinstance(c.outer, str) and wide and c.linear and c.letter != "LTI" else None


def _operand(o: Operand, c: Classified, partition: Partition) -> dict[str, Any]:
    return {
        "name": o.name,
        "axes": [*(("batch", "time") if o.token else ()), *o.axes],
        "dtype": o.dtype,
        "role": "token" if o.token else "parameter",
        "why": _why(c, o.name) or _source(o.name, partition),
    }


def _why(c: Classified, name: str) -> str:
    why = dict(c.recurrence.frontier).get(name, "")
    why = why.removeprefix("operand: ").removeprefix("result: ")
    return why.replace("read by the result", "returned by the layer")


def _source(name: str, partition: Partition) -> str:
    """Why the walk back from a recurrence ends at a value: it is no equation, or another region's result."""
    layer = partition.layer
    if name in layer.inputs:
        return "an input of the layer"
    if name in layer.params:
        return "a parameter"
    for region in partition.regions:
        if name in region.writes and region.kind != "pointwise":
            return f"the result of {region.kind} {region.name}"
    return "the token's position" if name == "t" else "a value of another region"


def _work(w: Work, sizes: Sizes, args: Mapping[str, Value]) -> dict[str, Any]:
    return {
        "flops": str(w.flops),
        "special_functions": str(w.special),
        "flops_value": sizes.value(w.flops, args),
        "special_functions_value": sizes.value(w.special, args),
    }


def _modes(
    planned: Planned, sizes: Sizes, args: Mapping[str, Value], call: tuple[int, int | None]
) -> list[dict[str, Any]]:
    c = planned.classified
    job = job_of(planned, sizes, args, call[0], call[1] or 1)
    out = []
    for mode, choice in zip(modes(), planned.modes, strict=True):
        cost = mode.cost(c)
        timed = job is not None and call[1] is not None and choice.allowed
        out.append({
            "name": mode.name,
            "allowed": choice.allowed,
            "reason": choice.reason,
            "flops": cost.flops,
            "bytes": cost.bytes,
            "depth": cost.depth,
            "estimate_us": round(mode.seconds(c, job) * 1e6, 1) if timed and job is not None else None,
        })  # fmt: skip
    return out


def job_of(planned: Planned, sizes: Sizes, args: Mapping[str, Value], rows: int, length: int) -> Job | None:
    """A call as the modes' estimates see it; None where a size is not known."""
    total, r = 0, planned.classified.recurrence
    channels = sizes.value(sizes.axes(r.channels), args)
    for k in r.carried:
        numbers = sizes.value(sizes.axes(k.axes), args)
        if numbers is None:
            return None
        total += numbers * (2 if k.dtype == "complex" else 1)
    return None if channels is None else Job(length, rows, total, channels)


def _crossover(
    planned: Planned, sizes: Sizes, args: Mapping[str, Value], call: tuple[int, int | None]
) -> dict[str, Any] | None:
    """Which allowed mode is the fastest from which length on, by estimate; and at the length asked for."""
    c, (rows, length) = planned.classified, call
    allowed = {m.name for m in planned.modes if m.allowed}
    ways = [m for m in modes() if m.name in allowed]
    job = job_of(planned, sizes, args, rows, 1)
    if job is None or not ways:
        return None

    def best(n: int) -> str:
        return min(ways, key=lambda m: (m.seconds(c, replace(job, length=n)), m.name)).name

    ranges: list[dict[str, Any]] = []
    for n in (2**i for i in range(LONGEST + 1)):
        if not ranges or ranges[-1]["mode"] != best(n):
            ranges.append({"from": _first(best, n) if ranges else 1, "mode": best(n)})
    return {"batch": rows, "ranges": ranges, "length": length, "chosen": best(length) if length else None}


def _first(best: Any, n: int) -> int:
    """The shortest length in (n/2, n] at which the mode is already what it is at n."""
    low, high = n // 2, n
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if best(middle) == best(n) else (middle, high)
    return high


def _verdict(v: Verdict) -> dict[str, Any]:
    return {
        "property": v.property,
        "verdict": v.verdict,
        "because": v.because,
        "assumptions": list(v.assumptions),
        "witness": {n: number(x) for n, x in sorted(v.witness.items())} if v.witness else None,
    }
