"""Every level of a compilation as readable text (`--emit`) and as data (`--emit ... --json`); nothing reads it back."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import fields, is_dataclass
from enum import IntEnum
from fractions import Fraction
from typing import TYPE_CHECKING, Any

from ssmc.diagnostics.span import Source, Span
from ssmc.ir.equations import assignment, equation, optional, typed
from ssmc.ir.expr import Node
from ssmc.ir.layer import Layer, Time
from ssmc.ir.plan import Plan, Planned
from ssmc.ir.pretty import pretty
from ssmc.ir.program import Let, Program
from ssmc.ir.regions import Partition, Recurrence

if TYPE_CHECKING:
    from ssmc.driver import Compilation

IN = "  "


def dump(done: Compilation, level: str) -> str:
    """A level (`layer`, `regions`, `plan` or `program`) as text."""
    assert done.layer is not None
    lines = _LEVELS[level](done)
    return "\n".join([f"{level} of {done.layer.name}", *lines]) + "\n"


def as_data(done: Compilation, level: str) -> Any:
    """A level as dictionaries and lists; expressions are texts, places are lines."""
    levels: dict[str, Any] = {"layer": done.layer, "regions": done.partition, "plan": done.plan}
    if level == "program":
        levels[level] = [p.program for p in done.plan.programs] if done.plan else None
    return _plain(levels[level], done.source)


# --- text ---


def _layer(done: Compilation) -> Iterator[str]:
    x = done.layer
    assert x is not None
    yield "arguments"
    for a in x.args:
        fixed = "" if a.fixed is None else f" fixed {a.fixed}"
        default = " | ".join(a.choices) or optional(a.default)
        yield f"{IN}{a.name}: {a.kind}{'' if default is None else f' = {default}'}{fixed}"
    yield "axes"
    for axis in x.axes.axes.values():
        split = f" = {' * '.join(axis.factors)}, viewed as such" if axis.name in x.axes.split else ""
        yield f"{IN}{axis.name} = {pretty(axis.size)}{split}"
    yield "inputs"
    for i in x.inputs.values():
        yield f"{IN}{typed(i.name, i.axes)}" + ("" if i.default is None else f" = {pretty(i.default)}")
    yield from _modules(x)
    yield "values"
    for v in x.values.values():
        yield f"{IN}{typed(v.name, v.axes)}: {_time(x, v.name)} = {pretty(v.node)}"
    yield "states"
    for s in x.states.values():
        kind = " complex" if s.dtype == "complex" else ""
        yield f"{IN}{typed(s.name, s.axes)}{kind} = {pretty(s.update)}"
        if s.continuous is not None:
            rules = ", ".join(f"{pretty(n)} by {rule}" for n, rule in s.continuous.terms)
            yield f"{IN * 2}from {s.name}' = {pretty(s.continuous.rate)}"
            yield f"{IN * 2}{pretty(s.continuous.coefficient)} by {s.continuous.rule}, {rules}"
            yield f"{IN * 2}step {pretty(s.continuous.step)}"
    yield f"result {x.result}"


def _modules(x: Layer) -> Iterator[str]:
    yield "owned"
    for item in sorted(x.owned, key=lambda m: m.span.start):
        if item.name in x.params:
            p = x.params[item.name]
            found = (("complex", p.dtype == "complex"), ("no_decay", not p.decay), ("fixed", not p.trainable))
            marks = [word for word, holds in found if holds]
            within = f" in [{pretty(p.range[0])}, {pretty(p.range[1])}]" if p.range else ""
            yield " ".join([f"{IN}param {typed(p.name, p.axes)} = {pretty(p.init)}{within}", *marks, f'as "{p.key}"'])
        elif item.name in x.linears:
            m = x.linears[item.name]
            outputs = ", ".join(typed(o.name, o.axes) for o in m.outputs)
            yield f'{IN}linear {m.name}({m.input} -> {outputs}), bias {m.bias} as "{m.key}"'
        else:
            c = x.convs[item.name]
            yield f'{IN}conv {c.name}({c.input}), width {pretty(c.width)}, bias {c.bias} as "{c.key}"'


def _time(x: Layer, name: str) -> str:
    return x.times.get(name, Time.TOKEN).name.lower()


def _regions(done: Compilation) -> Iterator[str]:
    x = done.partition
    assert x is not None
    for r in x.regions:
        yield f"{r.kind} {r.name}: {', '.join(r.reads)} -> {', '.join(r.writes)}"
        if x.activations.get(r.name) and r.kind == "conv":
            yield f"{IN}{equation(x.definitions[x.activations[r.name]])}"
        if r.kind == "op":
            yield from (f"{IN}{line}" for line in _recurrence(x.recurrences[r.name]))
        elif r.name in x.definitions and r.kind not in ("linear", "conv", "split"):
            yield f"{IN}{equation(x.definitions[r.name])}"


def _recurrence(r: Recurrence) -> Iterator[str]:
    for o in r.operands:
        yield f"operand {typed(o.name, (*(('batch', 'time') if o.token else ()), *o.axes))} {o.dtype}"
    for c in r.carried:
        start = "" if c.init is None else f", from {pretty(c.init)}"
        yield f"carries {typed(c.name, c.axes)} of {c.of}{'' if c.recurrent else ', delayed'}{start}"
    for name in ("hoisted", "prologue", "update", "epilogue"):
        yield from (f"{name}: {equation(d)}" for d in getattr(r, name))
    yield f"results {', '.join(r.results)}; channels {', '.join(r.channels)}; inner {', '.join(r.inner) or 'none'}"
    if r.reverse:
        yield "from the last token to the first"
    yield from (f"frontier: {name}: {why}" for name, why in r.frontier)


def _plan(done: Compilation) -> Iterator[str]:
    assert done.plan is not None
    for p in done.plan.programs:
        yield from _planned(p)


def _planned(p: Planned) -> Iterator[str]:
    c = p.classified
    yield f"{c.recurrence.name}: class {c.letter} ({c.title}), structure {c.structure}, kernel {str(p.kernel).lower()}"
    yield from (f"{IN}because {reason}" for reason in c.reasons)
    for a, x in c.linear:
        yield f"{IN}coefficient {pretty(a)}"
        yield f"{IN}input {pretty(x)}"
    yield from (f"{IN}mode {m.name} {'allowed' if m.allowed else 'refused'}: {m.reason}" for m in p.modes)
    yield from (f"{IN}stability {line}" for line in p.stability)
    yield from (f"{IN}{line}" for line in p.equations)


def _program(done: Compilation) -> Iterator[str]:
    assert done.plan is not None
    for planned in done.plan.programs:
        yield from _one_program(planned.program)


def _one_program(p: Program) -> Iterator[str]:
    yield f"op {p.recurrence.name}, {'linear, by a scan' if p.linear else 'by a walk'}"
    yield from (f"{IN}leaf {typed(x.name, x.operand.atoms)}" for x in p.leaves)
    yield from (f"{IN}field {typed(f.name, f.atoms)} of {f.of}" for f in p.fields)
    yield from (f"{IN}port {x.fields} = {x.coefficient} * prev + {x.input}" for x in p.ports)
    a = p.adjoint
    sections: list[tuple[str, tuple[Let, ...]]] = [
        ("hoisted", p.hoisted), ("prologue", p.prologue), ("update", p.update), ("epilogue", p.epilogue),
        ("adjoint of the epilogue", a.epilogue), ("adjoint of the update", a.update),
        ("adjoint of the prologue", a.prologue), ("adjoint of hoisted", a.hoisted),
    ]  # fmt: skip
    for name, lets in sections:
        if lets:
            yield f"{IN}{name}"
            yield from (f"{IN * 2}{assignment(let)}" for let in lets)
    yield f"{IN}accumulated {', '.join(a.accumulated) or 'nothing'}"
    yield from (f"{IN}gradient of {leaf} is {name}" for leaf, name in a.gradients.items())
    yield from (f"{IN}result {typed(r.name, r.axes)} from {', '.join(r.parts)}" for r in p.results)


_LEVELS = {"layer": _layer, "regions": _regions, "plan": _plan, "program": _program}


# --- data ---


def _plain(x: Any, source: Source) -> Any:
    """Frozen data as what JSON knows."""
    match x:
        case Node():
            return pretty(x)
        case Span():
            return {"line": source.line_of(x)}
        case Plan():
            return {"programs": _plain(x.programs, source), "settings": _plain(x.settings, source)}
        case Layer():
            named = {f.name: getattr(x, f.name) for f in fields(x) if f.name not in ("source", "axes")}
            return _plain(named, source) | {"axes": _plain(x.axes.axes, source), "split": sorted(x.axes.split)}
        case Partition():
            named = {f.name: getattr(x, f.name) for f in fields(x) if f.name != "layer"}
            return _plain(named, source)
        case IntEnum():
            return x.name.lower()
        case Fraction():
            return str(x)
        case Mapping():
            return {str(k): _plain(v, source) for k, v in x.items()}
        case tuple() | list():
            return [_plain(v, source) for v in x]
    if is_dataclass(x):
        return {f.name: _plain(getattr(x, f.name), source) for f in fields(x)}
    return x
