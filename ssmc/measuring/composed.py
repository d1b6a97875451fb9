"""A layer of several recurrences and no projections as one op, for a peer that computes all of it in one call.

Its operands are the layer's inputs and parameters, its state is the layer's; its reference is the layer with the
reference of every op in its place.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from functools import partial
from types import ModuleType
from typing import Any

import torch

from ssmc.testing.generated import Generated, Op

OP, REFERENCE = "whole_op", "whole_reference"


def composed(g: Generated) -> Generated:
    """The file as one of a single op; raises ValueError for a layer that has projections or counts its tokens."""
    ir, partition = g.plan.partition.layer, g.plan.partition
    if ir.modules or partition.uses_position or partition.kept:
        raise ValueError(f"{ir.name} is more than its recurrences")
    inputs = g.inputs
    roles = dict.fromkeys(ir.inputs, "token") | dict.fromkeys(ir.params, "parameter")
    axes = {n: d.axes for n, d in ir.inputs.items()} | {n: d.axes for n, d in ir.params.items()}
    table: dict[str, tuple[str, tuple[str, ...]]] = {n: (role, axes[n]) for n, role in roles.items()}
    for r in partition.recurrences.values():
        for c in r.carried:
            roles[c.name] = "state"
            table[c.name] = ("state", c.axes)

    def run(layer: Any, values: dict[str, Any], state: Any, return_state: bool) -> Any:
        params = {ir.params[n].key: v for n, v in values.items() if n in ir.params}
        given = {inputs[n]: v for n, v in values.items() if n in ir.inputs}
        if state is not None:
            kind = type(layer.init_state(1))
            state = kind(*(state if isinstance(state, tuple) else (state,)))
        return torch.func.functional_call(layer, params, (), {**given, "state": state, "return_state": return_state})

    def op(
        *, layer: Any, initial_state: Any = None, return_state: bool = False, backend: str = "auto", **values: Any
    ) -> Any:
        with g.instead(lambda o: partial(getattr(g.module, o.name), backend=backend)):
            return run(layer, values, initial_state, return_state)

    def reference(*, layer: Any, initial_state: Any = None, return_state: bool = False, **values: Any) -> Any:
        with g.instead(lambda o: _plain(getattr(g.module, o.reference))):
            return run(layer, values, initial_state, return_state)

    class Layer:
        """Calls the op as the layer would."""

        def __init__(self, **args: Any) -> None:
            self.layer = g.layer(**args)

        def __call__(self, first: Any, **rest: Any) -> Any:
            return self.forward(first, **rest)

        def forward(self, first: Any, **rest: Any) -> Any:
            """The layer's result; inputs are named as the layer names them."""
            given = {n: rest.get(own, first) for n, own in inputs.items()}
            weights = dict(self.layer.named_parameters())
            given |= {n: weights[p.key] for n, p in ir.params.items()}
            return getattr(module, OP)(**given, layer=self.layer)

    vars(Layer.forward)["__signature__"] = inspect.signature(g.layer.forward)
    module = ModuleType(f"{g.module.__name__}_whole")
    vars(module).update({n: v for n, v in vars(g.module).items() if n.endswith("_kernel")})
    vars(module).update({"OPS": {OP: table}, OP: op, REFERENCE: reference, ir.name: Layer})
    return Generated(module, g.plan, (Op(OP, REFERENCE, roles),))


def _plain(reference: Callable[..., Any]) -> Callable[..., Any]:
    """A reference that is called as an op is."""

    def call(*, cu_seqlens: Any = None, inplace: bool = False, **given: Any) -> Any:
        assert cu_seqlens is None and not inplace
        return reference(**given)

    return call
