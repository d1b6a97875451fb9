"""Peers as data: a TOML file says which function computes what one of our ops computes, and how its arguments are made.

    name      what it is called in tables
    module, function                     where it is imported from
    install, cites                       what to type to have it; the paper
    devices   ["cuda"], ["cpu", "cuda"]  where it runs
    what      "sequence", "step" or "layer": a module, built with a layer's arguments, that takes its state_dict
    keys      of a layer: the keys of that state_dict
    layers    the names of the layers whose ops it belongs to, where operands alone do not tell; all if there are none
    gradients why they are not ours, if it gives others by design: its time is then taken, with what they are off by
    settings  names in modules ("a.module.NAME") and what they are set to before it is called
    [[argument]]                         one a keyword of the function, in any order:
      name                               the keyword
      of, axes, apply, dtype, optional   an operand (or, of a step, a state) of the op by name; its axes by name in the
                                         order the function wants ("batch", "time" and the spec's; 1 is a new axis; a
                                         step may leave "time" out); functions applied first; a dtype if not its own;
                                         optional: left out if the op has no such operand. Of a layer: an argument
      like                               an operand that has axes which this one has not: it is repeated along them
      repeated                           true: those repetitions stay a view of the one copy
      take                               "dtype": of the operand only its dtype is given
      value, axes, like                  or a constant; with axes a float32 tensor of it, of the sizes that the operand
                                         `like` has; the numbers of a list lie along the axis "values"
    [result]  axes, index                the result's axes, and which of several results it is; a layer has none
    [state]   argument                   of a step: the argument that holds the state after the call

A peer belongs to the ops that have its operands, with the axes it names, and no others. Arguments are laid out before
time is taken.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

import torch
import torch.nn.functional as F

from ssmc.measuring.calls import Call
from ssmc.measuring.toml import read_toml

Tensor: TypeAlias = torch.Tensor
_FUNCTIONS: dict[str, Callable[[Tensor], Tensor]] = {
    "neg": torch.neg, "exp": torch.exp, "log": torch.log, "sigmoid": torch.sigmoid, "tanh": torch.tanh,
    "silu": F.silu, "softplus": F.softplus, "logsigmoid": F.logsigmoid, "square": torch.square, "sqrt": torch.sqrt,
    "complement": lambda v: 1 - v,
}  # fmt: skip
_DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16, "float64": torch.float64}


class BadPeer(Exception):
    """A file that does not describe a peer; the message is one line."""


@dataclass(frozen=True)
class Argument:
    """One keyword of a peer's function."""

    name: str
    of: str | None = None
    value: Any = None
    axes: tuple[str | int, ...] | None = None
    apply: tuple[str, ...] = ()
    dtype: str | None = None
    optional: bool = False
    like: str | None = None
    repeated: bool = False
    take: str = ""

    def fits(self, have: set[str]) -> bool:
        """Whether the axes it names are those of its operand, but for new ones that `like` gives."""
        want = have if self.axes is None else {n for n in self.axes if isinstance(n, str)}
        return have <= want and (self.like is not None or want <= have)


@dataclass(frozen=True)
class Peer:
    """A function that computes what an op computes."""

    name: str
    module: str
    function: str
    arguments: tuple[Argument, ...]
    result_axes: tuple[str | int, ...]
    result_index: int | None = None
    state_argument: str | None = None
    what: str = "sequence"
    devices: tuple[str, ...] = ("cpu", "cuda")
    keys: tuple[str, ...] = ()
    layers: tuple[str, ...] = ()
    settings: tuple[tuple[str, Any], ...] = ()
    gradients: str = ""
    install: str = ""
    cites: str = ""

    def fits(self, call: Call) -> bool:
        """Whether an op has this peer's operands, with the axes it names, and no others."""
        if self.layers and call.generated.plan.partition.layer.name not in self.layers:
            return False
        names = {a.of for a in self.arguments if a.of is not None} - self._states(call)
        wanted = {a.of for a in self.arguments if a.of is not None and not a.optional} - self._states(call)
        if not wanted <= set(call.op.operands) <= names:
            return False
        gone = {"time"} if self.what == "step" else set()
        return all(a.take or a.fits(set(call.axes(a.of)) - gone) for a in self.arguments if a.of in call.op.roles)

    def _states(self, call: Call) -> set[str]:
        return {n for n, role in call.op.roles.items() if role == "state"} if self.what == "step" else set()

    def load(self) -> Callable[..., Any]:
        """The function; raises ImportError where it is not installed."""
        for place, value in self.settings:
            module, _, name = place.rpartition(".")
            setattr(importlib.import_module(module), name, value)
        found: Any = importlib.import_module(self.module)
        for part in self.function.split("."):
            found = getattr(found, part)
        function: Callable[..., Any] = found
        return function

    def arrange(self, call: Call, values: dict[str, Tensor]) -> dict[str, Any]:
        """The arguments for operands and states by name."""
        out: dict[str, Any] = {}
        for a in self.arguments:
            if a.of is None:
                out[a.name] = a.value if a.axes is None else _constant(a, call, values)
            elif a.of in values and a.take:
                out[a.name] = getattr(values[a.of], a.take)
            elif a.of in values:
                sizes = {} if a.like is None else dict(zip(call.axes(a.like), values[a.like].shape, strict=True))
                out[a.name] = _laid_out(a, values[a.of], call.axes(a.of), sizes)
        return out

    def picked(self, found: Any) -> Any:
        """Of several results the one that is meant."""
        return found if self.result_index is None else found[self.result_index]

    def result(self, call: Call, found: Any) -> Tensor:
        """The result as the op would give it."""
        y: Tensor = self.picked(found)
        planned = call.planned.program.recurrence
        axes = ("batch", "time", *planned.definitions[planned.results[0]].axes)
        return _ordered(y, self.result_axes, axes)


def _laid_out(a: Argument, v: Tensor, axes: tuple[str, ...], sizes: dict[str, int]) -> Tensor:
    """An argument; along axes that it has not it is repeated, if their sizes are given."""
    for name in a.apply:
        v = _FUNCTIONS[name](v)
    want = axes if a.axes is None else a.axes
    v = _ordered(v, axes, want)
    v = v.expand([sizes.get(str(n), size) if n not in axes else size for n, size in zip(want, v.shape, strict=True)])
    v = v if a.dtype is None else v.to(_DTYPES[a.dtype])
    return v if a.repeated else v.contiguous()


def _constant(a: Argument, call: Call, values: dict[str, Tensor]) -> Tensor:
    """A tensor that no operand gives."""
    assert a.axes is not None and a.like is not None
    other, given = values[a.like], torch.tensor(a.value, dtype=torch.float32)
    sizes: dict[str, int] = dict(zip(call.axes(a.like), other.shape, strict=True)) | {"values": given.numel()}
    spread = [given.numel() if n == "values" else 1 for n in a.axes]
    return given.reshape(spread).expand([sizes.get(str(n), 1) for n in a.axes]).contiguous().to(other.device)


def _ordered(v: Tensor, have: tuple[str | int, ...], want: tuple[str | int, ...]) -> Tensor:
    """A tensor with named axes in another order; axes of one token come and go."""
    for i in reversed(range(len(have))):
        if have[i] == 1 or have[i] not in want:
            v = v.squeeze(i)
    have = tuple(a for a in have if a != 1 and a in want)
    v = v.permute([have.index(a) for a in want if a in have])
    for i, a in enumerate(want):
        if a == 1 or a not in have:
            v = v.unsqueeze(i)
    return v


def read_peer(path: Path) -> Peer:
    """One file; raises BadPeer."""
    try:
        data = read_toml(path)
        given = [
            Argument(**{**a, **{k: tuple(a[k]) for k in ("axes", "apply") if k in a}}) for a in data.pop("argument")
        ]
        layer = data.get("what") == "layer"
        result, state = data.pop("result", {"axes": ()} if layer else None), data.pop("state", {})
        data |= {k: tuple(data[k]) for k in ("devices", "keys", "layers") if k in data}
        data["settings"] = tuple(data.get("settings", {}).items())
        peer = Peer(
            arguments=tuple(given), result_axes=tuple(result["axes"]), result_index=result.get("index"),
            state_argument=state.get("argument"), **data,
        )  # fmt: skip
    except (ValueError, KeyError, TypeError) as error:
        raise BadPeer(f"{path}: describes no peer: {error}") from None
    unknown = [f for a in peer.arguments for f in a.apply if f not in _FUNCTIONS]
    unknown += [a.take for a in peer.arguments if a.take not in ("", "dtype")]
    unknown += [a.name for a in peer.arguments if a.of is None and a.axes is not None and a.like is None]
    if unknown or peer.what not in ("sequence", "step", "layer"):
        raise BadPeer(f"{path}: `{unknown[0] if unknown else peer.what}` is not known here")
    return peer


def read_peers(folder: Path, more: list[str]) -> list[Peer]:
    """The shipped peers and those of further files."""
    return [read_peer(p) for p in [*sorted(folder.glob("*.toml")), *map(Path, more)]]
