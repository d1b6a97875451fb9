"""The way back of one op as text: a block's states made again from those kept, then token after token in reverse."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from ssmc.backends.triton.contexts import Backward, Store, Stream, Sum
from ssmc.backends.triton.equations import Key
from ssmc.backends.triton.kernel_op import WIDE, Kernels
from ssmc.backends.triton.memory import paired
from ssmc.backends.triton.tiles import Dims, Locals
from ssmc.ir.program import Leaf


def backward(k: Kernels) -> Backward:
    """The context of the kernel."""
    q, a, m, e, loc = k.q, k.p.adjoint, k.memory, k.e, Locals(k.tile)
    leaves = k.used(q.prepare, q.update, q.vjp)
    k.hoist(loc), k.index(loc, q.prepare, q.update, q.vjp)
    fields = k.fields(loc)
    seeds, wanted = k.seed_loads(loc, q.vjp), k.seeded(q.vjp)
    dims = dict(zip(q.vjp.outputs, q.vjp.dims, strict=True))
    given = [x for x in k.token_leaves if x.name in a.gradients]
    stores = [m.gradient(x, k.d_leaf(x), dims[a.gradients[x.name]], loc) for x in given]
    sums = tuple(Sum(e.name((n, 0)), f"{e.name((n, 0))}_j", k.tile.shape(dims[n])) for n in a.accumulated)
    lanes = [(k.d_leaf(x), dims[a.gradients[x.name]]) for x in given if k.tile.lacks_all(x.operand.atoms)]
    after, finals = _after(k, loc)
    tensors = [
        *(k.name(f"g:{r.name}") for r in wanted),
        *k.state_tensors("kept", "d_last"),
        *k.gradient_tensors(),
        *k.state_tensors("d_first"),
    ]
    many = {n: m.fresh(f"b_{k.name(n)}s") for n in q.prepared}
    before: dict[Key, str] = {(f.name, -1): f"{x.many}[j]" for f, x in zip(k.p.fields, fields, strict=True)}
    block = before | {(f.name, 0): f"{x.many}[j + 1]" for f, x in zip(k.p.fields, fields, strict=True)}
    block |= {(n, 0): f"{many[n]}[j]" for n in q.prepared}
    kernel = k.kernel(loc, leaves, tensors, wanted, stores, seeds=seeds, turned=k.state_tensors("d_last"))
    return Backward(
        kernel=replace(kernel, stores=_stores(k, given, stores)),
        lowest="(n - i_t - n_t)" if k.p.recurrence.reverse else "i_t",
        advance=k.advance(loc, ", ".join(f.again for f in fields), before),
        prepared=tuple((many[n], e.name((n, 0))) for n in q.prepared),
        vjp_block=k.call(q.vjp, loc, "j", block, WIDE),
        vjp_one=k.call(q.vjp, loc),
        parts=", ".join([*(f.back for f in fields), *(k.d_leaf(x) for x in given), *(s.part for s in sums)]),
        lane_sums=lane_sums(k, [(v, d) for v, d in lanes if 0 in d], loc),
        sums=sums,
        after=after,
        finals=finals,
    )


def _stores(k: Kernels, given: list[Leaf], stores: list[tuple[Stream, Store]]) -> tuple[Store, ...]:
    """The stores of the leaves' cotangents, both parts of a complex number as one."""
    out: list[tuple[Stream, Store]] = []
    for name in dict.fromkeys(x.operand.name for x in given):
        parts = [(x, s) for x, s in zip(given, stores, strict=True) if x.operand.name == name]
        out += paired([s for _, s in parts], k.tile.dims(parts[0][0].operand.atoms))
    return tuple(s for _, s in out)


def lane_sums(k: Kernels, values: Sequence[tuple[str, Dims]], loc: Locals) -> tuple[str, ...]:
    """The lines that sum values over the lanes of a program, two at once where they are alike."""
    out = []
    rest = list(values)
    while rest:
        v, d = rest.pop(0)
        twin = next((x for x in rest if x[1] == d and len(d) > 1), None)
        names = [v]
        if twin is not None:
            rest.remove(twin)
            names.append(twin[0])
        out.append(f"{', '.join(names)} = {k.memory.over_lanes(names, d, loc)}")
    return tuple(out)


def _after(k: Kernels, loc: Locals) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The lines after the walk: from sums over time to the cotangents of parameters, and their stores."""
    q, a, m = k.q, k.p.adjoint, k.memory
    given: list[Leaf] = [x for x in k.parameters if x.name in a.gradients]
    after = [m.parameter(x, loc) for x in k.parameters if (x.name, 0) in q.hoist_vjp.inputs]
    dims = dict(zip(q.hoist_vjp.outputs, q.hoist_vjp.dims, strict=True))
    if q.hoist_vjp.lines:
        targets = ", ".join(k.d_leaf(x) for x in given)
        after.append(f"{targets} = {k.e.call(q.hoist_vjp, {}, k.index(loc, q.hoist_vjp))}")
    finals = []
    for x in given:
        value = k.d_leaf(x) if q.hoist_vjp.lines else k.e.name((a.gradients[x.name], 0))
        finals.append(m.sum_store(x, value, dims[a.gradients[x.name]], loc))
    return tuple(after), tuple(finals)
