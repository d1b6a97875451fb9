"""The table of pointwise functions of the expression DAG: names, arities and result types.

What a function *means* is in the interpreter (`ir/interpret.py`), how it is differentiated in
`calculus/derivatives.py`,
how it is written in a backend's printer. A test holds the four tables against each other.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Function:
    """A pointwise function. `arity` counts arguments (-1: two or more); `result` is `same` (complex if an argument is),
    `real`, `complex` or `bool`; `complex_ok` says whether arguments may be complex; `public` whether a spec may
    call it."""

    name: str
    arity: int
    result: str = "same"
    complex_ok: bool = False
    public: bool = True


def _table(*functions: Function) -> dict[str, Function]:
    return {f.name: f for f in functions}


_OPERATORS = _table(
    *(Function(n, 2, complex_ok=True, public=False) for n in ("add", "sub", "mul", "div")),
    Function("pow", 2, complex_ok=True, public=False),
    *(Function(n, 2, public=False) for n in ("floordiv", "mod")),
    Function("neg", 1, complex_ok=True, public=False),
    *(Function(n, 2, "bool", public=False) for n in ("lt", "le", "gt", "ge", "eq", "ne", "and", "or")),
    Function("not", 1, "bool", public=False),
)

_REAL = [
    "log",
    "log1p",
    "sin",
    "cos",
    "tanh",
    "sqrt",
    "rsqrt",
    "sign",
    "sigmoid",
    "log_sigmoid",
    "softplus",
    "inv_softplus",
    "silu",
    "gelu",
    "gelu_tanh",
    "relu",
    "elu",
    "erf",
    "floor",
    "ceil",
    "round",
]

_CALLS = _table(
    *(Function(n, 1, complex_ok=True) for n in ("exp", "expm1", "square", "phi1")),
    *(Function(n, 1) for n in _REAL),
    Function("abs", 1, "real", complex_ok=True),
    Function("sqrt_clip", 2, public=False),
    Function("min", -1),
    Function("max", -1),
    Function("clip", 3),
    Function("where", 3, complex_ok=True),
    Function("complex", 2, "complex"),
    Function("re", 1, "real", complex_ok=True),
    Function("im", 1, "real", complex_ok=True),
    Function("conj", 1, complex_ok=True),
    Function("pi", 0, "real"),
    Function("inf", 0, "real"),
    # Appears only in derivatives, and needs none: the slope of phi1, (exp(z) - phi1(z)) / z. That cancels where z is
    # small; there it is the series 1/2 + z/3 + z^2/8 + z^3/30 + ..., the coefficient of z^k being (k + 1)/(k + 2)!.
    Function("phi1_slope", 1, public=False),
)

FUNCTIONS: dict[str, Function] = {**_OPERATORS, **_CALLS}

BINARY = {
    "+": "add", "-": "sub", "*": "mul", "/": "div", "//": "floordiv", "%": "mod", "**": "pow",
    "<": "lt", "<=": "le", ">": "gt", ">=": "ge", "==": "eq", "!=": "ne", "and": "and", "or": "or",
}  # fmt: skip
