"""What is timed: the ops of a generated file with the operands that the layer's own forward gives them at a shape."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, TypeAlias

import torch

from ssmc.explain.counts import Sizes, Value, arguments
from ssmc.ir.plan import Planned
from ssmc.testing.data import recorded
from ssmc.testing.generated import Generated, Op

Tensor: TypeAlias = torch.Tensor


@dataclass(frozen=True)
class Shape:
    """One call: sequences, tokens of each, and the layer's arguments."""

    batch: int
    length: int
    args: Mapping[str, Value]


@dataclass(frozen=True)
class Drawn:
    """How a layer's inputs are drawn, by name: evenly within a range, others are normally distributed; and which stay
    in float32 where the rest is narrower."""

    ranges: Mapping[str, tuple[float, float]] = field(default_factory=dict)
    wide: tuple[str, ...] = ()


@dataclass(frozen=True)
class Call:
    """An op with operands in the dtype asked for, its numbers, and a random state for the step. `programs` are the
    recurrences that it evaluates, more than one if it is a whole layer; `planned` is that whose result it gives."""

    generated: Generated
    op: Op
    planned: Planned
    shape: Shape
    operands: dict[str, Tensor]
    numbers: dict[str, Any]
    state: tuple[Tensor, ...]
    programs: tuple[Planned, ...]

    @property
    def function(self) -> Callable[..., Any]:
        """The op."""
        function: Callable[..., Any] = getattr(self.generated.module, self.op.name)
        return function

    @property
    def moving(self) -> list[str]:
        """The operands that have gradients."""
        return [n for n, v in self.operands.items() if v.is_floating_point() or v.is_complex()]

    def axes(self, name: str) -> tuple[str, ...]:
        """The named axes of an operand or a state."""
        role, axes = self.generated.module.OPS[self.op.name][name]
        front = {"token": ("batch", "time"), "state": ("batch",)}.get(role, ())
        return (*front, *axes)

    def rows(self, rows: list[int]) -> dict[str, Tensor]:
        """The operands of some of the sequences."""
        return {n: v[rows] if n in self.op.tokens else v for n, v in self.operands.items()}

    def token(self) -> dict[str, Tensor]:
        """The operands of one token."""
        return {n: v[:, :1].contiguous() if n in self.op.tokens else v for n, v in self.operands.items()}


def calls(g: Generated, shape: Shape, dtype: torch.dtype, device: str, drawn: Drawn | None = None) -> list[Call]:
    """What the ops of a layer, as it is first initialised, are given for random inputs."""
    drawn = drawn or Drawn()
    shape = replace(shape, args=arguments(g.plan.partition.layer, given=shape.args)[0])
    torch.manual_seed(0)
    wide = torch.float64 if dtype == torch.float64 else torch.float32
    layer = g.layer(**shape.args, device=device, dtype=wide)
    ir = g.plan.partition.layer
    sizes, inputs = Sizes(ir), {}
    for of, name in g.inputs.items():
        declared = ir.inputs[of]
        if declared.default is None:
            axes = [sizes.value(sizes.axis(a), shape.args) or 1 for a in declared.axes]
            inputs[name] = torch.randn(shape.batch, shape.length, *axes, device=device, dtype=wide)
            if of in drawn.ranges:
                inputs[name].uniform_(*drawn.ranges[of])
    first = next(iter(g.inputs.values()))
    noted: dict[str, dict[str, Any]] = {}
    with recorded(g, noted, stop=True), torch.no_grad():
        layer(inputs.pop(first), **inputs)
    planned = [g.plan.programs] if len(g.ops) == 1 else [(p,) for p in g.plan.programs]

    def dtype_of(name: str) -> torch.dtype:
        return wide if name in drawn.wide else dtype

    return [_call(g, op, p, shape, noted[op.name], dtype_of) for op, p in zip(g.ops, planned, strict=True)]


def _call(
    g: Generated,
    op: Op,
    planned: tuple[Planned, ...],
    shape: Shape,
    given: dict[str, Any],
    dtype_of: Callable[[str], torch.dtype],
) -> Call:
    operands = {n: given[n].detach() for n in op.operands}
    operands = {n: _cast(v, dtype_of(n)) if n in op.tokens else v for n, v in operands.items()}
    numbers = op.numbers(given)
    one = {n: v[:, :1] if n in op.tokens else v for n, v in operands.items()}
    with torch.no_grad():
        last = getattr(g.module, op.reference)(**one, **numbers, return_state=True)[1]
    state = tuple(last) if isinstance(last, tuple) else (last,)
    return Call(g, op, planned[-1], shape, operands, numbers, state, planned)


def _cast(v: Tensor, dtype: torch.dtype) -> Tensor:
    """A streaming operand in a dtype; there is no complex half."""
    if v.is_complex():
        return v.to(torch.complex128 if dtype == torch.float64 else torch.complex64)
    return v.to(dtype).contiguous() if v.is_floating_point() else v
