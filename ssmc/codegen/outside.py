"""Values outside ops as torch code: contractions as einsum, sums over features in float32 at least, the rest as
written."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from typing import TypeAlias

from ssmc.analysis.norms import Norm, without
from ssmc.codegen.einsum import complex_einsum, complex_factors
from ssmc.codegen.layer_text import LayerText
from ssmc.codegen.torch_printer import TorchPrinter
from ssmc.ir import build as b
from ssmc.ir.axes import AxisTable
from ssmc.ir.expr import Const, Node, Reduce, Ref, Relabel, refs, walk
from ssmc.ir.linear import factors
from ssmc.ir.regions import Definition
from ssmc.partition.normal import POSITION

HALVES = (":re", ":im")
Given: TypeAlias = dict[str, Callable[[Sequence[str]], str]]


def expression(t: LayerText, d: Definition, wide: set[str]) -> str:
    """The code of a value. `wide` collects those kept in float32, whatever the activations are."""
    order = list(dict.fromkeys([*d.atoms, *(a for n in walk(d.node) for a in n.axes)]))
    back = _back(t.layer.axes, d.axes, order)
    like = t.locals(next(iter(t.layer.inputs)))
    token = next((r.name for r in refs(d.node) if t.streams(r.name)), None)
    norms = t.norms.inside.get(d.name, ())
    given: Given = {}
    for i, m in enumerate(norms):
        given[f"norm:{i}"] = partial(_norm, t, replace(m, of=without(m.of, norms)), like, given)
    node = without(d.node, norms)
    contraction = _is_contraction(node)

    def widened(code: str, r: Ref) -> str:
        return f"_wide({code})" if t.streams(r.name) else code

    if contraction and d.dtype == "complex" and len({f.dtype for f in factors(_body(node))}) > 1:
        assert isinstance(node, Reduce)
        code = complex_einsum(_printer(t, order, like, widened, given), node)
        return _with(f"_from_re_im({code})", back)  # autocast halves an einsum, and no complex value
    if isinstance(node, Reduce) and complex_factors(node.body) is not None:
        wide.add(d.name)
        return _with(_printer(t, order, like, lambda code, r: code, given)(node), back)
    if contraction and d.dtype == "real" and token is not None:
        half = ".real" if any(r.name == token and r.dtype == "complex" for r in refs(node)) else ""
        dtype = f"{like if token == POSITION else t.locals(token)}{half}.dtype"
        printer = _printer(t, order, like, lambda code, r: code if t.streams(r.name) else f"{code}.to({dtype})", given)
        return _with(printer(node), back)
    if isinstance(node, Reduce) and d.dtype == "real":
        wide.add(d.name)
        return _with(_printer(t, order, like, widened, given)(node), back)
    code = _with(_printer(t, order, like, lambda code, r: code, given)(node), back)
    if d.name in t.partition.fine:
        return code
    mixed = any(r.name in wide or r.name in given or not t.streams(r.name) for r in refs(node))
    if token is None or not mixed or d.dtype != "real" or (isinstance(node, Relabel | Ref) and not given):
        return code
    return _with(code, f".to({like}.dtype)")


def _norm(t: LayerText, m: Norm, like: str, given: Given, order: Sequence[str]) -> str:
    """The call that normalises: torch's work on the last axes, so those it is over are brought there, and back."""
    inner = [*(a for a in order if a not in m.over), *(a for a in order if a in m.over)]
    shape = "".join(f"{t.size_attribute(a)}, " for a in inner if a in m.over)
    plain = isinstance(m.of, Ref)  # which the function widens; of an expression, what goes in

    def widened(code: str, r: Ref) -> str:
        return f"_wide({code})" if t.streams(r.name) and not plain else code

    printer = _printer(t, inner, like, widened, given)
    own = [printer(m.of), f"({shape.rstrip()})" if len(m.over) == 1 else f"({shape.rstrip(', ')})", t.python(m.eps)]
    own += [printer(v) if v is not None else "None" for v in (m.scale, m.shift)][: 1 + m.centred]
    while own[-1] == "None":
        own.pop()
    code = f"{'_layer_norm' if m.centred else '_rms_norm'}({', '.join(own)})"
    axes = m.of.axes
    return code + _move([a for a in inner if a in axes], [a for a in order if a in axes])


def timeless(t: LayerText, node: Node, axes: tuple[str, ...], like: str) -> str:
    """The code of an expression of parameters alone, down to the parameters; `like` is a tensor where it stands."""
    if isinstance(node, Const):
        return t.python(node)

    def inline(n: Node) -> Node | None:
        d = t.partition.definitions.get(n.name) if isinstance(n, Ref) else None
        return None if d is None else b.substitute(d.node, inline)

    whole = b.substitute(node, inline)
    order = list(dict.fromkeys([*t.layer.axes.atoms(axes), *(a for n in walk(whole) for a in n.axes)]))
    atoms = t.layer.axes.atoms(axes)
    code = _printer(t, order, like, lambda code, r: code)(whole, atoms if whole.axes else None)
    if whole.axes and atoms != axes:  # composite axes are one dimension: at every index of their factors
        code = _with(_with(code, f".expand({t.shape(atoms)})"), f".reshape({t.shape(axes)})")
    return f"({code})"


def _body(node: Node) -> Node:
    assert isinstance(node, Reduce)
    return node.body


def _is_contraction(node: Node) -> bool:
    """A sum of products of two factors with different axes."""
    if not isinstance(node, Reduce) or node.op != "sum":
        return False
    parts = factors(node.body)
    return len(parts) == 2 and parts[0].axes != parts[1].axes


def _with(code: str, suffix: str) -> str:
    """A method call on an expression."""
    if not suffix:
        return code
    return (
        f"{code}{suffix}"
        if " " not in code.split("(")[0] and code.endswith((")", "]")) and _closed(code)
        else f"({code}){suffix}"
    )


def _closed(code: str) -> bool:
    """Whether the text is one call or subscript: its first bracket closes at its end."""
    if code.isidentifier():
        return True
    depth = 0
    for i, c in enumerate(code):
        depth += c in "([{"
        depth -= c in ")]}"
        if depth == 0 and c in ")]}":
            return i == len(code) - 1
    return False


def _printer(
    t: LayerText,
    order: Sequence[str],
    like: str,
    cast: Callable[[str, Ref], str],
    given: Given | None = None,
) -> TorchPrinter:
    """Prints values of the layer; `given` are those that have no name, as code with axes in an order."""
    layer = t.layer

    def name(r: Ref) -> str:
        if given is not None and r.name in given:
            return given[r.name](order)
        half = next((h for h in HALVES if r.name.endswith(h)), "")
        own = r.name.removesuffix(half)
        code = t.parameter(layer.params[own]) if own in layer.params else t.locals(own)
        if own == POSITION:
            code += f".to(_compute_dtype({like}))"
        code += {"": "", ":re": ".real", ":im": ".imag"}[half]
        return cast(code, Ref(r.axes, r.dtype, r.span, own, r.offset, r.init)) + _view(
            layer.axes, t.dims_of(own), order, t.size_attribute
        )

    scalars = {a: f"self.{n}" for a, n in t.arg_names.items()}
    streams = _streams(t)
    return TorchPrinter(name, order, streams, scalars, t.size_attribute, like, f"_compute_dtype({like})")


def _streams(t: LayerText) -> Callable[[Ref], bool]:
    def streams(r: Ref) -> bool:
        return t.streams(r.name.removesuffix(":re").removesuffix(":im"))

    return streams


def _view(axes: AxisTable, dims: Sequence[str], order: Sequence[str], size: Callable[[str], str]) -> str:
    """From tensor dimensions to atoms in the order given."""
    out = ""
    for i, a in enumerate(dims):
        parts = axes.atoms((a,))
        if len(parts) > 1:
            out += f".unflatten({i - len(dims)}, ({', '.join(size(p) for p in parts)}))"
    atoms = axes.atoms(dims)
    return out + _move(atoms, tuple(a for a in order if a in atoms))


def _back(axes: AxisTable, dims: Sequence[str], order: Sequence[str]) -> str:
    """From atoms in the order given to tensor dimensions."""
    atoms = axes.atoms(dims)
    out = _move(tuple(a for a in order if a in atoms), atoms)
    for i in reversed(range(len(dims))):
        parts = axes.atoms((dims[i],))
        if len(parts) > 1:
            at = i - len(dims)
            out += f".flatten({at - len(parts) + 1}, {at})"
    return out


def _move(now: Sequence[str], want: Sequence[str]) -> str:
    if tuple(now) == tuple(want):
        return ""
    n = len(now)
    source = ", ".join(str(now.index(a) - n) for a in want)
    target = ", ".join(str(i - n) for i in range(n))
    return f".movedim(({source}), ({target}))"
