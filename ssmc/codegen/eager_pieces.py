"""The pieces of an op's eager functions: how leaves are loaded, fields solved for and gradients put together."""

from __future__ import annotations

from collections.abc import Iterable

from ssmc.codegen.op_text import OpText
from ssmc.ir.expr import Ref, walk
from ssmc.ir.program import Field, Leaf, Let, Port
from ssmc.ir.regions import Operand
from ssmc.lower.share import slice_lets


def tuple_of(names: Iterable[str]) -> str:
    """Names as a Python tuple."""
    names = list(names)
    return f"({names[0]},)" if len(names) == 1 else f"({', '.join(names)})"


def targets(names: Iterable[str]) -> str:
    """Names as the targets of an unpacking."""
    names = list(names)
    return f"{names[0]}," if len(names) == 1 else ", ".join(names)


def names_read(lets: Iterable[Let]) -> set[str]:
    """The names that the assignments read."""
    return {n.name for let in lets for n in walk(let.node) if isinstance(n, Ref)}


def inputs_of(o: OpText, lets: Iterable[Let]) -> list[str]:
    """The streaming values from outside that the assignments of one token read at that token, in a fixed order."""
    lets = list(lets)
    own = {let.name for let in lets} | {f"d:{f.name}" for f in o.program.fields}
    read = [n.name for let in lets for n in walk(let.node) if isinstance(n, Ref) and n.offset == 0]
    return [n for n in dict.fromkeys(read) if n not in own and n not in o.early_names]


def solver_inputs(o: OpText) -> list[str]:
    """The values of the prologue that solving for the fields needs."""
    if o.program.linear:
        return [n for port in o.program.ports for n in (*port.coefficient, *port.input)]
    fields = {f.name for f in o.program.fields}
    return [n for n in inputs_of(o, slice_lets(o.program.update, fields)) if n not in fields]


def walk_back_inputs(o: OpText) -> list[str]:
    """What the walk back needs of the chunk, for a program that is not linear."""
    if o.program.linear:
        return []
    inner = [let for let in o.program.update if let.name not in {f.name for f in o.program.fields}]
    return inputs_of(o, slice_lets([*inner, *o.program.adjoint.update], o.program.adjoint.carries.values()))


def leaf_source(o: OpText, leaf: Leaf) -> str:
    """The operand, or the part of it, that a leaf is a view of."""
    return o.names(leaf.operand.name) + {"re": ".real", "im": ".imag", "": ""}[leaf.part]


def whole_leaf(o: OpText, leaf: Leaf) -> str:
    """A leaf as a view of its whole operand."""
    return leaf_source(o, leaf) + o.view(leaf.operand.axes)[0]


def seed_views(o: OpText) -> list[str]:
    """The cotangents of the results' parts, as views of the whole tensors."""
    out = []
    for res in o.program.results:
        view, _ = o.view(res.axes)
        parts = ("",) if len(res.parts) == 1 else (".real", ".imag")
        out += [f"{o.names(f'g:{res.name}')}{part}{view}" for part in parts]
    return out


def _fields_of(o: OpText, state: str) -> list[Field]:
    return [f for f in o.program.fields if f.of == state]


def start_lines(o: OpText, state: str, states: bool) -> list[str]:
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


def before_lines(o: OpText, lets: Iterable[Let]) -> tuple[str, ...]:
    """Which fields before each token the assignments read, worked out from those after."""
    read = {n.name for let in lets for n in walk(let.node) if isinstance(n, Ref) and n.offset}
    if not o.program.linear and lets:
        read |= {f.name for f in o.program.fields} if any(let.name.startswith("d:") for let in lets) else set()
    names = o.names
    return tuple(
        f"{names(f'{f.name}:prev')} = _before({names(f.name)}, {names(f'{f.name}:0')})"
        for f in o.program.fields
        if f.name in read
    )


def solver_lines(
    o: OpText, update: tuple[Let, ...], update_back: tuple[Let, ...]
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The lines that solve for the fields of a chunk, and for their cotangents."""
    late = _late_reads(o)
    if o.program.linear:
        forward = [line for port in o.program.ports for line in _scan(o, port)]
        back = [line for port in o.program.ports for line in _scan_back(o, port)]
        return tuple(forward), (*late, *back, *_left_over(o))
    names, fields = o.names, [f.name for f in o.program.fields]
    tokens = tuple_of(names(n) for n in inputs_of(o, update)) if inputs_of(o, update) else "()"
    starts = tuple_of(names(f"{f}:0") for f in fields)
    forward = [f"{targets(names(f) for f in fields)} = _walk(update, {tokens}, {starts}, j_t - i_t)"]
    tokens_back = tuple_of(names(n) for n in inputs_of(o, update_back)) if inputs_of(o, update_back) else "()"
    previous = tuple_of(names(f"{f}:prev") for f in fields)
    reads = tuple_of(_read(o, f) for f in o.program.fields)
    carries = tuple_of(names(f"d:{f}:0") for f in fields)
    result = tuple_of(names(f"d:{f}") for f in fields)
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


def result_parts(o: OpText) -> list[tuple[str, tuple[str, ...]]]:
    """The real parts of the results with their atoms."""
    return [(part, res.atoms) for res in o.program.results for part in res.parts]


def collected_part(o: OpText, part: str, atoms: tuple[str, ...]) -> tuple[str, str, str]:
    """(name of the list, its sizes, the code of one chunk) of a part of a result."""
    f = part if part in {x.name for x in o.program.fields} else None
    code = o.names(part) if f else o.expanded(part, atoms, "-1, -1, ")
    return o.names(f"{part}:chunks"), "".join(f", {s}" for s in o.shape(o.sorted(atoms))), code


def returned_results(o: OpText) -> list[str]:
    """The results as they leave the op."""
    out = []
    flip = ".flip(1)" if o.r.reverse else ""
    for res in o.program.results:
        _, back = o.view(res.axes)
        parts = [f"torch.cat({o.names(f'{p}:chunks')}, 1){flip}" for p in res.parts]
        if len(parts) == 1:
            out.append(f"_as({parts[0]}{back}, {o.dtype_of(res.name, 'dtype', 'y_dtype')})")
        else:
            out.append(f"torch.complex({', '.join(parts)}){back}")
    return out


def returned_states(o: OpText) -> list[str]:
    """The last states as they leave the op."""
    out = []
    for c in o.r.carried:
        _, back = o.view(c.axes)
        parts = [o.names(f"{f.name}:0") for f in _fields_of(o, c.of)]
        value = parts[0] if len(parts) == 1 else f"torch.complex({', '.join(parts)})"
        out.append(f"_own({value}{back})")
    return out


def accumulated_atoms(o: OpText, name: str) -> tuple[str, ...]:
    """The atoms of a cotangent that is summed over time."""
    own = name.removeprefix("d:")
    found = next((x.atoms for x in o.program.hoisted if x.name == own), None)
    return found if found is not None else next(x.operand.atoms for x in o.program.leaves if x.name == own)


def accumulated_shape(o: OpText, name: str) -> tuple[str, ...]:
    """Its sizes."""
    return o.shape(o.sorted(accumulated_atoms(o, name)))


def token_gradient(o: OpText, leaf: Leaf) -> str:
    """The cotangent of a streaming leaf, at every index."""
    return o.expanded(o.program.adjoint.gradients[leaf.name], leaf.operand.atoms, "-1, -1, ")


def joined_line(o: OpText, i: int, leaf: Leaf) -> str:
    """The whole cotangent of a streaming leaf from those of the chunks, which stand last to first."""
    shape = "".join(f", {s}" for s in o.shape(o.sorted(leaf.operand.atoms)))
    first = o.names(next(x for x in o.program.leaves if x.operand.token).operand.name)
    flip = ".flip(1)" if o.r.reverse else ""
    empty = f"{first}.new_empty(rows, 0{shape}, dtype=dtype)"
    return f"{o.names(f'd:{leaf.name}')} = _joined(grads, {i}, {empty}){flip}"


def returned_gradient(o: OpText, operand: Operand) -> str:
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
    return f"torch.complex({', '.join(both)}){back}.to(inputs[{index}].dtype).contiguous()"


def returned_state_gradients(o: OpText) -> list[str]:
    """The cotangents of the initial states."""
    out = []
    for i, c in enumerate(o.r.carried):
        _, back = o.view(c.axes)
        parts = [o.names(f"d:{f.name}:0") for f in _fields_of(o, c.of)]
        value = parts[0] if len(parts) == 1 else f"torch.complex({', '.join(parts)})"
        out.append(f"_state_gradient({value}{back}, inputs[{len(o.operands) + i}])")
    return out
