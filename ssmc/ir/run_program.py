"""The meaning of a program: one op on real numbers, token by token, and token by token back through its adjoint.

Written to be read beside `ir/program.py`: each function does what the docstring there says of its section, no more.
Arrays are `[batch, axes]` at a token; a name is bound on the axes its assignment's expression has, and read on those of
the reference, along whose other axes it is the same.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np

from ssmc.ir.expr import Ref, refs
from ssmc.ir.interpret import Argument, Array, align, evaluate
from ssmc.ir.program import Let, Program

Bound = dict[str, tuple[tuple[str, ...], Array]]  # axes, and an array whose last dimensions they are


@dataclass(frozen=True, slots=True)
class Scale:
    """The numbers that a call fixes."""

    batch: int
    time: int
    sizes: Mapping[str, int]
    args: Mapping[str, Argument]

    def dims(self, axes: Iterable[str]) -> tuple[int, ...]:
        """Sizes of axes."""
        return tuple(self.sizes[a] for a in axes)

    def on(self, bound: tuple[tuple[str, ...], Array], axes: tuple[str, ...]) -> Array:
        """A bound value on more axes, `[batch, axes]`."""
        own, x = bound
        assert set(own) <= set(axes), f"a value on {own} is read on {axes}"
        x = align(x, own, axes)
        return np.broadcast_to(x, (self.batch, *self.dims(axes)))


@dataclass(frozen=True, slots=True)
class Run:
    """A forward call: results and last states in the shapes of the op, and all that the walk back needs. Tokens are in
    the op's own order: the last comes first where it runs backward in time."""

    results: dict[str, Array]
    last: dict[str, Array]
    scale: Scale
    early: Bound
    tokens: tuple[Bound, ...]
    before: tuple[Bound, ...]


def run_program(
    p: Program,
    operands: Mapping[str, Array],
    initial: Mapping[str, Array] | None,
    sizes: Mapping[str, int],
    args: Mapping[str, Argument],
) -> Run:
    """The op on tensors `[batch, time, axes]` (or `[axes]`), from states `[batch, axes]` (None: the declared start)."""
    r = p.recurrence
    first = next(operands[o.name] for o in r.operands if o.token)
    scale = Scale(first.shape[0], first.shape[1], sizes, args)
    early: Bound = {}
    streams: dict[str, tuple[tuple[str, ...], Array]] = {}
    for leaf in p.leaves:
        o, x = leaf.operand, part_of(np.asarray(operands[leaf.operand.name]), leaf.part)
        if o.token:
            x = x[:, ::-1] if r.reverse else x
            streams[leaf.name] = o.atoms, x.reshape(*x.shape[:2], *scale.dims(o.atoms))
        else:
            early[leaf.name] = o.atoms, x.reshape(scale.dims(o.atoms))
    assign(p.hoisted, early, {}, scale)
    before: Bound = {}
    for f in p.fields:
        state = _start(p, f.of, operands, initial, scale)
        before[f.name] = f.atoms, part_of(state, f.part).reshape(scale.batch, *scale.dims(f.atoms))
    tokens, befores = [], []
    for t in range(scale.time):
        now = {**early, **{n: (atoms, x[:, t]) for n, (atoms, x) in streams.items()}}
        for section in (p.prologue, p.update, p.epilogue):
            assign(section, now, before, scale)
        tokens.append(now)
        befores.append(before)
        before = {f.name: (f.atoms, scale.on(now[f.name], f.atoms)) for f in p.fields}
    results = {}
    for res in p.results:
        parts = [stack([scale.on(now[n], res.atoms) for now in tokens], scale, res.atoms) for n in res.parts]
        x = whole_of(parts)[:, ::-1] if r.reverse else whole_of(parts)
        results[res.name] = x.reshape(scale.batch, scale.time, *scale.dims(res.axes))
    last = {
        c.of: whole_of([before[f.name][1] for f in p.fields if f.of == c.of]).reshape(scale.batch, *scale.dims(c.axes))
        for c in r.carried
    }
    return Run(results, last, scale, early, tuple(tokens), tuple(befores))


def run_adjoint(
    p: Program, run: Run, d_results: Mapping[str, Array], d_last: Mapping[str, Array]
) -> tuple[dict[str, Array], dict[str, Array]]:
    """The cotangents of the operands and of the initial states, from those of the results and of the last states. A
    complex number's is that of its real part plus i times that of its imaginary part."""
    r, adjoint, scale = p.recurrence, p.adjoint, run.scale
    seeds: Bound = {}
    for res in p.results:
        g = np.asarray(d_results[res.name]).reshape(scale.batch, scale.time, *scale.dims(res.atoms))
        parts = [("",), ("re", "im")][len(res.parts) - 1]
        for n, part in zip(res.parts, parts, strict=True):
            seeds[f"g:{n}"] = res.atoms, part_of(g[:, ::-1] if r.reverse else g, part)
    carry = {
        f.name: part_of(np.asarray(d_last[f.of]), f.part).reshape(scale.batch, *scale.dims(f.atoms)) for f in p.fields
    }
    sums: dict[str, Array | float] = dict.fromkeys(adjoint.accumulated, 0.0)
    atoms = {let.name: let.node.axes for let in adjoint.prologue}
    streaming = [leaf for leaf in p.leaves if leaf.operand.token and leaf.name in adjoint.gradients]
    streams: dict[str, list[Array]] = {leaf.name: [] for leaf in streaming}
    for t in reversed(range(scale.time)):
        now, before = dict(run.tokens[t]), run.before[t]
        now |= {n: (axes, g[:, t]) for n, (axes, g) in seeds.items()}
        assign(adjoint.epilogue, now, before, scale)
        for f in p.fields:
            wanted = carry[f.name]
            if f.name in adjoint.reads:
                wanted = wanted + scale.on(now[adjoint.reads[f.name]], f.atoms)
            now[f"d:{f.name}"] = f.atoms, wanted
        assign(adjoint.update, now, before, scale)
        for f in p.fields:
            carry[f.name] = np.zeros_like(carry[f.name])
            for names in (adjoint.carries, adjoint.reads_before):
                if f.name in names:
                    carry[f.name] = carry[f.name] + scale.on(now[names[f.name]], f.atoms)
        assign(adjoint.prologue, now, before, scale)
        for name in adjoint.accumulated:
            sums[name] = sums[name] + scale.on(now[name], atoms[name]).sum(0)
        for leaf in streaming:
            streams[leaf.name].append(scale.on(now[adjoint.gradients[leaf.name]], leaf.operand.atoms))
    early = dict(run.early)
    for name in adjoint.accumulated:
        early[name] = atoms[name], np.broadcast_to(sums[name], scale.dims(atoms[name]))
    assign(adjoint.hoisted, early, {}, scale)
    operands: dict[str, Array] = {}
    for o in r.operands:
        leaves = [leaf for leaf in p.leaves if leaf.operand.name == o.name]
        shape = (scale.batch, scale.time) if o.token else ()
        total: Array = np.zeros((*shape, *scale.dims(o.axes)), complex if o.dtype == "complex" else float)
        for leaf in leaves:
            if leaf.name not in adjoint.gradients:
                continue
            if o.token:
                g = stack(streams[leaf.name][::-1], scale, o.atoms)
                g = g[:, ::-1] if r.reverse else g
            else:
                g = np.broadcast_to(
                    align(early[adjoint.gradients[leaf.name]][1], early[adjoint.gradients[leaf.name]][0], o.atoms),
                    scale.dims(o.atoms),
                )
            total = total + g.reshape(total.shape) * (1j if leaf.part == "im" else 1)
        operands[o.name] = total
    states = {
        c.of: whole_of([carry[f.name] for f in p.fields if f.of == c.of]).reshape(scale.batch, *scale.dims(c.axes))
        for c in r.carried
    }
    return operands, states


# --- pieces -----------------------------------------------------------------------------------------------------------


def assign(lets: Iterable[Let], now: Bound, before: Bound, scale: Scale) -> None:
    """Bind each name in order; an offset reference reads a field before the token."""

    def read(r: Ref) -> Array:
        own, x = (before if r.offset else now)[r.name]
        if x.ndim == len(own):  # known before time starts
            assert set(own) <= set(r.axes), f"`{r.name}` on {own} is read on {r.axes}"
            return np.broadcast_to(align(x, own, r.axes), scale.dims(r.axes))
        return scale.on((own, x), r.axes)

    for let in lets:
        env = {r: read(r) for r in refs(let.node)}
        now[let.name] = let.node.axes, evaluate(let.node, env, scale.sizes, scale.args)


def _start(
    p: Program, state: str, operands: Mapping[str, Array], initial: Mapping[str, Array] | None, scale: Scale
) -> Array:
    """A state before the first token, `[batch, atoms]`."""
    c = next(c for c in p.recurrence.carried if c.of == state)
    shape = (scale.batch, *scale.dims(c.atoms))
    if initial is not None:
        return np.asarray(initial[state]).reshape(shape)
    if c.init is None:
        return np.zeros(shape)
    env = {r: np.asarray(operands[r.name]).reshape(scale.dims(r.axes)) for r in refs(c.init)}
    x = evaluate(c.init, env, scale.sizes, scale.args)
    return np.broadcast_to(align(x, c.init.axes, c.atoms), shape)


def part_of(x: Array, part: str) -> Array:
    """A part of a complex value."""
    out: Array = {"re": np.real, "im": np.imag, "": lambda v: v}[part](x)
    return out


def whole_of(parts: list[Array]) -> Array:
    """A real value, or a complex one from its two parts."""
    return parts[0] if len(parts) == 1 else parts[0] + 1j * parts[1]


def stack(rows: list[Array], scale: Scale, axes: tuple[str, ...]) -> Array:
    """Values of tokens as one array `[batch, time, axes]`."""
    return np.stack(rows, axis=1) if rows else np.zeros((scale.batch, 0, *scale.dims(axes)))
