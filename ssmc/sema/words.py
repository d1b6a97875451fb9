"""The words that mean something by themselves: reserved names and the names of functions."""

from __future__ import annotations

from ssmc.discretize import rules
from ssmc.ir.functions import FUNCTIONS

RESERVED = {"t": "the token's position", "start": "`t == 0`", "pi": "the number", "inf": "infinity"}
DRAWS = ("uniform", "normal", "log_uniform")
SPECTRAL = {
    "hippo": "real",
    "hippo_input": "real",
    "hippo_low_rank": "real",
    "hippo_diagonal": "complex",
    "hippo_basis": "complex",
}  # and the type of their values
INITIALISERS = {**dict.fromkeys(DRAWS, 2), "hippo": 3, "hippo_input": 2, "hippo_low_rank": 3} | {
    "hippo_diagonal": 2,
    "hippo_basis": 3,
}  # and how many arguments they take
REDUCTIONS = ("sum", "mean", "max", "min", "softmax", "rms", "layernorm", "l2norm")
CONSTANTS = ("pi", "inf")
POINTWISE = tuple(sorted(n for n, f in FUNCTIONS.items() if f.public and n not in CONSTANTS))
FUNCTION_NAMES = frozenset((*POINTWISE, *REDUCTIONS, *INITIALISERS, *rules(), "prev", "next", "index", "split"))
