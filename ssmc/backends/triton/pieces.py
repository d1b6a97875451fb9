"""Time in pieces: kernels that make one step of each piece, so that pieces can be walked at once."""

from __future__ import annotations

from ssmc.backends.triton.contexts import Coefficient, FieldText, Kernel, Moved, Pieces
from ssmc.backends.triton.kernel_op import Kernels
from ssmc.backends.triton.tiles import Locals


def pieces(k: Kernels) -> Pieces | None:
    """The contexts of an op's pieces; None where its fields are no scan."""
    q = k.q
    if q.decay is None:
        return None
    port, c = k.p.ports[0], k.p.recurrence.carried[0]
    loc = Locals(k.tile)
    k.hoist(loc), k.index(loc, q.update, q.decay)
    fields = k.fields(loc)
    leaves = k.used(q.update, q.decay)
    forward = k.kernel(loc, leaves, [k.state_name(c, "a"), k.state_name(c, "b")], ())
    tokens = [f"{k.e.name((n, 0))}" for n in q.decay.outputs]
    products = [k.memory.fresh(f"b_{k.name(f.name)}_product") for f in k.p.fields]
    coefficients = []
    for i, (f, text) in enumerate(zip(k.p.fields, fields, strict=True)):
        if len(products) == 1:
            code = f"{_full(k, tokens[0])} * {products[0]}"
        elif i == 0:
            code = f"{_full(k, tokens[0])} * {products[0]} - {_full(k, tokens[1])} * {products[1]}"
        else:
            code = f"{_full(k, tokens[0])} * {products[1]} + {_full(k, tokens[1])} * {products[0]}"
        coefficients.append(
            Coefficient(
                products[i],
                tokens[i],
                text.shape,
                "1.0" if i == 0 else "0.0",
                k.memory.fresh(f"b_{k.name(f.name)}_next"),
                code,
            )
        )
    update = k.call(q.update, loc, "j", k.before("{}"))
    decay = k.call(q.decay, loc, "j")
    moved = tuple(x.again for x in fields)
    backward = None
    decay_back = wants = wanted = ""
    pulled: list[Moved] = []
    if q.wants is not None:
        loc_b = Locals(k.tile)
        k.hoist(loc_b), k.fields(loc_b), k.index(loc_b, q.decay, q.wants)
        read = {k[0] for k in q.wants.inputs}
        seen = [r for r in k.p.results if any(f"g:{part}" in read for part in r.parts)]
        k.seed_loads(seen, read, loc_b)
        tensors = [*(k.name(f"g:{r.name}") for r in seen), k.state_name(c, "b")]
        kernel = k.kernel(loc_b, k.used(q.decay, q.wants), tensors, (), seen)
        backward = Kernel(
            kernel.tensors,
            kernel.strides,
            kernel.constants,
            kernel.locals,
            kernel.streams,
            (*kernel.loads, *k.seed_loads(seen, read, loc_b)),
            (),
            (),
        )
        decay_back = k.call(q.decay, loc_b, "j")
        wants = k.call(q.wants, loc_b, "j")
        wanted = ", ".join(k.e.name((n, 0)) for n in q.wants.outputs)
        pulled = _pulled(k, tokens, fields)
    assert port.coefficient == q.decay.outputs
    return Pieces(
        forward,
        k.state_name(c, "a"),
        k.state_name(c, "b"),
        tuple(coefficients),
        ", ".join(tokens),
        decay,
        ", ".join(moved),
        update,
        tuple((x.value, n) for x, n in zip(fields, moved, strict=True)),
        tuple(zip(fields, coefficients, strict=True)),
        fields,
        backward,
        decay_back,
        wanted,
        wants,
        tuple(pulled),
    )


def _pulled(k: Kernels, tokens: list[str], fields: tuple[FieldText, ...]) -> list[Moved]:
    """The cotangents of the fields before a token: what is wanted after it, times the coefficient's conjugate, and
    what is wanted before it."""
    a = k.p.adjoint
    totals, out = [], []
    for f, x in zip(k.p.fields, fields, strict=True):
        read = a.reads.get(f.name)
        totals.append(f"({x.cotangent} + {_wanted(k, read)})" if read else x.cotangent)
    for i, (f, x) in enumerate(zip(k.p.fields, fields, strict=True)):
        if len(fields) == 1:
            code = f"{_full(k, tokens[0])} * {totals[0]}"
        else:
            sign = "+" if i == 0 else "-"
            code = f"{_full(k, tokens[0])} * {totals[i]} {sign} {_full(k, tokens[1])} * {totals[1 - i]}"
        before = a.reads_before.get(f.name)
        out.append(Moved(x.cotangent, f"{x.cotangent}_j", code + (f" + {_wanted(k, before)}" if before else "")))
    return out


def _full(k: Kernels, token: str) -> str:
    assert k.q.decay is not None
    n = [k.e.name((x, 0)) for x in k.q.decay.outputs].index(token)
    return _on(token, k.q.decay.dims[n], k.tile.full)


def _wanted(k: Kernels, name: str) -> str:
    assert k.q.wants is not None
    return _on(k.e.name((name, 0)), k.q.wants.dims[k.q.wants.outputs.index(name)], k.tile.full)


def _on(code: str, own: tuple[int, ...], target: tuple[int, ...]) -> str:
    return code if own == target or not own else f"{code}[{', '.join(':' if d in own else 'None' for d in target)}]"
