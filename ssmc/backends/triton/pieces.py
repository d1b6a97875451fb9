"""Time in pieces: each made one step of the recurrence, forward and in reverse, so that pieces can be walked at once.

In reverse a piece takes the cotangent of the state after it to that of the state before it. Both are worked out in one
walk forward in time: the cotangent before is the sum of what each token's reads want, times the product of the
coefficients up to that token, which the walk has at hand.
"""

from __future__ import annotations

from ssmc.backends.triton.contexts import Coefficient, Kernel, Pieces, Token
from ssmc.backends.triton.equations import Equation
from ssmc.backends.triton.kernel_op import WIDE, Kernels
from ssmc.backends.triton.tiles import Locals


def pieces(k: Kernels) -> Pieces | None:
    """The contexts of an op's pieces; None where its fields are no scan."""
    q = k.q
    if q.decay is None:
        return None
    c = k.p.recurrence.carried[0]
    loc = Locals(k.tile)
    reads = (q.wants,) if q.wants is not None else ()
    needed, wanted_too = k.used(q.prepare, q.decay), k.used(*reads)
    own = [x for x in k.used(q.prepare, q.update, q.decay) if x in needed or x in wanted_too]
    fed = [x for x in k.used(q.update) if x not in own]
    more = [x for x in wanted_too if x not in own]
    k.hoist(loc), k.index(loc, q.prepare, q.update, q.decay, *reads)
    fields = k.fields(loc)
    seeds, results = k.seed_loads(loc, *reads), k.seeded(*reads)
    rooms = [k.state_name(c, kind) for kind in ("a", "b", *(["wanted"] if reads else []))]
    tensors = [*(k.name(f"g:{r.name}") for r in results), *rooms]
    kernel = k.kernel(loc, [*own, *fed, *more], tensors, results, seeds=seeds, turned=rooms)
    first, second = ({k.memory.pointer(o.name) for o in k.streamed(leaves)} for leaves in (own, fed))
    loads, fed_loads = kernel.loads[: len(own)], kernel.loads[len(own) : len(own) + len(fed)]
    products = [k.memory.fresh(f"b_{k.name(f.name)}_product") for f in k.p.fields]
    coefficients = tuple(
        Coefficient(product, x.shape, "0.0" if i else "1.0")
        for i, (product, x) in enumerate(zip(products, fields, strict=True))
    )
    advance = k.advance(loc, k.names(q.update), k.before("{}"))
    multiply = _multiplied(k, q.decay, loc, products)
    sums = [k.memory.fresh(f"b_{k.name(f.name)}_wanted") for f in k.p.fields]
    back: tuple[str, ...] = ()
    before: list[str] = []
    stored_back = []
    if q.wants is not None:
        summed = _summed(k, q.wants, products, sums)
        before = [f"{n}_before = {n}" for n in products] if k.p.adjoint.reads_before else []
        wanted = f"{k.names(q.wants)} = {k.call(q.wants, loc, 'j', None, WIDE)}"
        back = (wanted, *summed)
        stored_back = list(zip(fields, coefficients, sums, strict=True))
    return Pieces(
        kernel=kernel,
        loads=loads,
        fed_loads=fed_loads,
        rows=k.memory.rows(loads),
        fed_rows=k.memory.rows(fed_loads),
        cut_rows=k.memory.rows(kernel.loads[len(own) + len(fed) :]),
        streams=tuple(s for s in kernel.streams if s.pointer in first),
        fed_streams=tuple(s for s in kernel.streams if s.pointer in second - first),
        cut_streams=tuple(s for s in kernel.streams if s.pointer not in first | second),
        a=rooms[0],
        b=rooms[1],
        wanted=rooms[-1],
        coefficients=coefficients,
        token=Token((*advance.block[:-1], *multiply.block), (*advance.one[:-1], *multiply.one)),
        fed=Token(advance.block[-1:], advance.one[-1:]),
        stored=tuple(zip(fields, coefficients, strict=True)),
        sums=tuple((n, x.shape) for n, x in zip(sums, fields, strict=True)),
        before=tuple(before),
        back=back,
        stored_back=tuple(stored_back),
    )


def keep(k: Kernels) -> Kernel:
    """The walk that keeps states for the way back."""
    q, loc = k.q, Locals(k.tile)
    k.hoist(loc), k.fields(loc), k.index(loc, q.prepare, q.update)
    tensors = k.state_tensors("first", "kept")
    return k.kernel(loc, k.used(q.prepare, q.update), tensors, turned=k.state_tensors("first"))


def _multiplied(k: Kernels, decay: Equation, loc: Locals, products: list[str]) -> Token:
    """A token's coefficients, and the running products of them."""
    a = [_full(k, decay, n) for n in decay.outputs]
    if len(products) == 1:
        line = f"{products[0]} = {a[0]} * {products[0]}"
    else:
        re, im = products
        line = f"{re}, {im} = {a[0]} * {re} - {a[1]} * {im}, {a[0]} * {im} + {a[1]} * {re}"
    block, one = (
        (f"{k.names(decay)} = {k.call(decay, loc, j, None, WIDE if j else '')}", line) for j in ("j", "")
    )
    return Token(block, one)


def _summed(k: Kernels, wants: Equation, products: list[str], sums: list[str]) -> list[str]:
    """What a token's reads want of the state before the piece: times the conjugate of the product up to the token, or,
    where they read the state before it, up to the token before."""
    a, out = k.p.adjoint, []
    for names, suffix in ((a.reads, ""), (a.reads_before, "_before")):
        w = [_full(k, wants, names[f.name]) if f.name in names else "" for f in k.p.fields]
        p = [f"{n}{suffix}" for n in products]
        for i, s in enumerate(sums):
            if len(sums) == 1:
                terms = [f"{p[0]} * {w[0]}"] if w[0] else []
            else:
                sign = "-" if i else ""
                terms = [f"{p[0]} * {w[i]}"] if w[i] else []
                terms += [f"{sign}{p[1]} * {w[1 - i]}"] if w[1 - i] else []
            out += [f"{s} += {' + '.join(terms).replace('+ -', '- ')}"] if terms else []
    return out


def _full(k: Kernels, e: Equation, name: str) -> str:
    """A function's output on the dimensions of a field."""
    own, target = e.dims[e.outputs.index(name)], k.tile.full
    code = k.e.name((name, 0))
    return code if own == target or not own else f"{code}[{', '.join(':' if d in own else 'None' for d in target)}]"
