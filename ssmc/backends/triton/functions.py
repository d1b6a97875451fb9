"""How each pointwise function is written on tiles: an expression, or a small helper that the file gets if it is used.

Helpers are accurate in float32 and free of overflow; none needs libdevice. `@0`, `@1` stand for the arguments.
"""

from __future__ import annotations

LOG2E, LN2 = "1.4426950408889634", "0.6931471805599453"

CALLS = {
    "exp": "_exp(@0)", "expm1": "_expm1(@0)", "log": "tl.log(@0)", "log1p": "_log1p(@0)", "sin": "tl.sin(@0)",
    "cos": "tl.cos(@0)", "tanh": "_tanh(@0)", "sqrt": "tl.sqrt(@0)", "rsqrt": "tl.rsqrt(@0)", "sign": "_sign(@0)",
    "sigmoid": "_sigmoid(@0)", "log_sigmoid": "_log_sigmoid(@0)", "softplus": "_softplus(@0)",
    "inv_softplus": "_inv_softplus(@0)", "silu": "_silu(@0)", "gelu": "_gelu(@0)", "gelu_tanh": "_gelu_tanh(@0)",
    "relu": "tl.maximum(@0, 0.0)", "elu": "_elu(@0)", "erf": "tl.erf(@0)", "floor": "tl.floor(@0)",
    "ceil": "tl.ceil(@0)", "round": "_round(@0)", "abs": "tl.abs(@0)", "phi1": "_phi1(@0)",
    "phi1_slope": "_phi1_slope(@0)", "sqrt_clip": "tl.sqrt(@0)", "mod": "_mod(@0, @1)", "floordiv": "_floordiv(@0, @1)",
    "pow": "_pow(@0, @1)", "min": "tl.minimum(@0, @1)", "max": "tl.maximum(@0, @1)",
}  # fmt: skip

# What a helper calls, so that the file gets all it needs; the template holds them in an order where that works.
NEEDS = {
    "_sigmoid": ("_exp",),
    "_silu": ("_sigmoid", "_exp"),
    "_softplus": ("_exp",),
    "_log_sigmoid": ("_softplus", "_exp"),
    "_inv_softplus": ("_expm1", "_exp"),
    "_expm1": ("_exp",),
    "_tanh": ("_exp",),
    "_elu": ("_expm1", "_exp"),
    "_gelu_tanh": ("_sigmoid", "_exp"),
    "_phi1": ("_exp",),
    "_phi1_slope": ("_phi1", "_exp"),
    "_mod": ("_floordiv",),
}


def closure(helpers: set[str]) -> frozenset[str]:
    """The helpers with all that they call."""
    return frozenset(helpers | {n for h in helpers for n in NEEDS.get(h, ())})
