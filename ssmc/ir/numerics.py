"""What each pointwise function means, in float64 and complex128: accurate near zero, finite for large arguments."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import reduce
from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]

_erf = np.vectorize(math.erf, otypes=[np.float64])
_erfc = np.vectorize(math.erfc, otypes=[np.float64])


def _phi1(z: Array) -> Array:
    zero = z == 0
    return np.where(zero, 1.0, np.expm1(z) / np.where(zero, 1.0, z))


def _phi1_slope(z: Array) -> Array:
    near = np.abs(z) < 0.5
    small, large = np.where(near, z, 0.0), np.where(near, 1.0, z)
    series = sum((k + 1) / math.factorial(k + 2) * small**k for k in range(16))
    return np.where(near, series, (np.exp(large) - _phi1(large)) / large)


def _sigmoid(x: Array) -> Array:
    return np.exp(-np.logaddexp(0.0, -x))


def _gelu_tanh(x: Array) -> Array:
    return x * _sigmoid(2 * math.sqrt(2 / math.pi) * x * (1 + 0.044715 * x * x))


def _elu(x: Array) -> Array:
    return np.asarray(np.where(x > 0, x, np.expm1(np.minimum(x, 0.0))))


def _where(condition: Array, x: Array, y: Array) -> Array:
    return np.asarray(np.where(condition, x, y))


def _complex(a: Array, b: Array) -> Array:
    out = np.empty(np.broadcast_shapes(a.shape, b.shape), np.complex128)
    out.real, out.imag = a, b
    return out


_LOGICAL: dict[str, Callable[..., Array]] = {
    "and": np.logical_and,
    "or": np.logical_or,
    "not": np.logical_not,
    "where": _where,
}

_NUMERIC: dict[str, Callable[..., Array]] = {
    "add": np.add, "sub": np.subtract, "mul": np.multiply, "div": np.divide, "pow": np.power, "neg": np.negative,
    "floordiv": np.floor_divide, "mod": np.mod,
    "lt": np.less, "le": np.less_equal, "gt": np.greater, "ge": np.greater_equal, "eq": np.equal, "ne": np.not_equal,
    "exp": np.exp, "expm1": np.expm1, "log": np.log, "log1p": np.log1p, "sin": np.sin, "cos": np.cos, "tanh": np.tanh,
    "square": np.square, "sqrt": np.sqrt, "sign": np.sign, "abs": np.abs,
    "floor": np.floor, "ceil": np.ceil, "round": np.round,
    "re": np.real, "im": np.imag, "conj": np.conj, "complex": _complex,
    "phi1": _phi1, "phi1_slope": _phi1_slope, "sigmoid": _sigmoid, "erf": _erf, "gelu_tanh": _gelu_tanh,
    "rsqrt": lambda x: 1.0 / np.sqrt(x),
    "log_sigmoid": lambda x: -np.logaddexp(0.0, -x),
    "softplus": lambda x: np.logaddexp(0.0, x),
    "inv_softplus": lambda x: x + np.log(-np.expm1(-x)),
    "silu": lambda x: x * _sigmoid(x),
    "gelu": lambda x: 0.5 * x * _erfc(-x / math.sqrt(2)),
    "relu": lambda x: np.maximum(x, 0.0),
    "elu": _elu,
    "sqrt_clip": lambda x, c: np.sqrt(x) + 0.0 * c,
    "min": lambda *xs: reduce(np.minimum, xs),
    "max": lambda *xs: reduce(np.maximum, xs),
    "clip": lambda x, lo, hi: np.minimum(np.maximum(x, lo), hi),
    "pi": lambda: np.asarray(math.pi),
    "inf": lambda: np.asarray(math.inf),
}  # fmt: skip

FUNCTIONS = frozenset(_LOGICAL) | frozenset(_NUMERIC)


def compute(fn: str, args: Sequence[Array]) -> Array:
    """A pointwise function of arrays that broadcast. Truth values are 0 and 1 in arithmetic."""
    if fn in _LOGICAL:
        return np.asarray(_LOGICAL[fn](*args))
    numbers = [x.astype(np.float64) if x.dtype.kind in "biu" else x for x in args]
    return np.asarray(_NUMERIC[fn](*numbers))
