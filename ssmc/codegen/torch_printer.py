"""Expressions as torch code on tensors `[..., axes]`: leading dimensions are whatever the operands have.

Axes stand in one canonical order, so that broadcasting is a matter of inserting dimensions. A sum of products over axes
is an einsum; everything else is a call or an operator.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from ssmc.codegen.einsum import complex_factors, einsum, einsum_factors, has_lead, real_einsum
from ssmc.codegen.python_printer import BINARY, number
from ssmc.ir.expr import Arg, Const, Index, Node, Pointwise, Reduce, Ref, Relabel, Size

SIMPLE = {
    "exp": "torch.exp({})",
    "expm1": "torch.expm1({})",
    "log": "torch.log({})",
    "log1p": "torch.log1p({})",
    "sqrt": "torch.sqrt({})",
    "rsqrt": "torch.rsqrt({})",
    "abs": "torch.abs({})",
    "sign": "torch.sign({})",
    "sin": "torch.sin({})",
    "cos": "torch.cos({})",
    "tanh": "torch.tanh({})",
    "sigmoid": "torch.sigmoid({})",
    "log_sigmoid": "F.logsigmoid({})",
    "softplus": "_softplus({})",
    "inv_softplus": "_inv_softplus({})",
    "silu": "F.silu({})",
    "gelu": "F.gelu({})",
    "gelu_tanh": "F.gelu({}, approximate='tanh')",
    "relu": "torch.relu({})",
    "elu": "F.elu({})",
    "erf": "torch.erf({})",
    "square": "torch.square({})",
    "phi1": "_phi1({})",
    "phi1_slope": "_phi1_slope({})",
    "floor": "torch.floor({})",
    "ceil": "torch.ceil({})",
    "round": "torch.round({})",
    "re": "torch.real({})",
    "im": "torch.imag({})",
    "conj": "torch.conj({})",
    "sqrt_clip": "_sqrt_clip({}, {})",
    "complex": "torch.complex({}, {})",
}
HELPERS = {
    "softplus": "_softplus",
    "inv_softplus": "_inv_softplus",
    "phi1": "_phi1",
    "phi1_slope": "_phi1_slope",
    "sqrt_clip": "_sqrt_clip",
}


@dataclass(frozen=True, slots=True)
class Text:
    """Printed code, the axes of its trailing dimensions, its precedence, and whether it is a Python number."""

    code: str
    axes: tuple[str, ...]
    level: int
    scalar: bool


class TorchPrinter:
    """Prints nodes. `name` gives the identifier of a reference, `order` the canonical rank of an axis, `has_lead`
    whether
    a reference has leading dimensions (a token value) or not (a parameter)."""

    def __init__(
        self,
        name: Callable[[Ref], str],
        order: Sequence[str],
        lead: Callable[[Ref], bool],
        scalar: Mapping[str, str],
        size: Callable[[str], str],
        like: str,
        dtype: str = "dtype",
    ) -> None:
        self.name, self.lead, self.scalar, self.size = name, lead, scalar, size
        self.like, self.dtype = like, dtype
        self.rank = {a: i for i, a in enumerate(order)}
        self.helpers: set[str] = set()

    def sort(self, axes: Sequence[str]) -> tuple[str, ...]:
        """Axes in canonical order."""
        return tuple(sorted(axes, key=lambda a: self.rank[a]))

    def __call__(self, node: Node, target: Sequence[str] | None = None, level: int = 0) -> str:
        """The code of a node; with `target`, with dimensions for all of these axes (of size one where the node has
        none)."""
        text = self._print(node)
        if target is not None:
            text = self._align(text, self.sort(target), has_lead(node, self.lead))
        return text.code if text.level >= level else f"({text.code})"

    def _align(self, text: Text, target: tuple[str, ...], lead: bool) -> Text:
        if text.scalar or text.axes == target:
            return text
        if not lead and target[len(target) - len(text.axes) :] == text.axes:
            return text
        marks = [":" if a in text.axes else "None" for a in target]
        while marks and marks[0] == "None" and not lead:
            marks.pop(0)
        while marks and marks[0] == ":" and (lead or len(marks) >= len(text.axes)):
            rest = marks[1:]
            if rest.count(":") < len(text.axes):
                marks = rest
            else:
                break
        code = text.code if text.level >= 15 else f"({text.code})"
        return Text(f"{code}[..., {', '.join(marks)}]", target, 16, False)

    def _print(self, node: Node) -> Text:
        match node:
            case Const():
                if isinstance(node.value, bool):
                    return Text(str(node.value), (), 20, True)
                return Text(number(node.value), (), 20 if node.value >= 0 else 12, True)
            case Arg():
                return Text(self.scalar[node.name], (), 20, True)
            case Size():
                return Text(self.size(node.axis), (), 20, True)
            case Index():
                return Text(
                    f"torch.arange({self.size(node.axis)}, device={self.like}.device, dtype={self.dtype})",
                    node.axes,
                    20,
                    False,
                )
            case Ref():
                return Text(self.name(node), self.sort(node.axes), 20, False)
            case Reduce():
                return self._reduce(node)
            case Relabel():
                return self._relabel(node)
            case Pointwise():
                return self._pointwise(node)
        raise NotImplementedError(type(node).__name__)

    def _relabel(self, node: Relabel) -> Text:
        inner = self._print(node.body)
        names = dict(node.pairs)
        now = tuple(names.get(a, a) for a in inner.axes)
        want = self.sort(now)
        if now == want:
            return Text(inner.code, want, inner.level, inner.scalar)
        n = len(now)
        source = ", ".join(str(now.index(a) - n) for a in want)
        target = ", ".join(str(i - n) for i in range(n))
        code = inner.code if inner.level >= 15 else f"({inner.code})"
        return Text(f"{code}.movedim(({source}), ({target}))", want, 16, False)

    def _reduce(self, node: Reduce) -> Text:
        kept = self.sort(node.axes)
        if node.op == "sum" and complex_factors(node.body) is not None:
            return Text(real_einsum(self, node), kept, 20, False)
        product = einsum_factors(node) if node.op == "sum" else None
        if product is not None:
            return Text(einsum(self, product, kept, "..."), kept, 20, False)
        body = self._print(node.body)
        dims = [str(body.axes.index(a) - len(body.axes)) for a in self.sort(node.over)]
        where = dims[0] if len(dims) == 1 else f"({', '.join(dims)})"
        method = {"sum": "sum", "max": "amax", "min": "amin"}[node.op]
        code = body.code if body.level >= 15 else f"({body.code})"
        return Text(f"{code}.{method}({where})", kept, 16, False)

    def _pointwise(self, node: Pointwise) -> Text:
        target = self.sort(node.axes)
        lead = [has_lead(a, self.lead) for a in node.args]
        args = [self._align(self._print(a), target, t) for a, t in zip(node.args, lead, strict=True)]
        if node.fn in HELPERS:
            self.helpers.add(HELPERS[node.fn])
        match node.fn:
            case "neg":
                return Text(f"-{_in(args[0], 12)}", target, 12, args[0].scalar)
            case "not":
                if args[0].scalar:
                    return Text(f"(not {args[0].code})", target, 20, True)
                return Text(f"~{_in(args[0], 12)}", target, 12, False)
            case "and" | "or":
                op, level = ("&", 8) if node.fn == "and" else ("|", 7)
                both = args[0].scalar and args[1].scalar
                return Text(f"{_in(args[0], level)} {op} {_in(args[1], level + 1)}", target, level, both)
            case "where":
                branches = [a.code for a in args]
                if args[0].scalar:
                    branches[0] = f"{self.like}.new_full((), {branches[0]}, dtype=torch.bool)"
                if args[1].scalar and args[2].scalar:
                    branches[1] = f"{self.like}.new_full((), {branches[1]}, dtype={self.dtype})"
                return Text(f"torch.where({', '.join(branches)})", target, 20, False)
            case "clip":
                if args[1].scalar and args[2].scalar:
                    if args[0].scalar:
                        return Text(f"min(max({args[0].code}, {args[1].code}), {args[2].code})", target, 20, True)
                    return Text(f"torch.clamp({args[0].code}, {args[1].code}, {args[2].code})", target, 20, False)
                lower = self._extremum("max", args[0], args[1])
                return Text(f"torch.minimum({lower}, {self._tensor(args[2])})", target, 20, False)
            case "min" | "max":
                return Text(self._extremum(node.fn, *args), target, 20, args[0].scalar and args[1].scalar)
            case "complex" if args[0].scalar or args[1].scalar:
                return Text(f"torch.complex({self._tensor(args[0])}, {self._tensor(args[1])})", target, 20, False)
            case "pi" | "inf":
                return Text(f"math.{node.fn}", (), 20, True)
            case "floordiv" if not (args[0].scalar and args[1].scalar):  # torch has no derivative for `//`
                code = f'torch.div({self._tensor(args[0])}, {args[1].code}, rounding_mode="floor")'
                return Text(code, target, 20, False)
            case fn if fn in BINARY:
                op, level = BINARY[fn]
                both = all(a.scalar for a in args)
                left, right = _in(args[0], level + (op == "**")), _in(args[1], level + (op != "**"))
                return Text(f"{left} {op} {right}", target, level, both)
        if all(a.scalar for a in args) and args:
            args = [Text(self._tensor(a), (), 20, False) for a in args[:1]] + list(args[1:])
        return Text(SIMPLE[node.fn].format(*(a.code for a in args)), target, 20, False)

    def _tensor(self, text: Text) -> str:
        return f"{self.like}.new_full((), {text.code}, dtype={self.dtype})" if text.scalar else text.code

    def _extremum(self, fn: str, a: Text, z: Text) -> str:
        if a.scalar and z.scalar:
            return f"{fn}({a.code}, {z.code})"
        return f"torch.{fn}imum({self._tensor(a)}, {self._tensor(z)})"


def _in(text: Text, level: int) -> str:
    return text.code if text.level >= level else f"({text.code})"
