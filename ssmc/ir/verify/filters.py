"""The invariants of an op's filter form."""

from __future__ import annotations

from ssmc.ir.program import FilterProgram, Program
from ssmc.ir.verify.nodes import demand, once
from ssmc.ir.verify.sections import given_on, section


def verify_filter(p: Program, f: FilterProgram) -> None:
    """Weights are known before time, streams and reads lie on channels, and every part has its adjoint."""
    r = p.recurrence
    what = f"the filter form of `{r.name}`"
    leaves = {leaf.name: leaf for leaf in p.leaves}
    lets = (*f.hoisted, *f.prologue, *f.epilogue)
    once((*leaves, *(let.name for let in lets), *(x.name for x in f.reads)), what)
    kinds = {"real": "real", "bool": "bool", "complex": "real"}
    given = {n: given_on(leaf.operand.atoms, kinds[leaf.operand.dtype]) for n, leaf in leaves.items()}
    early = {n: bound for n, bound in given.items() if not leaves[n].operand.token}
    hoisted = section(f.hoisted, early, {}, "what is hoisted reads no token")
    driven, reading = [n for x in f.streams for n in x.weights], [n for x in f.reads for n in x.weights]
    for n in (*f.coefficient, *driven, *reading):
        demand(n in hoisted, f"`{n}`", "a weight is known before time starts")
        demand(hoisted[n][0] <= {*r.channels, *r.inner}, f"`{n}`", "a weight lies on the state's axes")
    now = section(f.prologue, {**given, **hoisted}, {}, "the prologue reads no state")
    for x in f.streams:
        demand(x.name in now, f"`{x.name}`", "a stream is computed before the filters")
        demand(now[x.name][0] <= set(r.channels), f"`{x.name}`", "a stream has no axis that reads sum")
    reads = {x.name: given_on(r.channels, "real") for x in f.reads}
    now = section(f.epilogue, {**now, **reads}, {}, "the epilogue reads the state through reads only")
    _adjoint(p, f, {**now}, hoisted)


def _adjoint(p: Program, f: FilterProgram, forward, hoisted) -> None:  # type: ignore[no-untyped-def]
    """Reads' cotangents from the results'; leaves' from those of streams and weights."""
    a, channels = f.adjoint, p.recurrence.channels
    seeds = {f"g:{part}": given_on(res.atoms, "real") for res in p.results for part in res.parts}
    now = section(a.epilogue, {**forward, **seeds}, {}, "the epilogue's adjoint starts from the results'")
    for x in f.reads:
        demand(x.cotangent is None or x.cotangent in now, f"`{x.name}`", "a read's cotangent is computed")
    streams = {x.cotangent: given_on(channels, "real") for x in f.streams}
    now = section(a.prologue, {**now, **streams}, {}, "the prologue's adjoint starts from the streams'")
    own = {let.name: let.atoms for let in f.hoisted}
    own |= {leaf.name: leaf.operand.atoms for leaf in p.leaves if not leaf.operand.token}
    sums = {n: given_on(own[n.removeprefix("d:")], "real") for n in (*a.accumulated, *f.given)}
    section(a.hoisted, {**hoisted, **sums}, {}, "the hoisted adjoint starts from sums over time and from the filters'")
