"""Which conditions `__init__` may decide: those under which every op, every state and every input stays the same.

The layer is analysed under each value of its structural arguments. An argument that changes nothing but modules,
parameters and what happens between ops becomes an argument of `__init__`; any other is fixed when compiling.
"""

from __future__ import annotations

from dataclasses import replace
from itertools import product

from ssmc.analysis.classify import classify
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
Values = tuple[bool | str, ...]


def with_variants(plan: Plan, spec: Spec, options: Options) -> Plan:
    """The plan with the arguments that `__init__` decides, and the layer under each of their values."""
    layer = plan.partition.layer
    flags = [a for a in layer.args if a.kind in ("bool", "choice") and a.fixed is not None and a.name not in options.settings]
    if not flags:
        return plan
    combinations = list(product(*(_values(a) for a in flags)))
    if len(combinations) > MOST:
        return plan
    parts = {c: _partition(plan, spec, options, flags, c) for c in combinations}
    prints = {c: None if p is None else _fingerprint(p) for c, p in parts.items()}
    free = [i for i in range(len(flags)) if _indifferent(i, prints)]
    kept = {
        tuple(c[i] for i in free): p
        for c, p in parts.items()
        if p is not None and all(c[i] == flags[i].fixed for i in range(len(flags)) if i not in free)
    }
    if not free or len(kept) < 2:
        return plan
    return replace(plan, flags=tuple(flags[i] for i in free), variants=tuple(Variant(c, p) for c, p in kept.items()))


def _values(a: LayerArg) -> list[bool | str]:
    """The values of an argument, its default first."""
    all_values: list[bool | str] = [True, False] if a.kind == "bool" else list(a.choices)
    return sorted(all_values, key=lambda v: v != a.fixed)


def _partition(plan: Plan, spec: Spec, options: Options, flags: list[LayerArg], values: Values) -> Partition | None:
    settings = {**options.settings, **{a.name: v for a, v in zip(flags, values, strict=True)}}
    sink = Sink()
    layer = analyze(spec, plan.partition.layer.source, settings, sink)
    return None if layer is None else partition(layer, sink)


def _fingerprint(p: Partition) -> tuple[object, ...]:
    """What callers and kernels see of a layer: ops, states, inputs."""
    ops = []
    for r in p.recurrences.values():
        q = lower(classify(r))
        leaves = tuple((x.name, x.operand.axes, x.operand.token) for x in q.leaves)
        ops.append((r.name, r.reverse, leaves, q.hoisted, q.prologue, q.update, q.epilogue, q.results))
    convs = tuple((c.name, c.output.axes, c.width) for c in p.layer.convs.values())
    delays = tuple((d.name, d.offset, d.axes) for d in p.delays.values())
    return tuple(ops), convs, delays, tuple(p.layer.inputs), p.uses_position


def _indifferent(i: int, prints: dict[Values, tuple[object, ...] | None]) -> bool:
    """Whether the i-th flag never changes the fingerprint."""
    groups: dict[Values, set[int]] = {}
    seen: list[tuple[object, ...] | None] = []
    for values, mark in prints.items():
        if mark is None:
            return False
        number = next((n for n, other in enumerate(seen) if other == mark), len(seen))
        if number == len(seen):
            seen.append(mark)
        groups.setdefault(values[:i] + values[i + 1 :], set()).add(number)
    return all(len(g) == 1 for g in groups.values())
