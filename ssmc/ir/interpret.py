"""The meaning of an expression, in numpy and float64: what every later level is compared with. Layers: `ir/run.py`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from ssmc.ir.expr import (
    Arg,
    Const,
    Index,
    Node,
    Pointwise,
    Position,
    Reduce,
    Ref,
    Relabel,
    Size,
    fold,
)
from ssmc.ir.numerics import compute

Array = npt.NDArray[Any]
Argument = int | float | bool | str
_REDUCE: dict[str, Callable[..., Array]] = {"sum": np.sum, "max": np.max, "min": np.min}


def evaluate(
    node: Node,
    env: Mapping[Ref, Array],
    sizes: Mapping[str, int],
    args: Mapping[str, Argument] | None = None,
    position: int = 0,
) -> Array:
    """The value of an expression: an array whose last dimensions are the node's axes, in order.

    `env` holds an array for every reference, its last dimensions the reference's axes; dimensions before them (a batch)
    broadcast. A reference that is missing reads its `init`, as beyond the edge of a sequence.
    """

    def step(n: Node, children: tuple[Array, ...]) -> Array:
        match n:
            case Const():
                return np.asarray(n.value if isinstance(n.value, bool) else float(n.value))
            case Arg():
                return np.asarray(_number((args or {})[n.name]))
            case Size():
                return np.asarray(float(sizes[n.axis]))
            case Index():
                return np.arange(sizes[n.axis], dtype=np.float64)
            case Position():
                return np.asarray(float(position))
            case Ref():
                if n in env:
                    return env[n]
                if n.offset == 0:
                    raise KeyError(f"no value for `{n.name}`")
                edge = align(children[0], n.init.axes, n.axes) if n.init is not None else np.zeros(1)
                return edge + np.zeros([sizes[a] for a in n.axes])
            case Pointwise():
                aligned = [align(x, a.axes, n.axes) for x, a in zip(children, n.args, strict=True)]
                return compute(n.fn, aligned)
            case Reduce():
                where = tuple(n.body.axes.index(a) - len(n.body.axes) for a in n.over)
                result: Array = _REDUCE[n.op](children[0], axis=where)
                return result
            case Relabel():
                return children[0]
        raise TypeError(f"{type(n).__name__} has no value outside an initialiser")

    with np.errstate(all="ignore"):
        result: Array = fold(node, step)
    return result


def _number(value: Argument) -> float | bool:
    if isinstance(value, str):
        raise TypeError(f"`{value}` is a choice, not a number")
    return value if isinstance(value, bool) else float(value)


def align(x: Array, own: tuple[str, ...], axes: tuple[str, ...]) -> Array:
    """`x`, whose last dimensions are `own`, with them in the order of `axes`; missing ones have size 1."""
    lead = x.ndim - len(own)
    kept = [a for a in axes if a in own]
    x = np.transpose(x, (*range(lead), *(lead + own.index(a) for a in kept)))
    return x.reshape((*x.shape[:lead], *(x.shape[lead + kept.index(a)] if a in kept else 1 for a in axes)))
