"""Expressions of sizes and arguments as plain Python: exact integers stay integers."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction

from ssmc.ir.expr import Arg, Const, Node, Pointwise, Size

BINARY = {
    "add": ("+", 10),
    "sub": ("-", 10),
    "mul": ("*", 11),
    "div": ("/", 11),
    "floordiv": ("//", 11),
    "mod": ("%", 11),
    "pow": ("**", 13),
    "lt": ("<", 6),
    "le": ("<=", 6),
    "gt": (">", 6),
    "ge": (">=", 6),
    "eq": ("==", 6),
    "ne": ("!=", 6),
    "and": ("and", 4),
    "or": ("or", 3),
}
CALLS = {
    "exp": "math.exp",
    "log": "math.log",
    "sqrt": "math.sqrt",
    "min": "min",
    "max": "max",
    "abs": "abs",
    "round": "round",
    "floor": "math.floor",
    "ceil": "math.ceil",
    "sin": "math.sin",
    "cos": "math.cos",
    "tanh": "math.tanh",
    "expm1": "math.expm1",
    "log1p": "math.log1p",
    "erf": "math.erf",
}


def number(value: Fraction) -> str:
    """An exact number as the shortest Python literal that stands for it."""
    if value.denominator == 1 and abs(value) < 2**53:
        return str(value.numerator)
    return repr(float(value))


# Functions that Python's own library lacks; the argument is a name or stands in brackets.
FORMULAS = {
    "rsqrt": "1 / math.sqrt({0})",
    "sigmoid": "1 / (1 + math.exp(-{0}))",
    "log_sigmoid": "-math.log1p(math.exp(-{0}))",
    "softplus": "math.log1p(math.exp({0}))",
    "inv_softplus": "{0} + math.log(-math.expm1(-{0}))",
    "silu": "{0} / (1 + math.exp(-{0}))",
    "gelu": "0.5 * {0} * (1 + math.erf({0} / math.sqrt(2)))",
    "relu": "max({0}, 0)",
    "elu": "{0} if {0} > 0 else math.expm1({0})",
    "gelu_tanh": "0.5 * {0} * (1 + math.tanh(math.sqrt(2 / math.pi) * ({0} + 0.044715 * {0} ** 3)))",
    "sign": "({0} > 0) - ({0} < 0)",
    "phi1": "math.expm1({0}) / {0} if {0} else 1.0",
    "re": "{0}",
    "conj": "{0}",
    "im": "0 * {0}",
    "clip": "min(max({0}, {1}), {2})",
    "sqrt_clip": "math.sqrt({0})",
}


class PythonPrinter:
    """Prints a node without axes. `arg` and `size` name an argument and an axis's size where the text stands."""

    def __init__(self, arg: Callable[[str], str], size: Callable[[str], str]) -> None:
        self.arg, self.size = arg, size

    def __call__(self, node: Node) -> str:
        """The code of a node."""
        return self._print(node)[0]

    def _print(self, node: Node) -> tuple[str, int]:
        match node:
            case Const():
                if isinstance(node.value, bool):
                    return str(node.value), 20
                return number(node.value), 20 if node.value >= 0 else 12
            case Arg():
                return self.arg(node.name), 20
            case Size():
                return self.size(node.axis), 20
            case Pointwise(fn="ceil", args=(Pointwise(fn="div", args=(a, d)),)):
                return f"-(-{self._in(a, 13)} // {self._in(d, 12)})", 12
            case Pointwise(fn="floor", args=(Pointwise(fn="div", args=(a, d)),)):
                return f"{self._in(a, 11)} // {self._in(d, 12)}", 11
            case Pointwise(fn="neg", args=(a,)):
                return f"-{self._in(a, 12)}", 12
            case Pointwise(fn="not", args=(a,)):
                return f"not {self._in(a, 5)}", 5
            case Pointwise(fn="pi"):
                return "math.pi", 20
            case Pointwise(fn="inf"):
                return "math.inf", 20
            case Pointwise(fn="square", args=(a,)):
                return f"{self._in(a, 14)} ** 2", 13
            case Pointwise(fn="where", args=(c, a, d)):
                return f"{self._in(a, 2)} if {self._in(c, 2)} else {self._in(d, 1)}", 1
            case Pointwise() if node.fn in BINARY:
                op, level = BINARY[node.fn]
                left, right = self._in(node.args[0], level + (op == "**")), self._in(node.args[1], level + (op != "**"))
                return f"{left} {op} {right}", level
            case Pointwise() if node.fn in CALLS:
                return f"{CALLS[node.fn]}({', '.join(self(a) for a in node.args)})", 20
            case Pointwise() if node.fn in FORMULAS:
                return FORMULAS[node.fn].format(*(self._in(a, 20) for a in node.args)), 1
        raise NotImplementedError(f"{node} in a size")

    def _in(self, node: Node, level: int) -> str:
        text, own = self._print(node)
        return text if own >= level else f"({text})"
