"""Sums of products as `torch.einsum`: of real tensors as they are, of complex ones as real ones with an axis for their
two parts, so that no half of a product is worked out that nobody reads."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from ssmc.ir.expr import Arg, Const, Node, Pointwise, Reduce, Ref, Size
from ssmc.ir.linear import factors

if TYPE_CHECKING:
    from ssmc.codegen.torch_printer import TorchPrinter

_LETTERS = "abcdefghijklmnopqrsuvwxyz"
_PAIR = "z"  # the axis of the two parts


def einsum(p: TorchPrinter, factors: Sequence[Node], kept: Sequence[str], lead: str, drop_lead: bool = False) -> str:
    """`torch.einsum` of factors; `lead` spells the leading dimensions of token values."""
    used = {a for f in factors for a in f.axes}
    letters = _letters(sorted(used, key=lambda a: p.rank[a]), set(lead))
    terms, codes = [], []
    for f in factors:
        front = lead if has_lead(f, p.lead) else ""
        terms.append(front + "".join(letters[a] for a in p.sort(f.axes)))
        codes.append(p(f))
    out = ("" if drop_lead or not any(has_lead(f, p.lead) for f in factors) else lead) + "".join(
        letters[a] for a in kept
    )
    return f'torch.einsum("{",".join(terms)}->{out}", {", ".join(codes)})'


def real_einsum(printer: TorchPrinter, node: Reduce) -> str:
    """The real part of a sum of products of two complex tensors, as one of real ones: over the two parts as well."""
    parts = complex_factors(node.body)
    assert parts is not None
    early = 1 if has_lead(parts[0], printer.lead) else 0  # the conjugate is that of a parameter if there is one
    codes = [f"{printer(p, level=15)}.conj()" if i == early else printer(p) for i, p in enumerate(parts)]
    terms, out = _terms(printer, parts, printer.sort(node.axes), "")
    return f'torch.einsum("{terms}->{out}", {", ".join(f"_re_im({c})" for c in codes)})'


def complex_einsum(printer: TorchPrinter, node: Reduce) -> str:
    """A sum of products of a real and a complex tensor, [..., 2]: as one of real ones."""
    parts = factors(node.body)
    codes = [f"_re_im({printer(p)})" if p.dtype == "complex" else f"{printer(p)}" for p in parts]
    terms, out = _terms(printer, parts, printer.sort(node.axes), _PAIR)
    return f'torch.einsum("{terms}->{out}", {", ".join(codes)})'


def _terms(printer: TorchPrinter, parts: Sequence[Node], kept: Sequence[str], last: str) -> tuple[str, str]:
    """The letters of factors and of the result; complex factors have a last axis for their parts."""
    axes = sorted({a for p in parts for a in p.axes}, key=lambda a: printer.rank[a])
    letters = _letters(axes, {_PAIR})
    lead = ["..." if has_lead(p, printer.lead) else "" for p in parts]
    terms = [
        n + "".join(letters[a] for a in printer.sort(p.axes)) + (_PAIR if p.dtype == "complex" else "")
        for n, p in zip(lead, parts, strict=True)
    ]
    return ",".join(terms), max(lead) + "".join(letters[a] for a in kept) + last


def _letters(axes: Sequence[str], taken: set[str]) -> dict[str, str]:
    """A letter an axis: the first of its name that is free, else any."""
    out: dict[str, str] = {}
    for axis in axes:
        wishes = [c for c in axis.lower() if c in _LETTERS] + list(_LETTERS)
        out[axis] = next(c for c in wishes if c not in taken and c not in out.values())
    return out


def has_lead(node: Node, lead: Callable[[Ref], bool]) -> bool:
    """Whether the value has leading dimensions."""
    stack, seen = [node], set()
    while stack:
        n = stack.pop()
        if n in seen:
            continue
        seen.add(n)
        if isinstance(n, Ref) and lead(n):
            return True
        if not isinstance(n, Ref):
            stack.extend(n.children)
    return False


def complex_factors(body: Node) -> list[Node] | None:
    """The two factors of the real part of a product of complex tensors; None of anything else."""
    if not (isinstance(body, Pointwise) and body.fn == "re"):
        return None
    parts = factors(body.args[0])
    return parts if len(parts) == 2 and all(p.dtype == "complex" for p in parts) else None


def einsum_factors(node: Reduce) -> list[Node] | None:
    """The factors of a sum of products of tensors whose axes differ; None if a plain sum says it better, or if only one
    of them is complex: `torch.einsum` takes one type."""
    parts = factors(node.body)
    if len(parts) != 2 or any(isinstance(p, Const | Size | Arg) for p in parts):
        return None
    a, z = parts
    if a.dtype != z.dtype or set(a.axes) == set(z.axes) or not all(x in a.axes and x in z.axes for x in node.over):
        return None
    return parts
