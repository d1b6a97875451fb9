"""The meaning of a partition: its regions in order, each over the whole sequence, an op token by token.

Shares with the layer's interpreter the meaning of one expression and nothing else, so that a value that differs was cut
wrongly: split, fused, delayed or ordered other than its equation says.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from ssmc.ir.expr import Node, refs
from ssmc.ir.interpret import Argument, Array, align, evaluate
from ssmc.ir.regions import Definition, Delay, Partition, Recurrence, Region
from ssmc.ir.run import Carried, resolve

POSITION = "t"


def run_partition(
    partition: Partition,
    inputs: Mapping[str, Array],
    params: Mapping[str, Array],
    args: Mapping[str, Argument] | None = None,
    state: Carried | None = None,
) -> tuple[Array, dict[str, Array], Carried]:
    """The result, every named value, each `[batch, time, axes]`, and what is carried on: as `run_layer` gives them."""
    run = _Run(partition, inputs, params, *resolve(partition.layer, args or {}), state or Carried())
    for region in partition.regions:
        run.region(region)
    values = {name: run.whole(name) for name in run.at if name != POSITION}
    return values[partition.layer.result], values, run.carried()


class _Run:
    """One call: `at[name]` is `[batch or 1, time or 1, atoms]`, `axes[name]` its tensor dimensions after those two."""

    def __init__(
        self,
        partition: Partition,
        inputs: Mapping[str, Array],
        params: Mapping[str, Array],
        args: Mapping[str, Argument],
        sizes: Mapping[str, int],
        state: Carried,
    ) -> None:
        self.partition, self.layer = partition, partition.layer
        self.params, self.args, self.sizes, self.state = params, args, sizes, state
        self.batch, self.time = next(iter(inputs.values())).shape[:2]
        self.at: dict[str, Array] = {POSITION: state.position + np.arange(self.time, dtype=float)[None]}
        self.axes: dict[str, tuple[str, ...]] = {POSITION: ()}
        self.taps: dict[str, Array] = {}
        for i in self.layer.inputs.values():
            if i.name in inputs:
                self.give(i.name, i.axes, np.asarray(inputs[i.name]))
            else:
                assert i.default is not None, f"input `{i.name}` is required"
                self.keep(i.name, i.axes, evaluate(i.default, {}, sizes, args), i.default)
        for p in self.layer.params.values():
            x = np.asarray(params[p.key])
            if p.dtype == "complex" and not np.iscomplexobj(x):
                x = x[..., 0] + 1j * x[..., 1]
            self.give(p.name, p.axes, x[None, None])

    # --- shapes ---

    def atoms(self, axes: tuple[str, ...]) -> list[int]:
        return [self.sizes[a] for a in self.layer.axes.atoms(axes)]

    def give(self, name: str, axes: tuple[str, ...], x: Array) -> None:
        """A tensor with these dimensions becomes the value of a name."""
        self.axes[name] = axes
        self.at[name] = x.reshape(*x.shape[:2], *self.atoms(axes))

    def keep(self, name: str, axes: tuple[str, ...], x: Array, node: Node) -> None:
        """What an expression gave becomes the value of a name, in the order of its axes and at all of their indices."""
        self.axes[name] = axes
        x = align(x, node.axes, self.layer.axes.atoms(axes))
        shape = self.atoms(axes)
        lead = x.shape[: x.ndim - len(shape)]
        self.at[name] = np.broadcast_to(x, ((1,) * (2 - len(lead))) + lead + tuple(shape))

    def whole(self, name: str) -> Array:
        """`[batch, time, axes]`."""
        shape = [self.sizes[a] for a in self.axes[name]]
        x = self.at[name]
        return np.broadcast_to(x, (self.batch, self.time, *x.shape[2:])).reshape(self.batch, self.time, *shape)

    # --- regions ---

    def region(self, region: Region) -> None:
        """Evaluate one step of forward."""
        missing = [n for n in region.reads if n not in self.at]
        assert not missing, f"region `{region.name}` reads {missing} before they are there"
        match region.kind:
            case "linear":
                self.linear(region.name)
            case "conv":
                self.conv(region.name)
            case "split":
                self.split(region.name)
            case "op":
                self.op(self.partition.recurrences[region.name])
            case "delay":
                self.delay(self.partition.delays[region.name])
            case _:
                self.define(self.partition.definitions[region.name])

    def define(self, d: Definition) -> None:
        self.keep(d.name, d.axes, self.value(d.node, self.at), d.node)

    def value(self, node: Node, at: Mapping[str, Array]) -> Array:
        return evaluate(node, {r: at[r.name] for r in refs(node)}, self.sizes, self.args)

    def linear(self, name: str) -> None:
        m = self.layer.linears[name]
        x = self.flat(m.input)
        y = np.einsum("bti,oi->bto", x, self.params[f"{m.key}.weight"])
        if self.has_bias(m.bias):
            y = y + self.params[f"{m.key}.bias"]
        rows = [int(np.prod(self.atoms(o.axes))) for o in m.outputs]
        for o, part in zip(m.outputs, np.split(y, np.cumsum(rows)[:-1], axis=-1), strict=True):
            self.give(o.name, o.axes, part)

    def conv(self, name: str) -> None:
        m = self.layer.convs[name]
        width = int(evaluate(m.width, {}, self.sizes, self.args).item())
        x = self.flat(m.input)
        weight = np.asarray(self.params[f"{m.key}.weight"]).reshape(-1, width)
        zero = np.zeros((self.batch, width - 1, x.shape[2]))
        x = np.concatenate([np.asarray(self.state.taps.get(name, zero)), x], axis=1)
        y = sum(x[:, k : k + self.time] * weight[:, k] for k in range(width))
        if self.has_bias(m.bias):
            y = y + self.params[f"{m.key}.bias"]
        self.give(m.output.name, m.output.axes, np.asarray(y))
        self.taps[name] = x[:, self.time :]
        if name in self.partition.activations:
            self.define(self.partition.definitions[self.partition.activations[name]])

    def split(self, name: str) -> None:
        m = self.layer.splits[name]
        lead = len(self.axes[m.input]) - 1
        rows = [int(np.prod(self.atoms(o.axes[lead:]))) for o in m.outputs]
        for o, part in zip(m.outputs, np.split(self.whole(m.input), np.cumsum(rows)[:-1], axis=-1), strict=True):
            self.give(o.name, o.axes, part)

    def flat(self, name: str) -> Array:
        """`[batch, time, all axes]`."""
        return self.whole(name).reshape(self.batch, self.time, int(np.prod(self.atoms(self.axes[name]))))

    def has_bias(self, bias: bool | str) -> bool:
        return bool(self.args[bias] if isinstance(bias, str) else bias)

    def delay(self, d: Delay) -> None:
        """The value one token earlier or later; beyond the edge what was carried, or the start."""
        x = self.at[d.of]
        x = np.broadcast_to(x, (self.batch, self.time, *x.shape[2:]))
        edge = self.edge(d.of, d.axes, d.init, 0 if d.offset < 0 else self.time - 1)[:, None]
        parts = [edge, x[:, :-1]] if d.offset < 0 else [x[:, 1:], edge]
        self.axes[d.name] = d.axes
        self.at[d.name] = np.concatenate(parts, axis=1)[:, : self.time]

    def edge(self, of: str, axes: tuple[str, ...], init: Node | None, t: int) -> Array:
        """What is read of a value before its first token (or after its last), `[batch, atoms]`."""
        shape = (self.batch, *self.atoms(axes))
        if of in self.state.previous:
            return np.asarray(self.state.previous[of]).reshape(shape)
        if init is None or not self.time:
            return np.zeros(shape)
        x = self.value(init, {n: v[:, min(t, v.shape[1] - 1)] for n, v in self.at.items() if v.shape[1]})
        return np.broadcast_to(align(x, init.axes, self.layer.axes.atoms(axes)), shape)

    # --- ops ---

    def op(self, r: Recurrence) -> None:
        """Token by token: the values before the token, then every definition in order."""
        for d in r.hoisted:
            self.define(d)
        first = self.time - 1 if r.reverse else 0
        before = {c.of: self.edge(c.of, c.axes, c.init, first) for c in r.carried}
        definitions = (*r.prologue, *r.update, *r.epilogue)
        rows: dict[str, list[Array]] = {d.name: [] for d in definitions}
        for t in reversed(range(self.time)) if r.reverse else range(self.time):
            now = {n: v[:, min(t, v.shape[1] - 1)] for n, v in self.at.items()}
            for d in definitions:
                env = {ref: before[ref.name] if ref.offset else now[ref.name] for ref in refs(d.node)}
                x = align(evaluate(d.node, env, self.sizes, self.args), d.node.axes, d.atoms)
                now[d.name] = np.broadcast_to(x, (self.batch, *self.atoms(d.axes)))
                rows[d.name].append(now[d.name])
            before = {c.of: now[c.of] for c in r.carried}
        for d in definitions:
            self.axes[d.name] = d.axes
            empty = np.zeros((self.batch, 0, *self.atoms(d.axes)))
            found = rows[d.name][::-1] if r.reverse else rows[d.name]
            self.at[d.name] = np.stack(found, axis=1) if found else empty

    # --- the call's end ---

    def carried(self) -> Carried:
        """What the next call continues from."""
        late = [c.of for r in self.partition.recurrences.values() if not r.reverse for c in r.carried]
        late += [d.of for d in self.partition.delays.values() if d.offset < 0]
        previous = {n: self.whole(n)[:, -1] for n in late} if self.time else self.state.previous
        return Carried(self.state.position + self.time, previous, self.taps)
