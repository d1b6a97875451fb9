"""Who is timed on a call: the generated file, its eager form, that form under `torch.compile`, and peers; each with its
results and gradients, to be checked before it gets a time."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch

from ssmc.measuring.calls import Call, Tensor
from ssmc.measuring.peers import Peer
from ssmc.measuring.truth import Results, Truth, spread, tuple_of, wrong, wrong_step

UNROLLED = 512  # tokens; `torch.compile` unrolls loops over time
OURS, EAGER, COMPILED = "ours", "eager", "torch.compile"


@dataclass(frozen=True)
class Sequence:
    """Evaluates a whole call. `function` takes leaves by name and gives results in the op's layout; what is timed is
    `timed` on `leaves`, laid out beforehand; `gradients` says why those are its own, if they are by design."""

    function: Callable[[dict[str, Tensor]], Results]
    timed: Callable[[dict[str, Any]], Any]
    leaves: dict[str, Any]
    gradients: str = ""

    def errors(self, call: Call, truth: Truth, dtype: torch.dtype) -> dict[str, float]:
        """How wrong it is, by what; above one is too wrong."""
        leaves = {n: v.detach().clone().requires_grad_(n in call.moving) for n, v in call.operands.items()}
        results = self.function(leaves)
        moving = [leaves[n] for n in call.moving]
        g = [spread(truth, r, i) for i, r in enumerate(results)]
        found = torch.autograd.grad(results, moving, g, allow_unused=True)
        grads = {n: torch.zeros_like(leaves[n]) if d is None else d for n, d in zip(call.moving, found, strict=True)}
        return wrong(call, truth, results, grads, dtype)

    def forward(self) -> Callable[[], Any]:
        """What is timed forward."""

        def run() -> Any:
            with torch.no_grad():
                return self.timed(self.leaves)

        return run

    def both(self) -> Callable[[], Any]:
        """What is timed forward and backward."""
        leaves = {n: _leaf(v) for n, v in self.leaves.items()}
        wanted = [v for v in leaves.values() if isinstance(v, torch.Tensor) and v.requires_grad]
        ys = [y for y in _tensors(self.timed(leaves)) if y.requires_grad]
        g = [torch.randn_like(y) for y in ys]

        def run() -> Any:
            found = [y for y in _tensors(self.timed(leaves)) if y.requires_grad]
            return torch.autograd.grad(found, wanted, g, allow_unused=True)

        return run


@dataclass(frozen=True)
class Step:
    """Evaluates one token; `checked` gives its results and, if known, the state after it; `fresh` what is timed, on a
    state of its own each time it is asked."""

    checked: Callable[[], tuple[Results, Results | None]]
    fresh: Callable[[], Callable[[], Any]]

    def errors(self, call: Call, truth: Truth, dtype: torch.dtype) -> dict[str, float]:
        """As for a sequence."""
        return wrong_step(truth, *self.checked(), dtype)


def op_sequence(call: Call, backend: str) -> Sequence:
    """The op itself."""

    def run(values: dict[str, Any]) -> Any:
        return call.function(**values, **call.numbers, backend=backend)

    return Sequence(lambda v: tuple_of(run(v)), run, dict(call.operands))


def op_step(call: Call, backend: str) -> Step:
    """The op on one token, its state overwritten."""
    token = call.token()

    def run(state: Results) -> Any:
        given = state if len(state) > 1 else state[0]
        with torch.no_grad():
            return call.function(**token, **call.numbers, initial_state=given, inplace=True, backend=backend)

    def checked() -> tuple[Results, Results]:
        state = tuple(s.clone() for s in call.state)
        return tuple_of(run(state)), state

    def fresh() -> Callable[[], Any]:
        mine = tuple(s.clone() for s in call.state)
        return lambda: run(mine)

    return Step(checked, fresh)


def compiled_sequence(call: Call) -> Sequence | str:
    """The eager formula under `torch.compile`, or why not."""
    if call.shape.length > UNROLLED:
        return f"it unrolls time, and {call.shape.length} tokens are more than {UNROLLED}"
    stem, module = call.op.name.removesuffix("_op"), call.generated.module
    by_mode = getattr(module, f"_{stem}_eager_by_mode", None)
    formula: Any = by_mode or getattr(module, f"_{stem}_eager")
    more = (False,) if by_mode else ()
    quick = torch.compile(formula)
    n = len(call.op.roles) - len(call.state)

    def run(values: dict[str, Any]) -> Any:
        return quick(*values.values(), *(None for _ in call.state), *call.numbers.values(), *more)[: -len(call.state)]

    assert n == len(call.operands)
    return Sequence(lambda v: tuple_of(tuple(run(v))), run, dict(call.operands))


def peer_sequence(call: Call, peer: Peer) -> Sequence:
    """A peer's function on arguments that were laid out for it."""
    function = peer.load()
    leaves = peer.arrange(call, call.operands)
    return Sequence(
        lambda v: (peer.result(call, function(**peer.arrange(call, v))),), lambda v: peer.picked(function(**v)), leaves,
        peer.gradients,
    )  # fmt: skip


def peer_step(call: Call, peer: Peer) -> Step:
    """A peer's function on one token."""
    function = peer.load()
    names = [n for n, role in call.op.roles.items() if role == "state"]

    def given() -> dict[str, Any]:
        state = {n: s.clone() for n, s in zip(names, call.state, strict=True)}
        return peer.arrange(call, call.token() | state)

    def checked() -> tuple[Results, Results | None]:
        arguments = given()
        with torch.no_grad():
            y = peer.result(call, function(**arguments))
        return (y,), None if peer.state_argument is None else (arguments[peer.state_argument],)

    def fresh() -> Callable[[], Any]:
        mine = given()

        def run() -> Any:
            with torch.no_grad():
                return function(**mine)

        return run

    return Step(checked, fresh)


def _leaf(v: Any) -> Any:
    moves = isinstance(v, torch.Tensor) and (v.is_floating_point() or v.is_complex())
    return v.detach().clone().requires_grad_() if moves else v


def _tensors(value: Any) -> list[Tensor]:
    return [v for v in (value if isinstance(value, tuple | list) else (value,)) if isinstance(v, torch.Tensor)]
