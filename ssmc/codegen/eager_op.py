"""The eager functions of an op: chunks of tokens at once, the fields solved in between, the adjoint written out."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from ssmc.codegen.op_text import OpText
from ssmc.ir.expr import Ref, walk
from ssmc.ir.program import Field, Leaf, Let, Port
from ssmc.ir.regions import Operand
from ssmc.lower.share import slice_lets


@dataclass(frozen=True, slots=True)
class EagerOp:
    """The holes of `templates/eager/op.py.jinja`: parameter lists and tuples as text, bodies as lines."""

    stem: str
    first: str
    operands: str
    states: str
    scalars: str
    cotangents: str
    streams: str
    sizes: tuple[str, ...]
    parameters: tuple[str, ...]
    hoisted: tuple[str, ...]
    hoisted_all: tuple[str, ...]
    starts: tuple[str, ...]
    ends: tuple[str, ...]
    tokens: str
    chunk: str
    tokens_back: str
    chunk_back: str
    width: str
    reverse: bool
    linear: bool
    fields: str
    field_starts: str
    prologue: tuple[str, ...]
    solve: tuple[str, ...]
    advance: tuple[str, ...]
    next_starts: tuple[str, ...]
    before: tuple[str, ...]
    before_back: tuple[str, ...]
    epilogue: tuple[str, ...]
    collected: tuple[tuple[str, str, str], ...]
    returned: tuple[str, ...]
    update_parameters: str
    update: tuple[str, ...]
    update_back_parameters: str
    update_back: tuple[str, ...]
    carries: str
    replay: tuple[str, ...]
    replay_epilogue: tuple[str, ...]
    adjoint_epilogue: tuple[str, ...]
    solve_back: tuple[str, ...]
    adjoint: tuple[str, ...]
    zeros: tuple[str, ...]
    accumulate: tuple[str, ...]
    gradients: str
    hoisted_back: tuple[str, ...]
    joined: tuple[str, ...]
    returned_back: tuple[str, ...]


def tuple_of(names: Iterable[str]) -> str:
    """Names as a Python tuple."""
    names = list(names)
    return f"({names[0]},)" if len(names) == 1 else f"({', '.join(names)})"


def targets(names: Iterable[str]) -> str:
    """Names as the targets of an unpacking."""
    names = list(names)
    return f"{names[0]}," if len(names) == 1 else ", ".join(names)


def eager_op(o: OpText) -> EagerOp:
    """Slices the program into the bodies the template needs."""
    p, a, names = o.program, o.program.adjoint, o.names
    fields = [f.name for f in p.fields]
    results = [part for res in p.results for part in res.parts]
    inner = [let for let in p.update if let.name not in fields]
    needed = _solver_inputs(o)
    streaming = [leaf for leaf in p.leaves if leaf.operand.token]
    seeds = [f"g:{part}" for part in results]

    forward = slice_lets([*p.prologue, *inner, *p.epilogue], [*results, *needed])
    gradients = [a.gradients[leaf.name] for leaf in streaming if leaf.name in a.gradients]
    wanted = [*gradients, *a.accumulated, *needed, *a.reads.values(), *a.reads_before.values(), *_after_fields(o)]
    everything = [*p.prologue, *inner, *p.epilogue, *a.epilogue, *a.update, *a.prologue]
    backward = slice_lets(everything, [*wanted, *_reads(o.let(n) for n in a.accumulated)])
    backward = tuple(let for let in backward if let.name not in a.accumulated)
    advance = slice_lets(p.prologue, needed)
    update = slice_lets(p.update, fields)
    update_back = slice_lets([*inner, *a.update], a.carries.values())
    early_back = _reads([*backward, *update, *update_back, *a.hoisted, *(o.let(n) for n in a.accumulated)]) | set(
        needed
    )

    def of(lets: Iterable[Let], group: Iterable[Let]) -> list[Let]:
        keep = {let.name for let in group}
        return [let for let in lets if let.name in keep]

    said: set[int] = set()
    states = [names(c.of) for c in o.r.carried]
    gradient_states = [names(f"g_last:{c.of}") for c in o.r.carried]
    solve, solve_back = _solvers(o, update, update_back)
    return EagerOp(
        stem=o.stem,
        first=names(streaming[0].operand.name),
        operands=", ".join(names(x.name) for x in o.operands),
        states=", ".join(states),
        scalars="".join(f", {s.name}" for s in o.scalars),
        cotangents=", ".join([*(names(f"g:{res.name}") for res in p.results), *gradient_states]),
        streams=", ".join(names(x.name) for x in o.operands if x.token),
        sizes=o.size_lines(),
        parameters=_parameters(o, p.hoisted),
        hoisted=_hoisted(o, _reads([*forward, *update]) | set(needed)),
        hoisted_all=_hoisted(o, early_back),
        starts=tuple(line for c in o.r.carried for line in _starts(o, c.of, states=True)),
        ends=tuple(line for c in o.r.carried for line in _starts(o, c.of, states=False)),
        tokens=tuple_of(_whole(o, leaf) for leaf in streaming),
        chunk=targets(names(leaf.name) for leaf in streaming),
        tokens_back=tuple_of([*(_whole(o, leaf) for leaf in streaming), *_seed_views(o)]),
        chunk_back=targets(names(n) for n in (*(leaf.name for leaf in streaming), *seeds)),
        width=" * ".join(["rows", *o.shape(o.r.carried[0].atoms)]),
        reverse=o.r.reverse,
        linear=p.linear,
        fields=tuple_of(names(f) for f in fields),
        field_starts=tuple_of(names(f"{f}:0") for f in fields),
        prologue=o.lines(of(forward, p.prologue), said),
        solve=solve,
        advance=o.lines(advance),
        next_starts=tuple(f"{names(f'{f}:0')} = {names(f)}[:, -1]" for f in fields),
        before=_before(o, of(forward, [*inner, *p.epilogue])),
        before_back=_before(o, [*backward, *(o.let(n) for n in a.accumulated)]),
        epilogue=o.lines(of(forward, [*inner, *p.epilogue]), said),
        collected=tuple(_collected(o, part, atoms) for part, atoms in _parts(o)),
        returned=(*_returned_results(o), *_returned_states(o)),
        update_parameters=", ".join([*(names(n) for n in _inputs(o, update)), *(names(f"{f}:prev") for f in fields)]),
        update=o.lines(update),
        update_back_parameters=", ".join(
            [
                *(names(n) for n in _inputs(o, update_back)),
                *(names(f"{f}:prev") for f in fields),
                *(names(f"d:{f}") for f in fields),
            ]
        ),
        update_back=o.lines(update_back),
        carries=tuple_of(
            o.expanded(a.carries[f.name], f.atoms, "-1, ")
            if f.name in a.carries
            else f"torch.zeros_like({names(f'{f.name}:prev')})"
            for f in p.fields
        ),
        replay=o.lines(of(backward, p.prologue)),
        replay_epilogue=o.lines(of(backward, [*inner, *p.epilogue])),
        adjoint_epilogue=o.lines(of(backward, a.epilogue)),
        solve_back=solve_back,
        adjoint=o.lines(of(backward, [*a.update, *a.prologue])),
        zeros=tuple(
            f"{names(n)} = _zeros({', '.join([names(streaming[0].operand.name), 'dtype', *_accumulated_shape(o, n)])})"
            for n in a.accumulated
        ),
        accumulate=tuple(f"{names(n)} = {names(n)} + {o.total(n, _accumulated_atoms(o, n))}" for n in a.accumulated),
        gradients=tuple_of(_token_gradient(o, leaf) for leaf in streaming if leaf.name in a.gradients),
        hoisted_back=o.lines(a.hoisted),
        joined=tuple(_joined(o, i, leaf) for i, leaf in enumerate(x for x in streaming if x.name in a.gradients)),
        returned_back=(*(_returned_gradient(o, x) for x in o.operands), *_returned_state_gradients(o)),
    )


# --- what is known before time starts, in float64 where there is one: a rate's rounding grows with the length ---


def _parameters(o: OpText, hoisted: Iterable[Let]) -> tuple[str, ...]:
    """The lines that load parameters."""
    early = _reads(hoisted)
    lines = []
    for leaf in o.program.leaves:
        if not leaf.operand.token:
            source, view = _source(o, leaf), o.view(leaf.operand.axes)[0]
            code = f"_fine({source}){view}" if leaf.name in early else f"{source}.to(dtype){view}"
            lines.append(f"{o.names(leaf.name)} = {code}")
    return tuple(lines)


def _hoisted(o: OpText, wanted: set[str]) -> tuple[str, ...]:
    """The lines that work out what parameters alone determine, then take what the tokens need in the dtype of the
    rest."""
    lets = slice_lets(o.program.hoisted, wanted)
    early = _reads(o.program.hoisted)
    leaves = [leaf.name for leaf in o.program.leaves if not leaf.operand.token and leaf.name in early]
    used = [n for n in (*leaves, *(let.name for let in lets)) if n in wanted]
    narrow = f"{targets(o.names(n) for n in used)} = _narrow(dtype, {', '.join(o.names(n) for n in used)})"
    return (*o.lines(lets), *((narrow,) if used else ()))


# --- pieces ---------------------------------------------------------------------------------------------------------


def _reads(lets: Iterable[Let]) -> set[str]:
    return {n.name for let in lets for n in walk(let.node) if isinstance(n, Ref)}


def _inputs(o: OpText, lets: Iterable[Let]) -> list[str]:
    """The streaming values from outside that the assignments of one token read at that token, in a fixed order."""
    lets = list(lets)
    own = {let.name for let in lets} | {f"d:{f.name}" for f in o.program.fields}
    read = [n.name for let in lets for n in walk(let.node) if isinstance(n, Ref) and n.offset == 0]
    return [n for n in dict.fromkeys(read) if n not in own and n not in o.early_names]


def _solver_inputs(o: OpText) -> list[str]:
    """The values of the prologue that solving for the fields needs."""
    if o.program.linear:
        return [n for port in o.program.ports for n in (*port.coefficient, *port.input)]
    fields = {f.name for f in o.program.fields}
    return [n for n in _inputs(o, slice_lets(o.program.update, fields)) if n not in fields]


def _after_fields(o: OpText) -> list[str]:
    """What the walk back needs of the chunk, for a program that is not linear."""
    if o.program.linear:
        return []
    inner = [let for let in o.program.update if let.name not in {f.name for f in o.program.fields}]
    return _inputs(o, slice_lets([*inner, *o.program.adjoint.update], o.program.adjoint.carries.values()))


def _source(o: OpText, leaf: Leaf) -> str:
    """The operand, or the part of it, that a leaf is a view of."""
    return o.names(leaf.operand.name) + {"re": ".real", "im": ".imag", "": ""}[leaf.part]


def _whole(o: OpText, leaf: Leaf) -> str:
    """A leaf as a view of its whole operand."""
    return _source(o, leaf) + o.view(leaf.operand.axes)[0]


def _seed_views(o: OpText) -> list[str]:
    out = []
    for res in o.program.results:
        view, _ = o.view(res.axes)
        parts = ("",) if len(res.parts) == 1 else (".real", ".imag")
        out += [f"{o.names(f'g:{res.name}')}{part}{view}" for part in parts]
    return out


def _fields_of(o: OpText, state: str) -> list[Field]:
    return [f for f in o.program.fields if f.of == state]


def _starts(o: OpText, state: str, states: bool) -> list[str]:
    """The fields of a state before the first token, or the cotangents of those after the last."""
    c = next(x for x in o.r.carried if x.of == state)
    name = o.names(state) if states else o.names(f"g_last:{state}")
    first = o.names(next(x for x in o.program.leaves if x.operand.token).operand.name)
    kind = "_complex_of(dtype)" if c.dtype == "complex" else "dtype"
    size = ", ".join(["rows", *o.shape(c.axes)])
    view, _ = o.view(c.axes)
    lines = [f"{name} = _start({name}, {first}, {kind}, {size})"]
    for f in _fields_of(o, state):
        part = {"re": ".real", "im": ".imag", "": ""}[f.part]
        target = o.names(f"{f.name}:0") if states else o.names(f"d:{f.name}:0")
        lines.append(f"{target} = {name}{part}{view}")
    return lines


def _before(o: OpText, lets: Iterable[Let]) -> tuple[str, ...]:
    read = {n.name for let in lets for n in walk(let.node) if isinstance(n, Ref) and n.offset}
    if not o.program.linear and lets and o.program.adjoint.carries:
        read |= {f.name for f in o.program.fields} if any(let.name.startswith("d:") for let in lets) else set()
    names = o.names
    return tuple(
        f"{names(f'{f.name}:prev')} = _before({names(f.name)}, {names(f'{f.name}:0')})"
        for f in o.program.fields
        if f.name in read
    )


def _solvers(
    o: OpText, update: tuple[Let, ...], update_back: tuple[Let, ...]
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The lines that solve for the fields of a chunk, and for their cotangents."""
    late = _late_reads(o)
    if o.program.linear:
        forward = [line for port in o.program.ports for line in _scan(o, port)]
        back = [line for port in o.program.ports for line in _scan_back(o, port)]
        return tuple(forward), (*late, *back, *_left_over(o))
    names, fields, a = o.names, [f.name for f in o.program.fields], o.program.adjoint
    tokens = tuple_of(names(n) for n in _inputs(o, update)) if _inputs(o, update) else "()"
    starts = tuple_of(names(f"{f}:0") for f in fields)
    forward = [f"{targets(names(f) for f in fields)} = _walk(update, {tokens}, {starts}, j_t - i_t)"]
    tokens_back = tuple_of(names(n) for n in _inputs(o, update_back)) if _inputs(o, update_back) else "()"
    previous = tuple_of(names(f"{f}:prev") for f in fields)
    reads = tuple_of(_read(o, f) for f in o.program.fields)
    carries = tuple_of(names(f"d:{f}:0") for f in fields)
    result = tuple_of(names(f"d:{f}") for f in fields)
    assert a.carries
    back = [f"{result}, {carries} = _walk_back(update_back, {tokens_back}, {previous}, {reads}, {carries}, j_t - i_t)"]
    return tuple(forward), (*late, *back, *_left_over(o))


def _read(o: OpText, f: Field) -> str:
    """What reads want of a field, as a name or code; `None` if nothing does."""
    a = o.program.adjoint
    if f.name in a.reads_before:
        return o.names(f"d:{f.name}:late")
    return o.aligned(a.reads[f.name], f.atoms) if f.name in a.reads else "None"


def _late_reads(o: OpText) -> tuple[str, ...]:
    """Reads of the states before tokens are reads of those after the tokens before."""
    a, out = o.program.adjoint, []
    for f in o.program.fields:
        if f.name in a.reads_before:
            reads = o.expanded(a.reads[f.name], f.atoms, "-1, -1, ") if f.name in a.reads else "None"
            before = o.expanded(a.reads_before[f.name], f.atoms, "-1, -1, ")
            out.append(f"{o.names(f'd:{f.name}:late')} = _after({reads}, {before})")
    return tuple(out)


def _left_over(o: OpText) -> tuple[str, ...]:
    a, out = o.program.adjoint, []
    for f in o.program.fields:
        if f.name in a.reads_before:
            carry = o.names(f"d:{f.name}:0")
            out.append(f"{carry} = {carry} + {o.aligned(a.reads_before[f.name], f.atoms)}[:, 0]")
    return tuple(out)


def _port_args(o: OpText, port: Port) -> tuple[str, str]:
    f = next(x for x in o.program.fields if x.name == port.fields[0])
    shape = ", ".join(["rows", "j_t - i_t", *o.shape(o.sorted(f.atoms))])
    out = []
    for parts in (port.coefficient, port.input):
        codes = [o.aligned(n, f.atoms) for n in parts]
        full = all(set(o.reference(n).axes) == set(f.atoms) and n not in o.early_names for n in parts)
        code = codes[0] if len(codes) == 1 else f"torch.complex({', '.join(codes)})"
        out.append(code if full else f"({code}).expand({shape})" if " " in code else f"{code}.expand({shape})")
    return out[0], out[1]


def _scan(o: OpText, port: Port) -> list[str]:
    a, x = _port_args(o, port)
    names = o.names
    if len(port.fields) == 1:
        return [f"{names(port.fields[0])} = _scan({a}, {x}, {names(f'{port.fields[0]}:0')})"]
    re, im = port.fields
    state = names(f"{re.removesuffix(':re')}:pair")
    start = f"torch.complex({names(f'{re}:0')}, {names(f'{im}:0')})"
    return [f"{state} = _scan({a}, {x}, {start})", f"{names(re)}, {names(im)} = {state}.real, {state}.imag"]


def _scan_back(o: OpText, port: Port) -> list[str]:
    a, _ = _port_args(o, port)
    names = o.names
    fields = [next(f for f in o.program.fields if f.name == n) for n in port.fields]
    reads = [_read(o, f) for f in fields]
    if len(fields) == 1:
        f = fields[0].name
        return [f"{names(f'd:{f}')}, {names(f'd:{f}:0')} = _scan_back({a}, {reads[0]}, {names(f'd:{f}:0')})"]
    re, im = (f.name for f in fields)
    pair, carry = names(f"d:{re.removesuffix(':re')}:pair"), names(f"d:{re.removesuffix(':re')}:pair:0")
    some = next((r for r in reads if r != "None"), None)
    both = [r if r != "None" else f"torch.zeros_like({some})" for r in reads]
    code = "None" if some is None else f"torch.complex({', '.join(both)})"
    return [
        f"{carry} = torch.complex({names(f'd:{re}:0')}, {names(f'd:{im}:0')})",
        f"{pair}, {carry} = _scan_back({a}, {code}, {carry})",
        f"{names(f'd:{re}')}, {names(f'd:{im}')} = {pair}.real, {pair}.imag",
        f"{names(f'd:{re}:0')}, {names(f'd:{im}:0')} = {carry}.real, {carry}.imag",
    ]


def _parts(o: OpText) -> list[tuple[str, tuple[str, ...]]]:
    return [(part, res.atoms) for res in o.program.results for part in res.parts]


def _collected(o: OpText, part: str, atoms: tuple[str, ...]) -> tuple[str, str, str]:
    """(name of the list, its sizes, the code of one chunk) of a part of a result."""
    f = part if part in {x.name for x in o.program.fields} else None
    code = o.names(part) if f else o.expanded(part, atoms, "-1, -1, ")
    return o.names(f"{part}:chunks"), "".join(f", {s}" for s in o.shape(o.sorted(atoms))), code


def _returned_results(o: OpText) -> list[str]:
    out = []
    flip = ".flip(1)" if o.r.reverse else ""
    for res in o.program.results:
        _, back = o.view(res.axes)
        parts = [f"torch.cat({o.names(f'{p}:chunks')}, 1){flip}" for p in res.parts]
        if len(parts) == 1:
            out.append(f"_as({parts[0]}{back}, y_dtype)")
        else:
            out.append(f"torch.complex({', '.join(parts)}){back}")
    return out


def _returned_states(o: OpText) -> list[str]:
    out = []
    for c in o.r.carried:
        _, back = o.view(c.axes)
        parts = [o.names(f"{f.name}:0") for f in _fields_of(o, c.of)]
        value = parts[0] if len(parts) == 1 else f"torch.complex({', '.join(parts)})"
        out.append(f"_own({value}{back})")
    return out


def _accumulated_atoms(o: OpText, name: str) -> tuple[str, ...]:
    own = name.removeprefix("d:")
    found = next((x.atoms for x in o.program.hoisted if x.name == own), None)
    return found if found is not None else next(x.operand.atoms for x in o.program.leaves if x.name == own)


def _accumulated_shape(o: OpText, name: str) -> tuple[str, ...]:
    return o.shape(o.sorted(_accumulated_atoms(o, name)))


def _token_gradient(o: OpText, leaf: Leaf) -> str:
    return o.expanded(o.program.adjoint.gradients[leaf.name], leaf.operand.atoms, "-1, -1, ")


def _joined(o: OpText, i: int, leaf: Leaf) -> str:
    """The whole cotangent of a streaming leaf from those of the chunks, which stand last to first."""
    shape = "".join(f", {s}" for s in o.shape(o.sorted(leaf.operand.atoms)))
    first = o.names(next(x for x in o.program.leaves if x.operand.token).operand.name)
    flip = ".flip(1)" if o.r.reverse else ""
    empty = f"{first}.new_empty(rows, 0{shape}, dtype=dtype)"
    return f"{o.names(f'd:{leaf.name}')} = _joined(grads, {i}, {empty}){flip}"


def _returned_gradient(o: OpText, operand: Operand) -> str:
    """The cotangent of an operand in its own shape and dtype; an empty tensor if nothing depends on it."""
    leaves = [x for x in o.program.leaves if x.operand.name == operand.name]
    _, back = o.view(operand.axes)
    index = [x.name for x in o.operands].index(operand.name)
    names = o.names
    codes = {}
    for leaf in leaves:
        gradient = o.program.adjoint.gradients.get(leaf.name)
        if gradient is not None:
            codes[leaf.part] = names(f"d:{leaf.name}") if operand.token else o.expanded(gradient, operand.atoms, "")
    if not codes:
        return f"inputs[{index}].new_empty(0)"
    if operand.dtype != "complex":
        return f"_as({codes['']}{back}, inputs[{index}].dtype)"
    some = next(iter(codes.values()))
    both = [codes.get(p, f"torch.zeros_like({some})") for p in ("re", "im")]
    return f"_as(torch.complex({', '.join(both)}){back}, inputs[{index}].dtype)"


def _returned_state_gradients(o: OpText) -> list[str]:
    out = []
    for i, c in enumerate(o.r.carried):
        _, back = o.view(c.axes)
        parts = [o.names(f"d:{f.name}:0") for f in _fields_of(o, c.of)]
        value = parts[0] if len(parts) == 1 else f"torch.complex({', '.join(parts)})"
        out.append(f"_state_gradient({value}{back}, inputs[{len(o.operands) + i}])")
    return out
