"""The meaning of an op's filter form: streams, literal impulse responses, literal convolutions, reads.

Beside `run_program`, which walks token by token: both must give the same. From zero states.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from ssmc.ir.interpret import Argument, Array
from ssmc.ir.program import FilterRead, FilterStream, Program
from ssmc.ir.run_program import Bound, Scale, assign, part_of, stack, whole_of


class FilterRun:
    """One op by its filters: what every token binds, and the filters themselves [channels, n, lag]."""

    def __init__(
        self, p: Program, operands: Mapping[str, Array], sizes: Mapping[str, int], args: Mapping[str, Argument]
    ) -> None:
        assert p.filter is not None
        first = next(operands[o.name] for o in p.recurrence.operands if o.token)
        self.p, self.f, self.scale = p, p.filter, Scale(first.shape[0], first.shape[1], sizes, args)
        self.r = p.recurrence
        self.atoms = (*self.r.channels, *self.r.inner)
        self.early: Bound = {}
        streams: Bound = {}
        for leaf in p.leaves:
            o, x = leaf.operand, part_of(np.asarray(operands[leaf.operand.name]), leaf.part)
            if o.token:
                x = x[:, ::-1] if self.r.reverse else x
                streams[leaf.name] = o.atoms, x.reshape(*x.shape[:2], *self.scale.dims(o.atoms))
            else:
                self.early[leaf.name] = o.atoms, x.reshape(self.scale.dims(o.atoms))
        assign(self.f.hoisted, self.early, {}, self.scale)
        self.tokens = [
            {**self.early, **{n: (axes, x[:, t]) for n, (axes, x) in streams.items()}} for t in range(self.scale.time)
        ]
        for now in self.tokens:
            assign(self.f.prologue, now, {}, self.scale)
        self.a = self._weight(self.f.coefficient)
        self._reads()
        for now in self.tokens:
            assign(self.f.epilogue, now, {}, self.scale)

    def _weight(self, parts: tuple[str, ...]) -> Array:
        """A coefficient or weight, [channels, inner]."""
        found = [np.broadcast_to(_aligned(self.early[n], self.atoms), self.scale.dims(self.atoms)) for n in parts]
        n_channels = len(self.scale.dims(self.r.channels))
        shape = found[0].shape
        return whole_of(found).reshape(*shape[:n_channels], -1)

    def _stream(self, s: FilterStream) -> Array:
        """A stream at every token, [time, batch, channels]."""
        return np.stack([self._on_channels(now[s.name]) for now in self.tokens]) if self.tokens else np.zeros(0)

    def _on_channels(self, bound: tuple[tuple[str, ...], Array]) -> Array:
        own, x = bound
        if x.ndim == len(own):
            x = np.broadcast_to(x, (self.scale.batch, *x.shape))
        return self.scale.on((own, x), self.r.channels)

    def _driven(self, s: FilterStream) -> Array:
        return self._weight(s.weights) * (1j if s.turned else 1)

    def _reading(self, r: FilterRead) -> Array:
        return self._weight(r.weights) * (-1j if r.turned else 1)

    def response(self, r: FilterRead, s: FilterStream, lag: int) -> Array:
        """K[lag] = Re sum_n c a**lag b, [channels]."""
        lag -= r.late
        return (
            np.zeros(self.a.shape[:-1]) if lag < 0 else (self._reading(r) * self._driven(s) * self.a**lag).sum(-1).real
        )

    def _reads(self) -> None:
        streams = [(s, self._stream(s)) for s in self.f.streams]
        for r in self.f.reads:
            for t, now in enumerate(self.tokens):
                sums = [self.response(r, s, t - i) * x[i] for s, x in streams for i in range(t + 1)]
                now[r.name] = self.r.channels, np.sum(sums, axis=0)

    def results(self) -> dict[str, Array]:
        """The op's results."""
        own = {r.name for r in self.f.reads}
        out = {}
        for res in self.p.results:
            names = [f"{n}:after" if f"{n}:after" in own else n for n in res.parts]
            parts = [
                stack([self.scale.on(now[n], res.atoms) for now in self.tokens], self.scale, res.atoms) for n in names
            ]
            x = whole_of(parts)[:, ::-1] if self.r.reverse else whole_of(parts)
            out[res.name] = x.reshape(self.scale.batch, self.scale.time, *self.scale.dims(res.axes))
        return out


def _aligned(bound: tuple[tuple[str, ...], Array], axes: tuple[str, ...]) -> Array:
    """A value known before time, with a dimension for each of the axes."""
    own, x = bound
    order = [own.index(a) for a in axes if a in own]
    x = np.transpose(x, order)
    return x.reshape([x.shape[[a for a in axes if a in own].index(a)] if a in own else 1 for a in axes])


def run_filter(
    p: Program, operands: Mapping[str, Array], sizes: Mapping[str, int], args: Mapping[str, Argument]
) -> dict[str, Array]:
    """The results of an op that has a filter, from zero states."""
    return FilterRun(p, operands, sizes, args).results()
