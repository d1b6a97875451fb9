"""The reference of an op: the spec's equations as they are written, complex values included, token by token."""

from __future__ import annotations

from dataclasses import dataclass

from ssmc.codegen.eager_pieces import tuple_of
from ssmc.codegen.op_text import OpText
from ssmc.codegen.torch_printer import TorchPrinter
from ssmc.ir.expr import Ref, walk
from ssmc.ir.regions import Definition


@dataclass(frozen=True, slots=True)
class ReferenceOp:
    """The holes of `templates/eager/reference.py.jinja`."""

    name: str
    spec: str
    op: str
    operands: str
    keywords: str
    passed: str
    first: str
    tokens: str
    parameters: str
    streams: str
    casts: tuple[str, ...]
    sizes: tuple[str, ...]
    hoisted: tuple[str, ...]
    starts: tuple[str, ...]
    order: str
    previous: tuple[str, ...]
    body: tuple[str, ...]
    collected: tuple[tuple[str, str], ...]
    joined: tuple[str, ...]
    results: str
    states: str


def reference_op(o: OpText) -> ReferenceOp:
    """Lines of the token loop."""
    r, names = o.r, o.names
    tokens = [x for x in r.operands if x.token]
    body = [*r.prologue, *r.update, *r.epilogue]
    late = _late(body)
    streaming = {x.name for x in tokens}

    def name(ref: Ref) -> str:
        if ref.offset:
            return names(f"{ref.name}:prev") if ref.name in late else names(ref.name)
        return f"{names(ref.name)}[:, t]" if ref.name in streaming else names(ref.name)

    early = {d.name for d in r.hoisted} | {x.name for x in r.operands if not x.token}
    arguments = {s.argument: s.name for s in o.scalars if s.argument}
    printer = TorchPrinter(name, o.order, lambda n: n.name not in early, arguments, o.size, names(tokens[0].name))
    said: set[int] = set()

    def line(d: Definition) -> str:
        return o.line(names(d.name), printer(d.node), d.span, said)

    casts, starts = [], []
    for x in r.operands:
        view, _ = o.view(x.axes)
        cast = {"complex": ".to(_complex_of(dtype))", "bool": ""}.get(x.dtype, ".to(dtype)")
        if cast or view:
            casts.append(f"{names(x.name)} = {names(x.name)}{cast}{view}")
    for i, c in enumerate(r.carried):
        kind = "_complex_of(dtype)" if c.dtype == "complex" else "dtype"
        given = "initial_state" if len(r.carried) == 1 else f"None if initial_state is None else initial_state[{i}]"
        shape = ", ".join(["rows", *o.shape(c.axes)])
        starts.append(f"{names(c.of)} = _start({given}, {names(tokens[0].name)}, {kind}, {shape}){o.view(c.axes)[0]}")
        if c.init is not None:
            starts.append("if initial_state is None:")
            starts.append(f"    {names(c.of)} = {names(c.of)} + ({printer(c.init, c.atoms)})")
    hoisted = tuple(line(d) for d in r.hoisted)
    lines = tuple(line(d) for d in body)
    joined = []
    states = {c.of for c in r.carried}
    whole = {
        n: names(f"{n}:all") if n in states else names(n) for n in r.results
    }  # a state's own name stays its last value
    for n in r.results:
        d = r.definitions[n]
        size = "".join(f", {s}" for s in o.shape(o.sorted(d.atoms)))
        kind = ", dtype=_complex_of(dtype)" if d.dtype == "complex" else ""
        empty = f"{names(tokens[0].name)}.new_empty(rows, 0{size}{kind})"
        cast = "" if d.dtype == "complex" or n in r.fine else ".to(y_dtype)"
        order = "[::-1]" if r.reverse else ""
        joined.append(f"{whole[n]} = torch.cat([{empty}] + {names(f'{n}:all')}{order}, 1){o.view(d.axes)[1]}{cast}")
    finals = [f"{names(c.of)}{o.view(c.axes)[1]}" for c in r.carried]
    return ReferenceOp(
        name=o.reference_name,
        spec=o.spec,
        op=o.op,
        operands=", ".join(names(x.name) for x in r.operands),
        keywords="".join(f", {s.name}" for s in o.scalars),
        passed="".join(f", {s.name}={s.name}" for s in o.scalars),
        first=names(tokens[0].name),
        tokens=tuple_of(names(x.name) for x in tokens),
        parameters=tuple_of([names(x.name) for x in r.operands if not x.token] or [""]).replace("(,)", "()"),
        streams=o.streams,
        casts=tuple(casts),
        sizes=o.size_lines(),
        hoisted=hoisted,
        starts=tuple(starts),
        order="reversed(range(T))" if r.reverse else "range(T)",
        previous=tuple(f"{names(f'{c.of}:prev')} = {names(c.of)}" for c in r.carried if c.of in late),
        body=lines,
        collected=tuple((names(f"{n}:all"), names(n)) for n in r.results),
        joined=tuple(joined),
        results=", ".join(whole.values()) if len(whole) == 1 else tuple_of(whole.values()),
        states=finals[0] if len(finals) == 1 else f"({', '.join(finals)})",
    )


def _late(body: list[Definition]) -> set[str]:
    """Carried values that are read at the token before after they were assigned anew."""
    out: set[str] = set()
    assigned: set[str] = set()
    for d in body:
        out |= {n.name for n in walk(d.node) if isinstance(n, Ref) and n.offset and n.name in assigned}
        assigned.add(d.name)
    return out
