"""The invariants of an op's outer-product form."""

from __future__ import annotations

from ssmc.ir.program import OuterProgram, Program
from ssmc.ir.verify.nodes import demand, once
from ssmc.ir.verify.sections import given_on, section


def verify_outer(p: Program, f: OuterProgram) -> None:
    """The core's inputs are computed before it, on their own axes; the epilogue sees the state through reads only."""
    r, leaves = p.recurrence, {leaf.name: leaf for leaf in p.leaves}
    what = f"the outer-product form of `{r.name}`"
    lets = (*f.hoisted, *f.prologue, *f.epilogue)
    once((*leaves, *(let.name for let in lets), *(q.read for q in f.queries)), what)
    axes = (*f.heads, *f.keys, *f.values)
    demand(len(axes) == len(set(axes)) and set(axes) == set(r.carried[0].atoms), what, "its axes are the state's")
    kinds = {"real": "real", "bool": "bool", "complex": "real"}
    given = {n: given_on(leaf.operand.atoms, kinds[leaf.operand.dtype]) for n, leaf in leaves.items()}
    hoisted = section(f.hoisted, {n: x for n, x in given.items() if not leaves[n].operand.token}, {}, "no token")
    now = section(f.prologue, {**given, **hoisted}, {}, "the prologue reads no state")
    keyed, decay = {*f.heads, *f.keys}, {*f.heads, *(f.keys if f.by_key else ())}
    for name, allowed in ((f.decay, decay), (f.key, keyed), (f.value, {*f.heads, *f.values})):
        demand(name in now, f"`{name}`", "what the core is given is computed before it")
        demand(now[name][0] <= allowed, f"`{name}`", f"it lies on {sorted(allowed)}")
    for q in f.queries:
        demand(q.name in now and now[q.name][0] <= keyed, f"`{q.name}`", f"a query lies on {sorted(keyed)}")
    reads = {q.read: given_on((*f.heads, *f.values), "real") for q in f.queries}
    now = section(f.epilogue, {**now, **reads}, {}, "the epilogue sees the state through reads only")
    a = f.adjoint
    seeds = {f"g:{part}": given_on(res.atoms, "real") for res in p.results for part in res.parts}
    now = section(a.epilogue, {**now, **seeds}, {}, "the epilogue's adjoint starts from the results'")
    z, k, v = f.given
    wanted = {z: given_on((*f.heads, *(f.keys if f.by_key else ())), "real"), k: given_on((*f.heads, *f.keys), "real")}
    wanted |= {v: given_on((*f.heads, *f.values), "real")}
    wanted |= {q.wanted: given_on((*f.heads, *f.keys), "real") for q in f.queries}
    section(a.prologue, {**now, **wanted}, {}, "the prologue's adjoint starts from what the core wants")
