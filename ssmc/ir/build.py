"""Building expressions: axes and types follow from the arguments; exact constants fold; `x*1`, `x+0`, `--x` vanish."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction

from ssmc.diagnostics.span import Span
from ssmc.ir.expr import (
    NOWHERE,
    Arg,
    Const,
    Draw,
    Index,
    Node,
    Pointwise,
    Position,
    Reduce,
    Ref,
    Relabel,
    Size,
    const,
    fold,
    intern,
    rebuild,
)
from ssmc.ir.functions import FUNCTIONS

ZERO, ONE = const(0), const(1)
_FOLD: dict[str, Callable[[Fraction, Fraction], Fraction]] = {
    "add": lambda a, b: a + b,
    "sub": lambda a, b: a - b,
    "mul": lambda a, b: a * b,
}


def union(*nodes: Node) -> tuple[str, ...]:
    """The axes of a broadcast, in order of first appearance."""
    return tuple(dict.fromkeys(a for n in nodes for a in n.axes))


def apply(fn: str, *args: Node, span: Span = NOWHERE) -> Node:
    """A pointwise function, folded where that is exact and keeps the axes."""
    simple = _simplify(fn, args)
    if simple is not None:
        return simple
    function = FUNCTIONS[fn]
    if function.result == "same":
        dtype = "complex" if any(a.dtype == "complex" for a in args) else "real"
        if fn == "where" and args[1].dtype == args[2].dtype == "bool":
            dtype = "bool"
    else:
        dtype = function.result
    return intern(Pointwise(union(*args), dtype, span, fn, args))


def _simplify(fn: str, args: tuple[Node, ...]) -> Node | None:
    a, b = (args[0] if args else None), (args[1] if len(args) > 1 else None)
    numbers = [x.value for x in args if isinstance(x, Const) and not isinstance(x.value, bool)]
    if fn in _FOLD and len(numbers) == 2:
        return const(_FOLD[fn](Fraction(numbers[0]), Fraction(numbers[1])))
    if fn == "div" and len(numbers) == 2 and numbers[1] != 0:
        return const(Fraction(numbers[0]) / Fraction(numbers[1]))
    if fn == "neg" and numbers:
        return const(-numbers[0])
    if fn == "neg" and isinstance(a, Pointwise) and a.fn == "neg":
        return a.args[0]
    if fn == "mul" and b is not None:
        return b if a is ONE and b.dtype != "bool" else a if b is ONE and a.dtype != "bool" else None  # type: ignore[union-attr]
    if fn in ("add", "sub") and b is ZERO and a is not None and a.dtype != "bool":
        return a
    if fn == "add" and a is ZERO and b is not None and b.dtype != "bool":
        return b
    if fn == "sub" and a is ZERO and b is not None:
        return apply("neg", b)
    if fn in ("div", "pow") and b is ONE:
        return a
    return None


def add(a: Node, b: Node) -> Node:
    """a + b."""
    return apply("add", a, b)


def sub(a: Node, b: Node) -> Node:
    """a - b."""
    return apply("sub", a, b)


def mul(a: Node, b: Node) -> Node:
    """a * b."""
    return apply("mul", a, b)


def div(a: Node, b: Node) -> Node:
    """a / b."""
    return apply("div", a, b)


def neg(a: Node) -> Node:
    """-a."""
    return apply("neg", a)


def ref(
    name: str, axes: tuple[str, ...], dtype: str, offset: int = 0, init: Node | None = None, span: Span = NOWHERE
) -> Ref:
    """A reference to a value; a zero `init` is the default and dropped."""
    return intern(Ref(axes, dtype, span, name, offset, None if init is ZERO else init))


def reduce(op: str, over: tuple[str, ...], body: Node, span: Span = NOWHERE) -> Node:
    """A reduction; over no axis it is the body."""
    over = tuple(a for a in body.axes if a in over)
    if not over:
        return body
    return intern(Reduce(tuple(a for a in body.axes if a not in over), body.dtype, span, op, over, body))


def relabel(pairs: tuple[tuple[str, str], ...], body: Node, span: Span = NOWHERE) -> Node:
    """A renaming of axes."""
    names = dict(pairs)
    pairs = tuple((o, n) for o, n in pairs if o in body.axes and o != n)
    if not pairs:
        return body
    return intern(Relabel(tuple(names.get(a, a) for a in body.axes), body.dtype, span, pairs, body))


def index(axis: str, span: Span = NOWHERE) -> Index:
    """0, 1, ... along an atomic axis."""
    return intern(Index((axis,), "real", span, axis))


def size(axis: str, span: Span = NOWHERE) -> Size:
    """The size of an axis."""
    return intern(Size((), "real", span, axis))


def arg(name: str, dtype: str, span: Span = NOWHERE) -> Arg:
    """A layer argument."""
    return intern(Arg((), dtype, span, name))


def position(span: Span = NOWHERE) -> Position:
    """The token's position."""
    return intern(Position((), "real", span))


def draw(kind: str, args: tuple[Node, ...], axes: tuple[str, ...], dtype: str, uid: int, word: str = "") -> Draw:
    """An initialiser that is no formula."""
    return intern(Draw(axes, dtype, NOWHERE, kind, args, uid, word))


def remake(node: Node, children: tuple[Node, ...]) -> Node:
    """The node on other children, with axes and type worked out anew."""
    match node:
        case Pointwise():
            return apply(node.fn, *children, span=node.span)
        case Reduce():
            return reduce(node.op, node.over, children[0], node.span)
        case Relabel():
            return relabel(node.pairs, children[0], node.span)
        case Ref():
            return ref(node.name, node.axes, node.dtype, node.offset, children[0], node.span)
        case Draw():
            return draw(node.kind, children, node.axes, node.dtype, node.uid, node.word)
        case _:
            return node


def substitute(root: Node, replace: Callable[[Node], Node | None]) -> Node:
    """The expression with every node for which `replace` gives another one exchanged, from the leaves up."""

    def step(node: Node, children: tuple[Node, ...]) -> Node:
        other = replace(node)
        return other if other is not None else rebuild(node, children, remake)

    result: Node = fold(root, step)
    return result
