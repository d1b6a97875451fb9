"""An op as torch sees it: the public function, the registered operators and their shapes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ssmc.codegen.op_text import OpText

SCHEMA = {"int": "int", "float": "float", "bool": "bool"}


@dataclass(frozen=True, slots=True)
class OperatorOp:
    """The holes of `templates/torch/op.py.jinja` and `templates/torch/operators.py.jinja`."""

    stem: str
    constant: str
    op: str
    title: str
    spec: str
    equations: tuple[str, ...]
    operands: str
    keywords: str
    scalars: str
    schema_scalars: str
    states: str
    packed_kinds: str
    packed_gives: str
    packed_kinds_back: str
    packed_gives_back: str
    cotangents: str
    roles: tuple[tuple[str, str, str], ...]
    state_roles: tuple[tuple[str, str], ...]
    first: str
    operand_names: str
    state_names: str
    differentiable: str
    n_results: int
    n_states: int
    one_state: bool
    one_result: bool
    init: tuple[str, ...]
    sizes: tuple[str, ...]
    fake_results: tuple[str, ...]
    fake_states: tuple[str, ...]
    kernel: bool
    reason: str
    documented: tuple[str, ...]
    filtered: bool
    by_mode: bool
    kernel_by_mode: bool
    flag: str
    schema_flag: str
    given_flag: str
    saved: str
    last_states: str
    kept: tuple[tuple[str, str], ...]
    d_state: str
    beside: str


def operator_op(
    o: OpText, equations: tuple[str, ...], chunked: bool, kept: tuple[tuple[str, str], ...]
) -> OperatorOp:
    """The operator of an op; `chunked`, if it has kernels for chunks; `kept`, what kernels leave for the way back, each
    by its name and the code that makes room for it."""
    r, names, p = o.r, o.names, o.program
    has_filter = p.filter is not None
    tokens = [x for x in r.operands if x.token]
    first = names(tokens[0].name)
    results = [names(x.name) for x in p.results]
    states = [names(c.of) for c in r.carried]
    kinds = "".join("t" if x.token else "p" for x in r.operands)
    numbers = "n" * (len(o.scalars) + has_filter)
    given = {x.name: f"{names(x.name)}{o.view(x.axes)[0]}" for x in r.operands}
    init = [f"{names(c.of)} = {o.start(c, first, given)}{o.view(c.axes)[1]}" for c in r.carried]
    gradients = p.adjoint.gradients
    differentiable = [
        any(leaf.name in gradients for leaf in p.leaves if leaf.operand.name == x.name) for x in r.operands
    ]
    fake_results = []
    for res in p.results:
        size = ", ".join([f"*{first}.shape[:2]", *o.shape(res.axes)]) + ("" if res.axes else ",")
        kind = "_complex_of(dtype)" if len(res.parts) > 1 else o.dtype_of(res.name, "dtype")
        fake_results.append(f"{first}.new_empty(({size}), dtype={kind})".replace("(({size}))", "()"))
    fake_states = []
    for c in r.carried:
        kind = "_complex_of(dtype)" if c.dtype == "complex" else "dtype"
        size = f"({', '.join(['rows', *o.shape(c.axes)])},)" + " if last else 0" * has_filter
        fake_states.append(f"{first}.new_empty({size}, dtype={kind})")
    flag = "last" if has_filter else "keep" if kept else ""
    documented = [
        f"{names(x.name)} [{', '.join([*(['batch', 'time'] if x.token else []), *x.axes])}]" for x in r.operands
    ]
    return OperatorOp(
        stem=o.stem,
        constant=o.stem.upper(),
        op=o.op,
        title=o.title,
        spec=o.spec,
        equations=equations,
        operands=", ".join(names(x.name) for x in r.operands),
        keywords="".join(f", {s.name}" for s in o.scalars),
        scalars="".join(f", {s.name}" for s in o.scalars),
        schema_scalars="".join(f", {SCHEMA[s.kind]} {s.name}" for s in o.scalars),
        states=", ".join(states),
        packed_kinds=kinds + "s" * len(states) + numbers,
        packed_gives="t" * len(results) + "s" * len(states),
        packed_kinds_back="t" * len(results) + "s" * len(states) + kinds + "s" * len(states) + numbers,
        packed_gives_back=kinds + "s" * len(states),
        cotangents=", ".join(
            [*(names(f"g:{x.name}") for x in p.results), *(names(f"g_last:{c.of}") for c in r.carried)]
        ),
        roles=tuple(
            (
                names(x.name),
                _axes(["batch", "time"] if x.token else [], x.axes),
                f"{o.spec}:{o.layer.source.line_of(x.span)}",
            )
            for x in r.operands
        ),
        state_roles=tuple((names(c.of), _axes(["rows"], c.axes)) for c in r.carried),
        first=first,
        operand_names="(" + "".join(f'"{names(x.name)}", ' for x in r.operands) + ")",
        state_names="(" + "".join(f'"{s}", ' for s in states) + ")",
        differentiable="(" + "".join(f"{d}, " for d in differentiable) + ")",
        n_results=len(results),
        n_states=len(states),
        one_state=len(states) == 1,
        one_result=len(results) == 1,
        init=tuple(init) if any(c.init is not None for c in r.carried) else (),
        sizes=o.size_lines(),
        fake_results=tuple(fake_results),
        fake_states=tuple(fake_states),
        kernel=o.kernel,
        reason=f"recurrences of class {o.title} have no kernel yet",
        documented=tuple(documented),
        filtered=has_filter,
        by_mode=has_filter or p.outer is not None,
        kernel_by_mode=has_filter or chunked,
        flag=f", {flag}" if flag else "",
        schema_flag=f", bool {flag}" if flag else "",
        given_flag={"last": ", return_state", "keep": ", torch.is_grad_enabled()"}.get(flag, ""),
        last_states=f"out[{len(results)}:{len(results) + len(states) if kept else ''}]",
        saved="".join(f", {name}" for name, _ in kept),
        kept=kept,
        d_state=names(f"g_last:{r.carried[0].of}"),
        beside="".join(
            f' beside=("{names(x.name)}",),'
            for x, d in zip(r.operands, differentiable, strict=True)
            if d and x.name in o.beside
        ),
    )


def _axes(leading: Sequence[str], axes: Sequence[str]) -> str:
    """The axes of an operand, as the checks know them: an axis of the spec is not the batch, though it may be
    called so."""
    own = [f"{a}_" if a in ("batch", "time", "rows") else a for a in axes]
    return "(" + "".join(f'"{a}", ' for a in [*leading, *own]) + ")"
