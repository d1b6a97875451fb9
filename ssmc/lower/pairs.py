"""Complex values become pairs of real ones. Classes and stability are settled on complex values, before this pass."""

from __future__ import annotations

from fractions import Fraction

from ssmc.ir import build as b
from ssmc.ir.expr import Const, Node, Pointwise, Reduce, Ref, Relabel, const, fold

Pair = tuple[Node, Node | None]
TWO, HALF = const(2), const(Fraction(1, 2))
SMALL = const(Fraction(1, 10**4))


def part_name(name: str, part: str) -> str:
    """The name of a part of a complex value."""
    return f"{name}:{part}" if part else name


def pair(node: Node, memo: dict[Node, Pair] | None = None) -> Pair:
    """(re, im) of an expression; im is None where it is real."""
    result: Pair = fold(node, _step, memo)
    return result


def real(node: Node) -> Node:
    """A real-valued expression with no complex value left inside."""
    re, im = pair(node)
    assert im is None, node
    return re


def _step(node: Node, children: tuple[Pair, ...]) -> Pair:
    match node:
        case Ref():
            init = children[0] if children else None
            if node.dtype != "complex":
                return b.ref(node.name, node.axes, node.dtype, node.offset, init[0] if init else None, node.span), None
            parts = []
            for i, part in enumerate(("re", "im")):
                start = None if init is None else init[i]
                parts.append(b.ref(part_name(node.name, part), node.axes, "real", node.offset, start, node.span))
            return parts[0], parts[1]
        case Reduce():
            re, im = children[0]
            return b.reduce(node.op, node.over, re, node.span), None if im is None else b.reduce(
                node.op, node.over, im, node.span
            )
        case Relabel():
            re, im = children[0]
            return b.relabel(node.pairs, re, node.span), None if im is None else b.relabel(node.pairs, im, node.span)
        case Pointwise():
            return _pointwise(node, children)
    return node, None


def _pointwise(node: Pointwise, args: tuple[Pair, ...]) -> Pair:
    if all(im is None for _, im in args) and node.dtype != "complex":
        if node.fn in ("re", "conj"):
            return args[0][0], None
        if node.fn == "im":
            return b.ZERO, None
        return b.apply(node.fn, *(re for re, _ in args), span=node.span), None
    match node.fn, args:
        case (("add" | "sub" as fn), ((xr, xi), (yr, yi))):
            other = b.ZERO
            return b.apply(fn, xr, yr), b.apply(fn, xi or other, yi or other)
        case "neg", ((xr, xi),):
            return b.neg(xr), _neg(xi)
        case "mul", (x, y):
            return _mul(x, y)
        case "div", ((xr, xi), (yr, None)):
            return b.div(xr, yr), None if xi is None else b.div(xi, yr)
        case "div", (x, (yr, yi)):
            assert yi is not None
            norm = b.add(b.mul(yr, yr), b.mul(yi, yi))
            re, im = _mul(x, (yr, b.neg(yi)))
            assert im is not None
            return b.div(re, norm), b.div(im, norm)
        case "square", (x,):
            return _mul(x, x)
        case "pow", (x, (n, None)) if isinstance(n, Const) and n.value == int(n.value) and 0 <= n.value <= 16:
            out: Pair = (b.ONE, None)
            for _ in range(int(n.value)):
                out = _mul(out, x)
            return out
        case "complex", ((x, _), (y, _)):
            return x, y
        case "re", ((x, _),):
            return x, None
        case "im", ((_, y),):
            return y or b.ZERO, None
        case "conj", ((x, y),):
            return x, _neg(y)
        case "abs", ((x, y),):
            assert y is not None
            return b.apply("sqrt", b.add(b.mul(x, x), b.mul(y, y))), None
        case "exp", ((x, y),):
            assert y is not None
            scale = b.apply("exp", x)
            return b.mul(scale, b.apply("cos", y)), b.mul(scale, b.apply("sin", y))
        case "expm1", ((x, y),):
            return _expm1(x, y or b.ZERO)
        case "phi1", ((x, y),):
            return _phi1(x, y or b.ZERO)
        case "where", ((c, _), (xr, xi), (yr, yi)):
            return b.apply("where", c, xr, yr), b.apply("where", c, xi or b.ZERO, yi or b.ZERO)
    raise NotImplementedError(f"`{node.fn}` of complex values")


def _neg(x: Node | None) -> Node | None:
    return None if x is None else b.neg(x)


def _mul(x: Pair, y: Pair) -> Pair:
    (xr, xi), (yr, yi) = x, y
    if xi is None and yi is None:
        return b.mul(xr, yr), None
    if xi is None:
        assert yi is not None
        return b.mul(xr, yr), b.mul(xr, yi)
    if yi is None:
        return b.mul(xr, yr), b.mul(xi, yr)
    return b.sub(b.mul(xr, yr), b.mul(xi, yi)), b.add(b.mul(xr, yi), b.mul(xi, yr))


def _expm1(x: Node, y: Node) -> tuple[Node, Node]:
    """exp(x + iy) - 1 without cancellation: expm1(x)*cos(y) - 2*sin(y/2)**2, exp(x)*sin(y)."""
    half = b.apply("sin", b.mul(HALF, y))
    re = b.sub(b.mul(b.apply("expm1", x), b.apply("cos", y)), b.mul(TWO, b.mul(half, half)))
    return re, b.mul(b.apply("exp", x), b.apply("sin", y))


def _phi1(x: Node, y: Node) -> Pair:
    """(exp(z) - 1) / z, by 1 + z/2 + z**2/6 where z is so small that the quotient is 0/0."""
    norm = b.add(b.mul(x, x), b.mul(y, y))
    tiny = b.apply("lt", norm, b.mul(SMALL, SMALL))
    er, ei = _expm1(x, y)
    safe = b.apply("where", tiny, b.ONE, norm)
    qr = b.div(b.add(b.mul(er, x), b.mul(ei, y)), safe)
    qi = b.div(b.sub(b.mul(ei, x), b.mul(er, y)), safe)
    sixth = const(Fraction(1, 6))
    sr = b.add(b.add(b.ONE, b.mul(HALF, x)), b.mul(sixth, b.sub(b.mul(x, x), b.mul(y, y))))
    si = b.add(b.mul(HALF, y), b.mul(sixth, b.mul(TWO, b.mul(x, y))))
    return b.apply("where", tiny, sr, qr), b.apply("where", tiny, si, qi)
