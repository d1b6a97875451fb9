"""Symbolic counts: polynomials in a layer's arguments, for parameters, work and state, and their values for given ones.

What is no polynomial (`ceil(d_model/16)`) is one unknown, written as it is. Nothing here needs numpy or SymPy.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from fractions import Fraction

from ssmc.ir.expr import Arg, Const, Node, Pointwise, Size, fold
from ssmc.ir.layer import Layer
from ssmc.ir.pretty import pretty

Value = int | float | Fraction | bool | str
Monomial = tuple[str, ...]  # the names of its factors, sorted

_COMPUTE: dict[str, Callable[..., Value]] = {
    "add": lambda a, b: a + b, "sub": lambda a, b: a - b, "mul": lambda a, b: a * b, "div": lambda a, b: a / b,
    "floordiv": lambda a, b: a // b, "mod": lambda a, b: a % b, "pow": lambda a, b: a**b, "neg": lambda a: -a,
    "min": min, "max": max, "abs": abs, "floor": math.floor, "ceil": math.ceil, "round": round,
    "exp": math.exp, "log": math.log, "sqrt": math.sqrt, "square": lambda a: a * a,
    "lt": lambda a, b: a < b, "le": lambda a, b: a <= b, "gt": lambda a, b: a > b, "ge": lambda a, b: a >= b,
    "eq": lambda a, b: a == b, "ne": lambda a, b: a != b, "and": lambda a, b: a and b, "or": lambda a, b: a or b,
    "not": lambda a: not a, "where": lambda c, a, b: a if c else b,
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Count:
    """A polynomial; `unknowns` holds the expression behind each name that is no argument."""

    terms: Mapping[Monomial, Fraction]
    unknowns: Mapping[str, Node] = field(default_factory=dict)

    def __add__(self, other: Count) -> Count:
        terms = dict(self.terms)
        for m, c in other.terms.items():
            terms[m] = terms.get(m, Fraction(0)) + c
        return Count({m: c for m, c in terms.items() if c}, {**self.unknowns, **other.unknowns})

    def __mul__(self, other: Count) -> Count:
        total = Count({}, {**self.unknowns, **other.unknowns})
        for m, c in self.terms.items():
            for n, d in other.terms.items():
                total += Count({tuple(sorted((*m, *n))): c * d})
        return total

    def __str__(self) -> str:
        ordered = sorted(self.terms.items(), key=lambda t: (-len(t[0]), t[0]))
        text = " + ".join(_term(m, c, self.unknowns) for m, c in ordered) or "0"
        return text.replace("+ -", "- ")


def number(value: int | Fraction) -> Count:
    """A constant."""
    return Count({(): Fraction(value)} if value else {})


def product(counts: list[Count]) -> Count:
    """The product of counts."""
    out = number(1)
    for c in counts:
        out = out * c
    return out


def _term(m: Monomial, c: Fraction, unknowns: Mapping[str, Node]) -> str:
    powers = {n: m.count(n) for n in m}
    alone = len(powers) == 1 and c == 1
    names = [n if n not in unknowns or alone or n.endswith(")") else f"({n})" for n in powers]
    factors = [n if p == 1 else f"{n}**{p}" for n, p in zip(names, powers.values(), strict=True)]
    if abs(c) != 1 or not factors:
        factors.insert(0, str(abs(c)))
    return ("-" if c < 0 else "") + "*".join(factors)


@dataclass(frozen=True, slots=True)
class Sizes:
    """Turns the axes of a layer into counts."""

    layer: Layer

    def axis(self, name: str) -> Count:
        """The size of an axis in the layer's arguments."""
        return self.of(self.layer.axes.axes[name].size)

    def axes(self, names: tuple[str, ...]) -> Count:
        """How many numbers a value on these axes has."""
        return product([self.axis(n) for n in names])

    def of(self, node: Node) -> Count:
        """An expression of sizes and arguments."""

        def step(n: Node, children: tuple[Count, ...]) -> Count:
            match n:
                case Const() if not isinstance(n.value, bool):
                    return number(n.value)
                case Size():
                    return self.axis(n.axis)
                case Arg():
                    return Count({(n.name,): Fraction(1)})
                case Pointwise(fn="add"):
                    return children[0] + children[1]
                case Pointwise(fn="sub"):
                    return children[0] + number(-1) * children[1]
                case Pointwise(fn="mul"):
                    return children[0] * children[1]
                case Pointwise(fn="neg"):
                    return number(-1) * children[0]
            name = pretty(n)
            return Count({(name,): Fraction(1)}, {name: n})

        found: Count = fold(node, step)
        return found

    def value(self, count: Count, args: Mapping[str, Value]) -> int | None:
        """The count for given arguments; None if it is no whole number for them, or cannot be computed."""
        total = Fraction(0)
        for m, c in count.terms.items():
            for name in m:
                v = self.compute(count.unknowns[name], args) if name in count.unknowns else args.get(name)
                if v is None or isinstance(v, str):
                    return None
                c *= Fraction(v)
            total += c
        return int(total) if total.denominator == 1 else None

    def compute(self, node: Node, args: Mapping[str, Value]) -> Value | None:
        """The value of an expression of sizes and arguments; None if it has none."""

        def step(n: Node, children: tuple[Value | None, ...]) -> Value | None:
            match n:
                case Const():
                    return n.value
                case Arg():
                    return args.get(n.name)
                case Size():
                    return self.compute(self.layer.axes.axes[n.axis].size, args)
                case Pointwise() if n.fn in _COMPUTE and None not in children:
                    try:
                        return _COMPUTE[n.fn](*children)
                    except (ArithmeticError, TypeError, ValueError):
                        return None
            return None

        found: Value | None = fold(node, step)
        return found


def _as(kind: str, value: int | float | Fraction) -> int | float:
    return round(value) if kind == "int" else float(value)


def arguments(
    layer: Layer, example: int = 1024, given: Mapping[str, Value] | None = None
) -> tuple[dict[str, Value], tuple[str, ...]]:
    """A value for every argument: the given one, what it was set to, its default (perhaps of those before it), or
    for a required one an example.

    The names of the latter come second. The first required whole number gets the example (it is the width as a rule),
    every other one 16.
    """
    sizes, args, examples = Sizes(layer), dict[str, Value](), list[str]()
    for a in layer.args:
        if given is not None and a.name in given:
            args[a.name] = given[a.name]
        elif a.fixed is not None:
            args[a.name] = a.fixed
        elif a.kind == "choice":
            args[a.name] = a.choices[0]
        elif a.default is not None:
            value = sizes.compute(a.default, args)
            if value is not None:
                args[a.name] = value if isinstance(value, bool | str) else _as(a.kind, value)
        else:
            args[a.name] = (16 if examples else example) if a.kind == "int" else 1.0
            examples.append(a.name)
    return {**args, **(given or {})}, tuple(examples)
