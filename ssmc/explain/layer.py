"""A layer as data: arguments, axes, values with their binding times, regions, recurrences, parameters, work and state.

The keys are a contract of `ssmc explain --json`; what is not known is null, and texts are in the language of the spec.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ssmc.analysis.facts import Facts
from ssmc.analysis.stability import judge
from ssmc.explain.counts import Count, Sizes, Value, arguments, number
from ssmc.explain.recurrence import recurrence
from ssmc.explain.work import Work, entries, fields, lets_work, module_work, one_sided, region_work
from ssmc.ir.equations import equation, optional
from ssmc.ir.layer import Layer, Time
from ssmc.ir.plan import Plan
from ssmc.ir.pretty import pretty
from ssmc.ir.regions import Partition, Region

_TIMES = {Time.LITERAL: "literal", Time.PARAMETER: "parameter", Time.SEQUENCE: "sequence", Time.TOKEN: "token",
          Time.STATE: "state"}  # fmt: skip


def explain(plan: Plan, batch: int = 1, length: int | None = None) -> dict[str, Any]:
    """What the compiler makes of a layer."""
    partition = plan.partition
    layer = partition.layer
    sizes = Sizes(layer)
    args, examples = arguments(layer)
    facts = Facts(layer)
    verdicts = {name: judge(layer, state, facts) for name, state in layer.states.items()}
    return {
        "layer": layer.name,
        "doc": layer.doc,
        "arguments": [
            {"name": a.name, "kind": a.kind, "default": _default(a.default, a.choices), "fixed": a.fixed,
             "value": args.get(a.name), "example": a.name in examples}
            for a in layer.args
        ],
        "axes": [
            {"name": n, "size": pretty(a.size), "value": sizes.value(sizes.axis(n), args), "factors": list(a.factors)}
            for n, a in layer.axes.axes.items()
        ],
        "inputs": [
            {"name": i.name, "axes": ["batch", "time", *i.axes], "default": optional(i.default)}
            for i in layer.inputs.values()
        ],
        "result": layer.result,
        "values": _values(partition),
        "regions": [_region(r, plan, sizes, args) for r in partition.regions],
        "recurrences": [
            recurrence(p, partition, verdicts.get(p.program.recurrence.name, ()), sizes, args, (batch, length))
            for p in plan.programs
        ],
        "parameters": _parameters(layer, sizes, args),
        "work_per_token": _total_work(plan, sizes, args),
        "state": _state(partition, sizes, args),
    }  # fmt: skip


def _default(node: Any, choices: tuple[str, ...]) -> str | None:
    return choices[0] if choices else optional(node)


def _values(partition: Partition) -> list[dict[str, Any]]:
    """Every named value of the spec: what it is, its axes, and when it is known."""
    layer = partition.layer
    linears = [(o.name, o.axes, f"linear {m.name}", m.span) for m in layer.linears.values() for o in m.outputs]
    convs = [(c.output.name, c.output.axes, f"conv {c.name}", c.span) for c in layer.convs.values()]
    splits = [(o.name, o.axes, f"part of {m.input}", m.span) for m in layer.splits.values() for o in m.outputs]
    equations = [(v.name, v.axes, "equation", v.span) for v in layer.values.values() if not v.anonymous]
    found = [
        *((i.name, i.axes, "input", i.span) for i in layer.inputs.values()),
        *((p.name, p.axes, "parameter", p.span) for p in layer.params.values()),
        *linears, *convs, *splits, *equations,
        *((s.name, s.axes, "state", s.span) for s in layer.states.values()),
    ]  # fmt: skip
    found.sort(key=lambda x: x[3].start)
    return [{"name": n, "axes": list(a), "kind": kind, "known": _known(n, kind, layer)} for n, a, kind, _ in found]


def _known(name: str, kind: str, layer: Layer) -> str:
    if kind in ("state", "parameter"):
        return kind
    return _TIMES[layer.times.get(name, Time.TOKEN)]


def _region(r: Region, plan: Plan, sizes: Sizes, args: Mapping[str, Value]) -> dict[str, Any]:
    partition = plan.partition
    name = partition.activations.get(r.name, "") if r.kind == "conv" else r.name
    found = partition.definitions.get(name) if r.kind not in ("linear", "split", "op", "delay") else None
    work = _region_work(r, plan, sizes)
    return {
        "kind": r.kind,
        "name": r.name,
        "reads": list(r.reads),
        "writes": list(r.writes),
        "equation": None if found is None else equation(found),
        "flops": str(work.flops),
        "flops_value": sizes.value(work.flops, args),
    }


def _region_work(r: Region, plan: Plan, sizes: Sizes) -> Work:
    """One token's work; a value of parameters alone is computed once a call and costs a token nothing."""
    partition = plan.partition
    layer = partition.layer
    if r.kind == "linear":
        return module_work(layer.linears[r.name], layer, sizes)
    if r.kind == "conv":
        own = module_work(layer.convs[r.name], layer, sizes)
        fused = partition.activations.get(r.name)
        return own if fused is None else own + region_work(partition, fused, sizes)
    if r.kind == "op":
        p = next(p.program for p in plan.programs if p.program.recurrence.name == r.name)
        return lets_work([*p.prologue, *p.update, *p.epilogue], sizes)
    return Work() if r.kind in ("split", "delay", "parameter") else region_work(partition, r.name, sizes)


def _total_work(plan: Plan, sizes: Sizes, args: Mapping[str, Value]) -> dict[str, Any]:
    total = Work()
    for r in plan.partition.regions:
        total += _region_work(r, plan, sizes)
    return {
        "flops": str(total.flops),
        "flops_value": sizes.value(total.flops, args),
        "special_functions": str(total.special),
        "special_functions_value": sizes.value(total.special, args),
    }


def _parameters(layer: Layer, sizes: Sizes, args: Mapping[str, Value]) -> dict[str, Any]:
    total, rows = number(0), []
    for e in entries(layer, sizes):
        if e.trainable:
            total += e.count
        rows.append({
            "key": e.key,
            "shape": [str(s) for s in e.shape],
            "shape_value": [sizes.value(s, args) for s in e.shape],
            "count": str(e.count),
            "count_value": sizes.value(e.count, args),
            "trainable": e.trainable,
            "weight_decay": e.decay and e.trainable,
            "initial": e.initial,
            "owner": e.owner,
            "line": e.line,
        })  # fmt: skip
    return {"count": str(total), "count_value": sizes.value(total, args), "state_dict": rows}


def _state(partition: Partition, sizes: Sizes, args: Mapping[str, Value]) -> dict[str, Any] | None:
    """What one sequence carries; None for a layer that looks at later tokens."""
    if not one_sided(partition):
        return None
    total: Count = number(0)
    rows = []
    for f in fields(partition, sizes):
        total += f.count
        rows.append({
            "name": f.name,
            "what": f.what,
            "axes": list(f.axes),
            "count": str(f.count),
            "count_value": sizes.value(f.count, args),
        })  # fmt: skip
    return {"fields": rows, "count": str(total), "count_value": sizes.value(total, args)}
