"""An op that gathers outer products, as a program around a core: log decay, key, value and queries in, reads out."""

from __future__ import annotations

from dataclasses import replace

from ssmc.calculus.reverse import cotangent_name
from ssmc.ir import build as b
from ssmc.ir.classified import Classified
from ssmc.ir.expr import Node
from ssmc.ir.linear import product, signed_factors
from ssmc.ir.program import Leaf, Let, OuterProgram, OuterQuery, Result
from ssmc.lower.around import CoreInput, Draft, around, seeds_of
from ssmc.lower.pairs import real
from ssmc.lower.rewriting import rewrite


def lower_outer(
    c: Classified,
    leaves: tuple[Leaf, ...],
    hoisted: list[Let],
    prologue: list[Let],
    epilogue: list[Let],
    results: tuple[Result, ...],
) -> OuterProgram | None:
    """The program of an op by chunks of matrix products; None if its class is another."""
    if isinstance(c.outer, str):
        return None
    o, span = c.outer, c.recurrence.carried[0].span
    draft = Draft(list(hoisted), list(prologue), [], leaves, span)
    parted = {x.name: _parted(x.weight, o.keys) for x in o.reads}
    decay_axes = (*o.heads, *o.keys) if o.by_key else o.heads
    inputs = []
    for name, node, axes in (
        ("outer:z", o.log_decay, decay_axes),
        ("outer:k", o.key, (*o.heads, *o.keys)),
        ("outer:v", o.value, (*o.heads, *o.values)),
        *((f"outer:q:{i}", parted[x.name][0], (*o.heads, *o.keys)) for i, x in enumerate(o.reads)),
    ):
        own = draft.token(name, real(rewrite(node)))
        inputs.append(CoreInput(own, axes, f"{cotangent_name(name)}:core"))
    reads = {x.name: f"{x.name}:state" for x in o.reads}
    rests = {x.name: x.rest for x in o.reads}
    for let in epilogue:
        if let.name in reads:
            scale = real(rewrite(parted[let.name][1]))
            state = b.mul(b.ref(reads[let.name], let.atoms, "real"), scale)
            draft.epilogue.append(replace(let, node=b.add(state, real(rewrite(rests[let.name])))))
        else:
            draft.epilogue.append(let)
    seeds = seeds_of(results, ())
    draft.hoist([*(name for name, _, _ in seeds), *(x.name for x in inputs)])
    done = around(draft, inputs, [], list(reads.values()), seeds)
    z, k, v, *queries = inputs
    return OuterProgram(
        hoisted=done.hoisted,
        prologue=done.prologue,
        epilogue=done.epilogue,
        decay=z.name,
        key=k.name,
        value=v.name,
        queries=tuple(
            OuterQuery(q.name, reads[x.name], x.late, q.cotangent, done.reads.get(reads[x.name]))
            for q, x in zip(queries, o.reads, strict=True)
        ),
        given=(z.cotangent, k.cotangent, v.cotangent),
        heads=o.heads,
        keys=o.keys,
        values=o.values,
        by_key=o.by_key,
        adjoint=done.adjoint,
    )


def _parted(weight: Node, keys: tuple[str, ...]) -> tuple[Node, Node]:
    """A weight as a query and what is the same for all keys, by which the read is multiplied: matrix products round
    what they are of, so they are given operands as they came."""
    own = [f for f in signed_factors(weight) if set(f.axes) & set(keys)]
    return product(own), product([f for f in signed_factors(weight) if f not in own])
