"""How each pointwise function is written on tiles: an expression, or a small helper that the file gets if it is used.

Helpers are accurate in float32 and free of overflow; none needs libdevice. `@0`, `@1` stand for the arguments.
"""

from __future__ import annotations

LOG2E, LN2 = "1.4426950408889634", "0.6931471805599453"

CALLS = {
    "exp": "tl_exp(@0)", "expm1": "tl_expm1(@0)", "log": "tl.log(@0)", "log1p": "tl_log1p(@0)", "sin": "tl_sin(@0)",
    "cos": "tl_cos(@0)", "tanh": "tl_tanh(@0)", "sqrt": "tl.sqrt(@0)", "rsqrt": "tl.rsqrt(@0)", "sign": "tl_sign(@0)",
    "sigmoid": "tl_sigmoid(@0)", "log_sigmoid": "tl_log_sigmoid(@0)", "softplus": "tl_softplus(@0)",
    "inv_softplus": "tl_inv_softplus(@0)", "silu": "tl_silu(@0)", "gelu": "tl_gelu(@0)",
    "gelu_tanh": "tl_gelu_tanh(@0)",
    "relu": "tl.maximum(@0, 0.0)", "elu": "tl_elu(@0)", "erf": "tl.erf(@0)", "floor": "tl.floor(@0)",
    "ceil": "tl.ceil(@0)", "round": "tl_round(@0)", "abs": "tl.abs(@0)", "phi1": "tl_phi1(@0)",
    "phi1_slope": "tl_phi1_slope(@0)", "sqrt_clip": "tl.sqrt(@0)", "mod": "tl_mod(@0, @1)",
    "floordiv": "tl_floordiv(@0, @1)",
    "pow": "tl_pow(@0, @1)", "min": "tl.minimum(@0, @1)", "max": "tl.maximum(@0, @1)",
}  # fmt: skip

# What a helper calls, so that the file gets all it needs; the template holds them in an order where that works.
NEEDS = {
    "tl_sin": ("tl_quadrant",),
    "tl_cos": ("tl_quadrant",),
    "tl_sigmoid": ("tl_reciprocal", "tl_exp"),
    "tl_silu": ("tl_sigmoid", "tl_reciprocal", "tl_exp"),
    "tl_softplus": ("tl_reciprocal", "tl_exp"),
    "tl_log_sigmoid": ("tl_softplus", "tl_reciprocal", "tl_exp"),
    "tl_inv_softplus": ("tl_expm1", "tl_exp"),
    "tl_expm1": ("tl_exp",),
    "tl_tanh": ("tl_reciprocal", "tl_exp"),
    "tl_elu": ("tl_expm1", "tl_exp"),
    "tl_gelu_tanh": ("tl_sigmoid", "tl_reciprocal", "tl_exp"),
    "tl_phi1": ("tl_exp",),
    "tl_phi1_slope": ("tl_exp",),
    "tl_mod": ("tl_floordiv",),
    "tl_rows_1": ("tl_halves",),
    "tl_rows_2": ("tl_halves",),
    "tl_rows_3": ("tl_halves",),
    "tl_rows_4": ("tl_halves",),
    "tl_over_lanes_2": ("tl_fold",),
    "tl_over_lanes_3": ("tl_fold",),
    "tl_over_lanes_4": ("tl_fold",),
}


def closure(helpers: set[str]) -> frozenset[str]:
    """The helpers with all that they call."""
    return frozenset(helpers | {n for h in helpers for n in NEEDS.get(h, ())})
