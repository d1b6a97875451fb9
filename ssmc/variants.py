"""Which conditions `__init__` may decide: those under which every op, every state and every input stays the same.

The layer is analysed under each value of its structural arguments. An argument that changes nothing but modules,
parameters and what happens between ops becomes an argument of `__init__`; any other is fixed when compiling.
"""

from __future__ import annotations

from dataclasses import replace
from itertools import product
from math import prod
from typing import Any

from ssmc.analysis.classify import classify
from ssmc.analysis.facts import positive_in
from ssmc.analysis.gauge import stabilise
from ssmc.diagnostics.sink import Sink
from ssmc.ir.layer import LayerArg
from ssmc.ir.plan import Plan, Variant
from ssmc.ir.regions import Partition
from ssmc.lower.program import lower
from ssmc.options import Options
from ssmc.partition.partition import partition
from ssmc.sema.analyze import analyze
from ssmc.syntax.ast import Spec

MOST = 16  # combinations that are looked at
Values = tuple[Any, ...]


def with_variants(plan: Plan, spec: Spec, options: Options) -> Plan:
    """The plan with the arguments that `__init__` decides, and the layer under each of their values."""
    layer = plan.partition.layer
    flags = [
        a for a in layer.args if a.kind in ("bool", "choice") and a.fixed is not None and a.name not in options.settings
    ]
    if not flags:
        return plan
    defaults = tuple(a.fixed for a in flags)
    seen: dict[Values, Partition] = {defaults: plan.partition}

    def same(values: Values) -> bool:
        part = _partition(plan, spec, options, flags, values)
        if part is None or _fingerprint(part) != mark:
            return False
        seen[values] = part
        return True

    mark = _fingerprint(plan.partition)
    free: list[int] = []
    for i, a in enumerate(flags):
        joint = [_values(f) if k in (*free, i) else [f.fixed] for k, f in enumerate(flags)]
        fresh = [c for c in product(*joint) if c not in seen]
        if prod(len(v) for v in joint) <= MOST and all(same(c) for c in fresh):
            free.append(i)
        else:
            seen = {c: p for c, p in seen.items() if c[i] == a.fixed}
    if not free:
        return plan
    kept = tuple(Variant(tuple(c[i] for i in free), p) for c, p in seen.items())
    return replace(plan, flags=tuple(flags[i] for i in free), variants=kept)


def _values(a: LayerArg) -> list[Any]:
    """The values of an argument, its default first."""
    all_values: list[Any] = [True, False] if a.kind == "bool" else list(a.choices)
    return sorted(all_values, key=lambda v: v != a.fixed)


def _partition(plan: Plan, spec: Spec, options: Options, flags: list[LayerArg], values: Values) -> Partition | None:
    settings = {**options.settings, **{a.name: v for a, v in zip(flags, values, strict=True)}}
    sink = Sink()
    layer = analyze(spec, plan.partition.layer.source, settings, sink)
    return None if layer is None else partition(stabilise(layer, sink), sink)


def _fingerprint(p: Partition) -> tuple[object, ...]:
    """What callers and kernels see of a layer: ops, states, inputs."""
    ops, positive = [], positive_in(p)
    for r in p.recurrences.values():
        q = lower(classify(r, positive))
        leaves = tuple((x.name, x.operand.axes, x.operand.token) for x in q.leaves)
        ops.append((r.name, r.reverse, leaves, q.hoisted, q.prologue, q.update, q.epilogue, q.results))
    convs = tuple((c.name, c.output.axes, c.width) for c in p.layer.convs.values())
    delays = tuple((d.name, d.offset, d.axes) for d in p.delays.values())
    return tuple(ops), convs, delays, tuple(p.layer.inputs), p.uses_position
