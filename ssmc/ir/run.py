"""The meaning of a layer, token by token: the first-level oracle for all later levels.

Written to be read as a definition: a value at token t is its equation, evaluated with the values it names at t, t - 1
or t + 1. Nothing here is fast, fused or clever.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from ssmc.ir.expr import Node, Ref, Size, refs, walk
from ssmc.ir.interpret import Argument, Array, align, evaluate
from ssmc.ir.layer import Conv, Layer, Linear, Split


@dataclass(frozen=True, slots=True)
class Carried:
    """What a layer hands from one call to the next: the position, the last value of everything that is read one token
    later (`[batch, axes]`), and the last inputs of every convolution (`[batch, width - 1, axes]`). Empty: fresh."""

    position: int = 0
    previous: Mapping[str, Array] = field(default_factory=dict)
    taps: Mapping[str, Array] = field(default_factory=dict)


def resolve(layer: Layer, given: Mapping[str, Argument]) -> tuple[dict[str, Argument], dict[str, int]]:
    """The layer's arguments with defaults filled in, and the sizes of its axes."""
    args: dict[str, Argument] = {}
    for a in layer.args:
        if a.name in given:
            args[a.name] = given[a.name]
        elif a.fixed is not None:
            args[a.name] = a.fixed
        elif a.kind == "choice":
            args[a.name] = a.choices[0]
        elif a.default is None:
            raise KeyError(f"argument `{a.name}` is required")
        else:
            value = evaluate(a.default, {}, {}, args).item()
            args[a.name] = round(value) if a.kind == "int" else value
    sizes: dict[str, int] = {}
    waiting = dict(layer.axes.axes)
    while waiting:
        for name, axis in list(waiting.items()):
            if not any(isinstance(n, Size) and n.axis not in sizes for n in walk(axis.size)):
                sizes[name] = round(evaluate(axis.size, {}, sizes, args).item())
                del waiting[name]
    return args, sizes


def run_layer(
    layer: Layer,
    inputs: Mapping[str, Array],
    params: Mapping[str, Array],
    args: Mapping[str, Argument] | None = None,
    state: Carried | None = None,
) -> tuple[Array, dict[str, Array], Carried]:
    """A layer's result, every named value, each `[batch, time, axes]`, and what it carries to the next call.

    `params` has the keys of the state_dict (`A_log`, `x_proj.weight`, `conv1d.bias`).
    """
    run = _Run(layer, inputs, params, *resolve(layer, args or {}), state or Carried())
    names = [*layer.inputs, *run.modules, *layer.values, *layer.states]
    values = {name: run.sequence(name) for name in names}
    return values[layer.result], values, run.carried()


class _Run:
    """One call: `at[name, t]` fills up with `[batch, atoms]`."""

    def __init__(
        self,
        layer: Layer,
        inputs: Mapping[str, Array],
        params: Mapping[str, Array],
        args: Mapping[str, Argument],
        sizes: Mapping[str, int],
        state: Carried,
    ) -> None:
        self.layer, self.params, self.args, self.sizes, self.state = layer, params, args, sizes, state
        first = next(iter(inputs.values()))
        self.batch, self.time = first.shape[:2]
        self.at: dict[tuple[str, int], Array] = {}
        self.modules = {o.name: m for m in layer.modules for o in m.outputs}
        for name, spec in layer.inputs.items():
            if name not in inputs:
                assert spec.default is not None, f"input `{name}` is required"
                whole = self.shaped(evaluate(spec.default, {}, sizes, args), spec.default.axes, spec.axes)
                given = np.broadcast_to(whole[:, None], (1, self.time, *whole.shape[1:]))
            else:
                given = np.asarray(inputs[name])
            for t in range(self.time):
                self.at[name, t] = given[:, t].reshape(given.shape[0], *self.dims(spec.axes))
        self.fixed = {name: self.parameter(name) for name in layer.params}

    # shapes

    def dims(self, axes: tuple[str, ...]) -> list[int]:
        return [self.sizes[a] for a in self.layer.axes.atoms(axes)]

    def shaped(self, x: Array, own: tuple[str, ...], axes: tuple[str, ...]) -> Array:
        """An evaluated expression as `[batch or 1, atoms of axes]`."""
        x = align(x, own, self.layer.axes.atoms(axes))
        lead = x.shape[0] if x.ndim > len(self.dims(axes)) else 1
        return np.broadcast_to(x, (lead, *self.dims(axes)))

    def axes(self, name: str) -> tuple[str, ...]:
        layer = self.layer
        for table in (layer.inputs, layer.params, layer.values, layer.states):
            if name in table:
                return table[name].axes  # type: ignore[attr-defined,no-any-return]
        module = self.modules[name]
        return next(o.axes for o in module.outputs if o.name == name)

    def parameter(self, name: str) -> Array:
        spec = self.layer.params[name]
        x = np.asarray(self.params[spec.key])
        if spec.dtype == "complex" and not np.iscomplexobj(x):
            x = x[..., 0] + 1j * x[..., 1]
        return x.reshape(1, *self.dims(spec.axes))

    # definitions

    def needs(self, name: str, t: int) -> list[tuple[str, int]]:
        """What the value at token t is computed from, within the sequence."""
        module = self.modules.get(name)
        if isinstance(module, Linear | Split):
            found = [(module.input, t)]
        elif isinstance(module, Conv):
            found = [(module.input, t - j) for j in range(self.width(module))]
        else:
            found = [(r.name, t + r.offset) for r in refs(self.node(name))]
        return [(n, s) for n, s in found if 0 <= s < self.time and n not in self.fixed]

    def node(self, name: str) -> Node:
        return self.layer.values[name].node if name in self.layer.values else self.layer.states[name].update

    def width(self, conv: Conv) -> int:
        return int(evaluate(conv.width, {}, self.sizes, self.args).item())

    def define(self, name: str, t: int) -> Array:
        """The value at token t, once everything it needs is there."""
        module = self.modules.get(name)
        if isinstance(module, Linear):
            return self.linear(module, name, self.at[module.input, t])
        if isinstance(module, Conv):
            return self.conv(module, t)
        if isinstance(module, Split):
            return self.part(module, name, self.at[module.input, t])
        node = self.node(name)
        env = {r: x for r in refs(node) for x in [self.read(r, t)] if x is not None}
        result = evaluate(node, env, self.sizes, self.args, self.state.position + t)
        return self.shaped(result, node.axes, self.axes(name))

    def read(self, ref: Ref, t: int) -> Array | None:
        if ref.name in self.fixed:
            return self.fixed[ref.name]
        if t + ref.offset < 0 and ref.name in self.state.previous:
            x = np.asarray(self.state.previous[ref.name])
            return x.reshape(x.shape[0], *self.dims(self.axes(ref.name)))
        return self.at.get((ref.name, t + ref.offset))

    def linear(self, module: Linear, name: str, x: Array) -> Array:
        flat: Array = x.reshape(x.shape[0], -1) @ np.asarray(self.params[f"{module.key}.weight"]).T
        if self.has_bias(module):
            flat = flat + np.asarray(self.params[f"{module.key}.bias"])
        return self.part(module, name, flat)

    def part(self, module: Linear | Split, name: str, x: Array) -> Array:
        """One of the outputs that stand one after the other along the last axes of `x`."""
        own = self.axes(module.input) if isinstance(module, Split) else ()
        lead = self.dims(own[:-1])
        flat = x.reshape(x.shape[0], *lead, -1)
        start = 0
        for output in module.outputs:
            dims = self.dims(output.axes)
            rows = int(np.prod(dims[len(lead) :]))
            if output.name == name:
                return flat[..., start : start + rows].reshape(x.shape[0], *dims)
            start += rows
        raise KeyError(name)

    def conv(self, module: Conv, t: int) -> Array:
        """sum over j of weight[:, width - 1 - j] * x[t - j], the tokens before the sequence being carried or zero."""
        width, dims = self.width(module), self.dims(module.output.axes)
        weight = np.asarray(self.params[f"{module.key}.weight"]).reshape(*dims, width)
        total: Array = np.zeros((1, *dims))
        if self.has_bias(module):
            total = total + np.asarray(self.params[f"{module.key}.bias"]).reshape(1, *dims)
        for j in range(width):
            total = total + weight[..., width - 1 - j] * self.tap(module, t - j)
        return total

    def tap(self, module: Conv, t: int) -> Array:
        if t >= 0:
            return self.at[module.input, t]
        dims = self.dims(module.output.axes)
        if module.name not in self.state.taps:
            return np.zeros((1, *dims))
        taps = np.asarray(self.state.taps[module.name])
        return taps[:, t].reshape(taps.shape[0], *dims)

    def has_bias(self, module: Linear | Conv) -> bool:
        return bool(self.args[module.bias] if isinstance(module.bias, str) else module.bias)

    # the call

    def value(self, name: str, t: int) -> Array:
        """The value at token t; what it needs first, without recursion (sequences are longer than Python's stack)."""
        stack, open_ = [(name, t)], set()
        while stack:
            key = stack[-1]
            missing = [] if key in self.at else [k for k in self.needs(*key) if k not in self.at]
            if missing:
                if key in open_:
                    raise ValueError(f"`{key[0]}` depends on itself at the same token")
                open_.add(key)
                stack.extend(missing)
            else:
                stack.pop()
                if key not in self.at:
                    self.at[key] = self.define(*key)
        return self.at[name, t]

    def whole(self, x: Array, name: str) -> Array:
        """`[batch, axes]`, composite axes as one dimension again."""
        shape = [self.sizes[a] for a in self.axes(name)]
        return np.broadcast_to(x, (self.batch, *x.shape[1:])).reshape(self.batch, *shape)

    def sequence(self, name: str) -> Array:
        tokens = [self.whole(self.value(name, t), name) for t in range(self.time)]
        empty = np.zeros((self.batch, 0, *(self.sizes[a] for a in self.axes(name))))
        return np.stack(tokens, axis=1) if tokens else empty

    def carried(self) -> Carried:
        late = dict.fromkeys(
            r.name
            for name in (*self.layer.values, *self.layer.states)
            for r in refs(self.node(name))
            if r.offset < 0 and r.name not in self.fixed
        )
        late.update(dict.fromkeys(self.layer.states))
        previous = self.state.previous
        if self.time:
            previous = {n: self.whole(self.value(n, self.time - 1), n) for n in late}
        taps = {
            m.name: np.stack(
                [
                    np.broadcast_to(x, (self.batch, *x.shape[1:]))
                    for t in range(self.time - self.width(m) + 1, self.time)
                    for x in [self.tap(m, t)]
                ],
                axis=1,
            )
            for m in self.layer.convs.values()
            if self.width(m) > 1
        }
        return Carried(self.state.position + self.time, previous, taps)
