"""SymPy answers questions about an expression at one generic index point. Its output never goes back into the program.

This is the only file that imports SymPy, and it does so when a question is asked. Every answer may be None: unknown.
Expressions beyond a size are not looked at, nothing depends on a clock, and `simplify` and `solve` are banned.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from ssmc.ir import build as b
from ssmc.ir import linear
from ssmc.ir.expr import Arg, Const, Draw, Index, Node, Pointwise, Position, Reduce, Ref, Relabel, Size, fold, walk

NODES = 400  # beyond this an expression is not translated
TERMS = 300  # beyond this it is not expanded
Assumptions = Mapping[Node, str]  # of a leaf: `real`, `positive`, `nonnegative`, `negative` or `integer`
_DIGITS = 40
_STEPPED = {"floor", "ceil", "round", "sign", "abs", "max", "min", "clip", "relu", "elu", "where", "mod", "floordiv"}


def is_zero(node: Node, assume: Assumptions | None = None) -> bool | None:
    """Whether the expression vanishes identically. False only if it is seen not to at some point."""
    found = _Translation.of(node, assume or {})
    return None if found is None else _vanishes(*found)


def equal(x: Node, y: Node, assume: Assumptions | None = None) -> bool | None:
    """Whether two expressions always have the same value."""
    return True if x is y else is_zero(b.sub(x, y), assume)


def degree(node: Node, symbol: Node, assume: Assumptions | None = None) -> int | None:
    """The degree of a polynomial in the symbol; None if it is none, or not seen to be one."""
    if not linear.contains(node, symbol):
        return 0
    found = _Translation.of(node, assume or {}, (symbol,))
    if found is None:
        return None
    import sympy as sp

    expression, names = found
    expanded = _expanded(expression)
    s = names.symbols.get((symbol, ()))
    if expanded is None or s is None:
        return None
    for n in range(8):
        zero = _vanishes(expanded, names)
        if zero is None:
            return None
        if zero:
            return max(n - 1, 0)
        expanded = sp.diff(expanded, s)
    return None


def is_affine(node: Node, symbols: Iterable[Node], assume: Assumptions | None = None) -> bool | None:
    """Whether the expression is affine in the symbols together. A Reduce is taken as one more symbol."""
    present = [s for s in symbols if linear.contains(node, s)]
    if len(present) == 1 and linear.affine(node, present[0]) is not None:
        return True
    if any(isinstance(n, Pointwise) and n.fn in _STEPPED and _has(n, present) for n in walk(node)):
        return None
    found = _Translation.of(node, assume or {}, tuple(present))
    if found is None:
        return None
    import sympy as sp

    expression, names = found
    at = [names.symbols[s, ()] for s in present if (s, ()) in names.symbols]
    unsure = False
    for i, x in enumerate(at):
        first = sp.diff(expression, x)
        for y in at[i:]:
            zero = _vanishes(sp.diff(first, y), names)
            if zero is False:
                return False
            unsure = unsure or zero is None
    return None if unsure else True


def _has(node: Node, symbols: list[Node]) -> bool:
    return any(linear.contains(node, s) for s in symbols)


# --- deciding ---


def _expanded(expression: Any) -> Any | None:
    import sympy as sp

    return sp.expand(expression) if expression.count_ops() <= TERMS else None


def _vanishes(expression: Any, names: _Translation) -> bool | None:
    import sympy as sp

    if expression == 0:
        return True
    if not names.opaque and _seen_nonzero(expression, names):
        return False
    expanded = _expanded(expression)
    if expanded is None:
        return None
    if expanded == 0:
        return True
    if expanded.count_ops() > TERMS or expanded.has(sp.Piecewise, sp.Max, sp.Min):
        return None
    top = sp.fraction(sp.together(expanded))[0]
    if top.count_ops() > TERMS:
        return None
    return True if sp.expand(top) == 0 or sp.cancel(top) == 0 else None


def _seen_nonzero(expression: Any, names: _Translation) -> bool:
    """Whether it is surely not 0 at one of a few rational points, computed with many digits."""
    import sympy as sp

    for seed in (3, 7, 11):
        at = {}
        for i, s in enumerate(sorted(expression.free_symbols, key=str)):
            value = sp.Rational(seed * (i + 2) % 13 + 1, 5 + (seed + i) % 4)
            value = sp.Integer(seed + i) if s.is_integer else -value if s.is_negative else value
            at[s] = value
        value = expression.subs(at).evalf(_DIGITS)
        if value.is_number and value.is_finite and abs(value) > sp.Float(10) ** (-_DIGITS // 2):
            return True
    return False


# --- translating ---


class _Translation:
    """SymPy symbols for the leaves of one question. An entry (node, renaming) is that leaf at a renamed index."""

    def __init__(self, assume: Assumptions) -> None:
        self.assume = assume
        self.symbols: dict[tuple[Node, tuple[tuple[str, str], ...]], Any] = {}
        self.opaque = False

    @staticmethod
    def of(node: Node, assume: Assumptions, keep: tuple[Node, ...] = ()) -> tuple[Any, _Translation] | None:
        """The expression in SymPy and the names used; None if it is too large or holds what has no translation."""
        if sum(1 for _ in walk(node)) > NODES:
            return None
        names = _Translation(assume)
        for k in keep:
            names.leaf(k, ())
        expression = names.translate(node, ())
        return None if expression is None else (expression, names)

    def leaf(self, node: Node, renaming: tuple[tuple[str, str], ...]) -> Any:
        """The symbol of a leaf."""
        import sympy as sp

        key = (node, tuple(p for p in renaming if p[0] in node.axes))
        if key not in self.symbols:
            kind = self.assume.get(node, "integer" if isinstance(node, Size | Index | Position) else "real")
            options = {kind: True} if node.dtype != "complex" else {}
            if isinstance(node, Size) or (isinstance(node, Arg) and kind == "integer"):
                options = {"integer": True, "positive": True}
            self.symbols[key] = sp.Symbol(f"s{len(self.symbols)}", **options)
        return self.symbols[key]

    def translate(self, node: Node, renaming: tuple[tuple[str, str], ...]) -> Any | None:
        """The expression at a generic point, some axes read at another index."""

        def step(n: Node, children: tuple[Any, ...]) -> Any:
            import sympy as sp

            match n:
                case Const():
                    value = n.value
                    if isinstance(value, bool):
                        return sp.true if value else sp.false
                    return sp.Rational(value.numerator, value.denominator)
                case Relabel():
                    return self.translate(n.body, _compose(n.pairs, renaming))
                case Reduce():
                    self.opaque = True
                    return self.leaf(n, renaming)
                case Ref() | Size() | Arg() | Index() | Position() | Draw():
                    return self.leaf(n, renaming)
                case Pointwise():
                    return None if any(c is None for c in children) else _function(n.fn, children)
            return None

        return fold(node, step)


def _compose(inner: tuple[tuple[str, str], ...], outer: tuple[tuple[str, str], ...]) -> tuple[tuple[str, str], ...]:
    later = dict(outer)
    return tuple(sorted({**later, **{old: later.get(new, new) for old, new in inner}}.items()))


def _function(fn: str, x: tuple[Any, ...]) -> Any | None:
    import sympy as sp

    one = sp.Integer(1)
    table: dict[str, Any] = {
        "add": lambda a, c: a + c, "sub": lambda a, c: a - c, "mul": lambda a, c: a * c, "div": lambda a, c: a / c,
        "pow": lambda a, c: a**c, "neg": lambda a: -a, "square": lambda a: a**2, "exp": sp.exp,
        "expm1": lambda a: sp.exp(a) - 1, "log": sp.log, "log1p": lambda a: sp.log(1 + a), "sin": sp.sin, "cos": sp.cos,
        "tanh": lambda a: 1 - 2 / (1 + sp.exp(2 * a)), "phi1": lambda a: (sp.exp(a) - 1) / a, "sqrt": sp.sqrt,
        "rsqrt": lambda a: 1 / sp.sqrt(a), "sqrt_clip": lambda a, c: sp.sqrt(a),
        "sigmoid": lambda a: one / (1 + sp.exp(-a)), "log_sigmoid": lambda a: -sp.log(1 + sp.exp(-a)),
        "softplus": lambda a: sp.log(1 + sp.exp(a)), "inv_softplus": lambda a: sp.log(sp.exp(a) - 1),
        "silu": lambda a: a / (1 + sp.exp(-a)), "gelu": lambda a: a * (1 + sp.erf(a / sp.sqrt(2))) / 2,
        "erf": sp.erf, "abs": sp.Abs, "sign": sp.sign, "floor": sp.floor, "ceil": sp.ceiling,
        "relu": lambda a: sp.Max(a, 0),
        "max": sp.Max, "min": sp.Min, "clip": lambda a, lo, hi: sp.Min(sp.Max(a, lo), hi),
        "mod": lambda a, c: a - c * sp.floor(a / c), "floordiv": lambda a, c: sp.floor(a / c),
        "re": sp.re, "im": sp.im, "conj": sp.conjugate, "complex": lambda a, c: a + sp.I * c,
        "lt": sp.Lt, "le": sp.Le, "gt": sp.Gt, "ge": sp.Ge, "eq": sp.Eq, "ne": sp.Ne,
        "and": sp.And, "or": sp.Or, "not": sp.Not, "pi": lambda: sp.pi,
        "where": lambda c, a, d: sp.Piecewise((a, c), (d, True)),
        "elu": lambda a: sp.Piecewise((a, a > 0), (sp.exp(a) - 1, True)),
    }  # fmt: skip
    try:
        return table[fn](*x) if fn in table else None
    except TypeError:  # a truth value in arithmetic, an ordering of complex numbers
        return None
