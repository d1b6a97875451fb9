"""The invariants of a Program and of its Adjoint."""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Mapping

import numpy as np

from ssmc.ir.expr import Arg, Ref, Size, refs, walk
from ssmc.ir.interpret import Array, align, evaluate
from ssmc.ir.program import Let, Port, Program
from ssmc.ir.verify.filters import verify_filter
from ssmc.ir.verify.nodes import demand, once
from ssmc.ir.verify.outer import verify_outer
from ssmc.ir.verify.sections import Bound, given_on, section

PARTS = {"real": ("",), "bool": ("",), "complex": ("re", "im")}


def verify_program(p: Program) -> None:
    """Straight-line, real, each section reading only what its name promises; the adjoint the same, backward."""
    r = p.recurrence
    fields = {f.name: f for f in p.fields}
    leaves = {leaf.name: leaf for leaf in p.leaves}
    wanted = [_part(c.of, part) for c in r.carried for part in PARTS[c.dtype]]
    demand(list(fields) == wanted, f"op `{r.name}`", "the fields are the parts of what is carried, in order")
    for leaf in p.leaves:
        demand(leaf.operand in r.operands, f"leaf `{leaf.name}`", "a leaf is of an operand")
        demand(
            leaf.name == _part(leaf.operand.name, leaf.part), f"leaf `{leaf.name}`", "a leaf is named after its part"
        )
        demand(leaf.part in PARTS[leaf.operand.dtype], f"leaf `{leaf.name}`", "a leaf is a part its operand has")
    forward = (*p.hoisted, *p.prologue, *p.update, *p.epilogue)
    once((*leaves, *(let.name for let in forward)), f"in the program `{r.name}`")
    kinds = {"real": "real", "bool": "bool", "complex": "real"}
    given = {leaf.name: given_on(leaf.operand.atoms, kinds[leaf.operand.dtype]) for leaf in p.leaves}
    early = {n: b for n, b in given.items() if not leaves[n].operand.token}
    late = {f.name: given_on(f.atoms, "real") for f in p.fields}
    hoisted = section(p.hoisted, early, {}, "what is hoisted reads no token")
    now = section(p.prologue, {**given, **hoisted}, {}, "the prologue reads no field")
    now = section(p.update, now, late, "the update reads the prologue and the fields before")
    for f in p.fields:
        let = next((x for x in p.update if x.name == f.name), None)
        demand(let is not None and let.atoms == f.atoms, f"field `{f.name}`", "the update computes every field")
    now = section(p.epilogue, now, late, "the epilogue reads what was computed")
    for res in p.results:
        for part in res.parts:
            demand(part in now, f"result `{res.name}`", "its parts are computed")
            demand(now[part][0] <= set(res.atoms), f"result `{res.name}`", "its parts have no other axes")
    _ports(p)
    _adjoint(p, now, hoisted)
    if p.filter is not None:
        verify_filter(p, p.filter)
    if p.outer is not None:
        verify_outer(p, p.outer)


def _part(name: str, part: str) -> str:
    return f"{name}:{part}" if part else name


# --- ports ---------------------------------------------------------------------------------------------------------


def _ports(p: Program) -> None:
    """A linear program's update is its ports': coefficient times the field before, plus the input."""
    if not p.ports:
        return
    demand(
        [n for port in p.ports for n in port.fields] == [f.name for f in p.fields],
        f"op `{p.recurrence.name}`",
        "every field has its port",
    )
    known = {leaf.name for leaf in p.leaves} | {let.name for let in (*p.hoisted, *p.prologue)}
    for port in p.ports:
        what = f"the port of `{port.fields[0]}`"
        demand(len(port.coefficient) == len(port.input) == len(port.fields), what, "it has a name a part")
        demand({*port.coefficient, *port.input} <= known, what, "its coefficient and input are known before the update")
        values = {let.name: let for let in p.update}
        env = _numbers(p)
        found = [_value(p, values[n], env, values) for n in port.fields]
        for part, x, y in zip(port.fields, found, _by_port(p, port, env), strict=True):
            demand(
                bool(np.allclose(x, y, rtol=1e-12, atol=1e-12)),
                f"`{part}`",
                "the update is coefficient times field plus input",
            )


def _numbers(p: Program) -> dict[str, Array]:
    """A number for every name at one index of all axes: the port's law is pointwise."""
    names = {r.name for let in (*p.hoisted, *p.prologue, *p.update) for r in refs(let.node)}
    names |= {leaf.name for leaf in p.leaves} | {let.name for let in (*p.hoisted, *p.prologue)}
    names |= {f"{f.name}:before" for f in p.fields}
    return {n: np.asarray(np.random.default_rng(zlib.crc32(n.encode())).normal()) for n in names}


def _value(p: Program, let: Let, env: dict[str, Array], update: dict[str, Let]) -> Array:
    sizes = dict.fromkeys(
        {a for n in walk(let.node) for a in n.axes} | {n.axis for n in walk(let.node) if isinstance(n, Size)}, 1
    )
    args = {n.name: 1.0 for n in walk(let.node) if isinstance(n, Arg)}
    fields = {f.name for f in p.fields}
    given: dict[Ref, Array] = {}
    for r in refs(let.node):
        if r.offset:
            x = env[f"{r.name}:before"]
        elif r.name in update and r.name not in fields:
            x = _value(p, update[r.name], env, update)
        else:
            x = env[r.name]
        given[r] = np.reshape(x, (1,) * len(r.axes))
    return np.reshape(align(evaluate(let.node, given, sizes, args), let.node.axes, let.node.axes), ())


def _by_port(p: Program, port: Port, env: dict[str, Array]) -> list[Array]:
    def whole(names: Iterable[str]) -> complex:
        parts = [complex(env[n].item()) for n in names]
        return parts[0] if len(parts) == 1 else parts[0] + 1j * parts[1]

    x = whole(port.coefficient) * whole(f"{n}:before" for n in port.fields) + whole(port.input)
    return [np.asarray(x.real), np.asarray(x.imag)][: len(port.fields)]


# --- adjoint -------------------------------------------------------------------------------------------------------


def _adjoint(p: Program, forward: Bound, hoisted: Bound) -> None:
    """Each section reads forward values and cotangents of the sections before; hoisted work reads sums over time."""
    a, fields = p.adjoint, {f.name: f for f in p.fields}
    late = {f.name: given_on(f.atoms, "real") for f in p.fields}
    seeds = {f"g:{part}": given_on(res.atoms, "real") for res in p.results for part in res.parts}
    whole = {f"d:{f.name}": given_on(f.atoms, "real") for f in p.fields}
    lets = (*a.epilogue, *a.update, *a.prologue, *a.hoisted)
    once((*forward, *seeds, *whole, *(let.name for let in lets)), f"in the adjoint of `{p.recurrence.name}`")
    now = section(a.epilogue, {**forward, **seeds}, late, "the epilogue's adjoint starts from the results'")
    _names(a.reads, fields, now, "what the epilogue wants of a field")
    _names(a.reads_before, fields, now, "what the epilogue wants of a field before")
    now = section(a.update, {**now, **whole}, late, "the update's adjoint starts from the fields'")
    _names(a.carries, fields, now, "what the update passes to a field before")
    now = section(a.prologue, now, late, "the prologue's adjoint reads what came before it")
    streams = {leaf.name for leaf in p.leaves if leaf.operand.token}
    own = {f"d:{leaf.name}": leaf.operand.atoms for leaf in p.leaves if not leaf.operand.token}
    own |= {f"d:{let.name}": let.atoms for let in p.hoisted}
    sums: Bound = {}
    for name in a.accumulated:
        demand(
            name in own, f"`{name}`", "what is summed over time is the cotangent of something known before time starts"
        )
        demand(name in now, f"`{name}`", "what is summed over time is computed at every token")
        sums[name] = now[name][0], frozenset(own[name]), "real"
    early = section(a.hoisted, {**hoisted, **sums}, {}, "the hoisted adjoint reads sums over time")
    for leaf in p.leaves:
        if leaf.name not in a.gradients:
            continue
        name = a.gradients[leaf.name]
        source = now if leaf.name in streams else {n: b for n, b in early.items() if n not in hoisted}
        demand(name in source, f"the gradient of `{leaf.name}`", f"`{name}` is computed where the leaf is known")
        demand(
            source[name][0] <= set(leaf.operand.atoms),
            f"the gradient of `{leaf.name}`",
            "it has no other axes than the leaf",
        )
    demand(set(a.gradients) <= {leaf.name for leaf in p.leaves}, f"op `{p.recurrence.name}`", "gradients are of leaves")


def _names(table: Mapping[str, str], fields: Mapping[str, object], bound: Bound, what: str) -> None:
    for field, name in table.items():
        demand(field in fields, f"`{field}`", f"{what} is of a field")
        demand(name in bound, f"`{name}`", f"{what} is computed")
