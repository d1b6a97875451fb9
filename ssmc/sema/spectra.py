"""Initial values from the HiPPO theory: the operators, and the eigenvalues and eigenvectors of their normal parts.

An operator is x' = A x + B u, named by the measure under which its state approximates the past of u (Gu et al. 2020,
arXiv:2008.07669). A plus a matrix of low rank P P^T is normal (Gu et al. 2022, arXiv:2111.00396), and the normal part
alone starts diagonal layers (arXiv:2206.11893, section 4; there are also `lin` and `inv`, which approximate it). They
are worked out in double precision when a layer is constructed; nothing of them is known when it is compiled.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NoReturn

from ssmc.diagnostics.sink import Label
from ssmc.ir import build as b
from ssmc.ir.expr import Node
from ssmc.ir.layer import LayerArg
from ssmc.sema.context import Refused
from ssmc.sema.words import SPECTRAL
from ssmc.syntax import ast

if TYPE_CHECKING:
    from ssmc.sema.values import Resolver

MEASURES = ("legs", "legt", "lagt", "fourier")
SPECTRA = ("lin", "inv", *MEASURES, "real")
USAGE = {
    "hippo": "hippo(legs, N, M)",
    "hippo_input": "hippo_input(legs, N)",
    "hippo_low_rank": "hippo_low_rank(legs, N, R)",
    "hippo_diagonal": "hippo_diagonal(lin, N)",
    "hippo_basis": "hippo_basis(legs, M, N)",
}


def lower_spectral(r: Resolver, e: ast.Call) -> Node:
    """The node of a function of `SPECTRAL`: a word, then axes."""
    name = e.func.id
    word, *axes = e.args
    words = SPECTRA if name == "hippo_diagonal" else MEASURES
    if not isinstance(word, ast.Name) or not all(isinstance(a, ast.Name) for a in axes):
        _misused(r, e, words)
    kind = _word(r, e, word, words)
    names = tuple(r.axis(a) for a in axes if isinstance(a, ast.Name))
    for a, axis in zip(axes, names, strict=True):
        if len(r.table.atoms((axis,))) > 1:
            parts = ", ".join(f"`{x}`" for x in r.table.atoms((axis,)))
            r.sink.report(
                "SSM0204", f"`{name}` is along one axis, and `{axis}` is a product", a.span, "several axes",
                help=f"name one of them: {parts}",
            )  # fmt: skip
            raise Refused
    if len(set(names)) < len(names):
        r.sink.report(
            "SSM0204", f"`{name}` needs two different axes", e.span, "the same axis twice",
            help=f"declare a second axis of that size: `axis M = {names[0]}`",
        )  # fmt: skip
        raise Refused
    if kind == "real":
        return b.neg(b.add(b.index(names[0]), b.ONE))
    return b.draw(name, (), names, SPECTRAL[name], 0, word=kind)


def _word(r: Resolver, e: ast.Call, word: ast.Name, words: tuple[str, ...]) -> str:
    """A word of the list, or the name of an argument whose words all are; that one is decided at construction."""
    arg = r.scope.names.get(word.id)
    if arg is None:
        if word.id not in words:
            _misused(r, e, words)
        return word.id
    if not isinstance(arg, LayerArg) or arg.kind != "choice":
        _misused(r, e, words)
    known = tuple(w for w in words if w != "real")  # which is not complex, as the others are
    strange = next((c for c in arg.choices if c not in known), None)
    if strange is None:
        return word.id
    r.sink.report(
        "SSM0204", f"`{e.func.id}` knows no `{strange}`", word.span, f"may be `{strange}`",
        secondary=(Label(r.scope.spans[word.id], "declared here"),),
        notes=("an argument may name " + ", ".join(f"`{w}`" for w in known),),
    )  # fmt: skip
    raise Refused


def _misused(r: Resolver, e: ast.Call, words: tuple[str, ...]) -> NoReturn:
    name, several = e.func.id, len(e.args) > 2
    what = "spectrum" if name == "hippo_diagonal" else "measure"
    plural = {"spectrum": "spectra", "measure": "measures"}[what]
    r.sink.report(
        "SSM0204",
        f"`{name}` takes the name of a {what} and {'two axes' if several else 'an axis'}",
        e.span,
        "called here",
        help=f"write `{USAGE[name]}`; the {plural} are " + ", ".join(f"`{w}`" for w in words),
    )
    raise Refused
