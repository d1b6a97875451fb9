"""Expressions as Triton code on tiles."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction

from ssmc.backends.triton.functions import CALLS
from ssmc.backends.triton.sections import by_dims
from ssmc.backends.triton.tiles import Dims, Tile, place
from ssmc.codegen.python_printer import PythonPrinter
from ssmc.ir.expr import Arg, Const, Index, Node, Pointwise, Reduce, Ref, Size, const, walk
from ssmc.ir.linear import signed_factors

INFIX = {"add": ("+", 10), "sub": ("-", 10), "mul": ("*", 11), "div": ("/", 11), "lt": ("<", 6), "le": ("<=", 6),
         "gt": (">", 6), "ge": (">=", 6), "eq": ("==", 6), "ne": ("!=", 6),
         "and": ("&", 8), "or": ("|", 7)}  # fmt: skip
LOGICAL = {"and", "or", "not", "where"}


@dataclass(frozen=True, slots=True)
class Text:
    """Printed code, its dimensions, and its precedence."""

    code: str
    dims: Dims
    level: int


class TilePrinter:
    """Prints nodes. `dims` gives the dimensions of names already bound, `given` are those bound elsewhere. A sum
    over channel atoms is left to whoever stores the value: what follows it is linear in it, so that every lane may
    carry its own part."""

    def __init__(self, tile: Tile, name: Callable[[Ref], str], constant: Callable[[Node], str]) -> None:
        self.tile, self.name, self.constant = tile, name, constant
        self.dims: dict[tuple[str, int], Dims] = {}
        self.given: set[str] = set()
        self.helpers: set[str] = set()

    def __call__(self, node: Node) -> Text:
        """The code of a node."""
        if not any(isinstance(n, Ref | Index) for n in walk(node)):
            return self._number(node)
        match node:
            case Ref():
                return Text(f"b_{self.name(node)}", self.dims[(node.name, node.offset)], 20)
            case Index():
                return Text(f"o_{self.tile.name(node.axis)}.to(tl.float32)", self.tile.dims(node.axes), 16)
            case Reduce():
                return self._reduce(node)
            case Pointwise():
                return self._pointwise(node)
        raise NotImplementedError(f"{type(node).__name__} in a kernel")

    def _number(self, node: Node) -> Text:
        match node:
            case Const(value=bool()):
                return Text(str(node.value), (), 20)
            case Const():
                return Text(literal(Fraction(node.value)), (), 20 if node.value >= 0 else 12)
            case Size() if node.axis in (*self.tile.channels, *self.tile.inner):
                return Text(self.tile.size(node.axis), (), 20)
            case Pointwise(fn="pi"):
                return Text(repr(math.pi), (), 20)
            case Pointwise(fn="inf"):
                return Text('float("inf")', (), 20)
        return Text(self.constant(node), (), 20)

    def _reduce(self, node: Reduce) -> Text:
        assert node.op == "sum", "only sums are fused into kernels"
        body = self(node.body)
        dims, code, level = body.dims, body.code, body.level
        over = [self.tile.inner.index(a) + 1 for a in node.over if a in self.tile.inner]
        assert all(0 in dims for a in node.over if a in self.tile.channels), "a sum over lanes of what has none"
        for d in sorted(over, reverse=True):
            size = self.tile.size(self.tile.inner[d - 1])
            if d in dims:
                at = dims.index(d)
                helper = f"tl_sum_{at}_of_{len(dims)}"
                self.helpers.add(helper)
                code, level = f"{helper}({code}, {size})", 20
                dims = tuple(x for x in dims if x != d)
            else:
                code, level = f"{size} * {code if level >= 12 else f'({code})'}", 11
        return Text(code, dims, level)

    def _pointwise(self, node: Pointwise) -> Text:
        if node.fn == "exp":
            return self._exp(node.args[0])
        args = [self(a) for a in node.args]
        target = tuple(sorted({d for a in args for d in a.dims}))
        as_needed = self._as_condition if node.fn in LOGICAL else _as_number
        args = [as_needed(t, a) for t, a in zip(args, node.args, strict=True)]
        args = [_place(a, target) for a in args]
        codes = [a.code for a in args]
        match node.fn:
            case "neg":
                return Text(f"-{_in(args[0], 12)}", target, 12)
            case "not":
                return Text(f"{_in(args[0], 7)} == 0", target, 6)
            case "square":
                return self._power(args[0], node.args[0], Fraction(2), target)
            case "pow" if isinstance(node.args[1], Const):
                return self._power(args[0], node.args[0], Fraction(node.args[1].value), target)
            case "where":
                return Text(f"tl.where({', '.join(codes)})", target, 20)
            case "clip":
                return Text(f"tl.minimum(tl.maximum({codes[0]}, {codes[1]}), {codes[2]})", target, 20)
            case "min" | "max":
                code = codes[0]
                for other in codes[1:]:
                    code = f"tl.{node.fn}imum({code}, {other})"
                return Text(code, target, 20)
            case "sqrt_clip":
                return Text(f"tl.sqrt({codes[0]})", target, 20)
            case fn if fn in INFIX:
                op, level = INFIX[fn]
                return Text(f"{_in(args[0], level)} {op} {_in(args[1], level + 1)}", target, level)
        return Text(self.call(CALLS[node.fn], codes), target, 20)

    def _as_condition(self, text: Text, node: Node) -> Text:
        """Loading and hoisting make numbers of truth values."""
        if isinstance(node, Ref) and node.dtype == "bool" and node.name in self.given:
            return Text(f"{text.code} != 0", text.dims, 6)
        return text

    def call(self, form: str, codes: Sequence[str]) -> str:
        """A call of the table, its helper noted."""
        self.helpers |= set(re.findall(r"\btl_[a-z]\w*(?=\()", form))
        for i, code in enumerate(codes):
            form = form.replace(f"@{i}", code)
        return form

    def _exp(self, argument: Node) -> Text:
        """exp(c * x) = exp2(c * log2(e) * x), the numbers multiplied here."""
        parts = signed_factors(argument)
        numbers = [x for x in parts if isinstance(x, Const)]
        if not numbers:
            inner = self(argument)
            return Text(self.call("tl_exp(@0)", [inner.code]), inner.dims, 20)
        scale = math.prod((Fraction(x.value) for x in numbers), start=Fraction(1)) * Fraction(math.log2(math.e))
        whole = Fraction(round(scale))
        scale = whole if abs(scale - whole) < Fraction(1, 10**12) else scale
        inner = self(by_dims([const(scale), *(x for x in parts if not isinstance(x, Const))], self.tile))
        return Text(f"tl.exp2({inner.code})", inner.dims, 20)

    def _power(self, base: Text, node: Node, n: Fraction, target: Dims) -> Text:
        if n == Fraction(1, 2):
            return Text(f"tl.sqrt({base.code})", target, 20)
        if n == Fraction(-1, 2):
            return Text(f"tl.rsqrt({base.code})", target, 20)
        if n.denominator == 1 and 1 <= abs(n) <= 4 and (isinstance(node, Ref) or abs(n) == 1):
            code = " * ".join([_in(base, 12)] * int(abs(n)))
            return Text(f"1.0 / ({code})" if n < 0 else code, target, 11)
        if n == 2:
            return Text(self.call("tl_square(@0)", [base.code]), target, 20)
        return Text(self.call("tl_pow(@0, @1)", [base.code, literal(n)]), target, 20)


def literal(value: Fraction) -> str:
    """A float literal."""
    return repr(float(value))


def _place(text: Text, target: Dims) -> Text:
    if not text.dims or text.dims == target:
        return text
    return Text(place(_in(text, 15), text.dims, target), target, 16)


def _as_number(text: Text, node: Node) -> Text:
    """Truth values count as 0 and 1 in arithmetic."""
    if node.dtype == "bool" and not isinstance(node, Const):
        return Text(f"{_in(text, 15)}.to(tl.float32)", text.dims, 16)
    return text


def _in(text: Text, level: int) -> str:
    return text.code if text.level >= level else f"({text.code})"


class HostConstants:
    """Numbers of a kernel that depend on sizes and arguments alone: worked out in Python and given as constants."""

    def __init__(self, tile: Tile, scalars: Mapping[str, str], size: Callable[[str], str]) -> None:
        self.tile = tile
        self.host = PythonPrinter(lambda a: scalars[a], size)
        self.scalars = scalars
        self.values: dict[str, str] = {}
        self._names: dict[str, str] = {}

    def __call__(self, node: Node) -> str:
        """The name of a number in kernels."""
        code = self.host(node)
        if code not in self._names:
            wish = f"c_{len(self.values) + 1}"
            if isinstance(node, Arg | Size):
                wish = self.scalars[node.name] if isinstance(node, Arg) else node.axis
            name = self.tile.name.fresh(wish)
            self._names[code], self.values[name] = name, code
        return self._names[code]
