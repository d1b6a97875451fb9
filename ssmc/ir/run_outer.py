"""The meaning of an op's outer-product form: the literal recurrence of its log decay, key, value and queries."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from ssmc.ir.interpret import Argument, Array, align
from ssmc.ir.program import Program
from ssmc.ir.run_program import Bound, Scale, assign, part_of, stack


def run_outer(
    p: Program, operands: Mapping[str, Array], sizes: Mapping[str, int], args: Mapping[str, Argument]
) -> dict[str, Array]:
    """The results of an op that gathers outer products, from zero states."""
    f, r = p.outer, p.recurrence
    assert f is not None
    first = next(operands[o.name] for o in r.operands if o.token)
    scale = Scale(first.shape[0], first.shape[1], sizes, args)
    early: Bound = {}
    streams: Bound = {}
    for leaf in p.leaves:
        o, x = leaf.operand, part_of(np.asarray(operands[leaf.operand.name]), leaf.part)
        if o.token:
            x = x[:, ::-1] if r.reverse else x
            streams[leaf.name] = o.atoms, x.reshape(*x.shape[:2], *scale.dims(o.atoms))
        else:
            early[leaf.name] = o.atoms, x.reshape(scale.dims(o.atoms))
    assign(f.hoisted, early, {}, scale)
    whole = (*f.heads, *f.keys, *f.values)
    lost = tuple(whole.index(a) + 1 for a in f.keys)
    state = np.zeros((scale.batch, *scale.dims(whole)))
    tokens = []
    for t in range(scale.time):
        now = {**early, **{n: (axes, x[:, t]) for n, (axes, x) in streams.items()}}
        assign(f.prologue, now, {}, scale)
        z, k, v = (_on(now[n], whole, scale) for n in (f.decay, f.key, f.value))
        before, state = state, np.exp(z) * state + k * v
        for q in f.queries:
            read = (_on(now[q.name], whole, scale) * (before if q.late else state)).sum(lost)
            now[q.read] = (*f.heads, *f.values), read
        assign(f.epilogue, now, {}, scale)
        tokens.append(now)
    out = {}
    for res in p.results:
        x = stack([scale.on(now[res.parts[0]], res.atoms) for now in tokens], scale, res.atoms)
        x = x[:, ::-1] if r.reverse else x
        out[res.name] = x.reshape(scale.batch, scale.time, *scale.dims(res.axes))
    return out


def _on(bound: tuple[tuple[str, ...], Array], axes: tuple[str, ...], scale: Scale) -> Array:
    own, x = bound
    if x.ndim == len(own):  # known before time starts
        return np.broadcast_to(align(x, own, axes), scale.dims(axes))
    return scale.on(bound, axes)
