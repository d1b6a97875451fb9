"""The words that mean something by themselves: reserved names and the names of functions."""

from __future__ import annotations

from ssmc.discretize import rules
from ssmc.ir.functions import FUNCTIONS

RESERVED = {"t": "the token's position", "start": "`t == 0`", "pi": "the number", "inf": "infinity"}
INITIALISERS = {"uniform": 2, "normal": 2, "log_uniform": 2, "hippo_diagonal": 2}
REDUCTIONS = ("sum", "mean", "max", "min", "softmax", "rms", "layernorm", "l2norm")
CONSTANTS = ("pi", "inf")
POINTWISE = tuple(sorted(n for n, f in FUNCTIONS.items() if f.public and n not in CONSTANTS))
FUNCTION_NAMES = frozenset((*POINTWISE, *REDUCTIONS, *INITIALISERS, *rules(), "prev", "next", "index"))
