"""What fits: how many values the way back keeps in registers."""

from __future__ import annotations

from collections.abc import Iterable

from ssmc.backends.triton.contexts import Registers
from ssmc.backends.triton.equations import EXPENSIVE, Equations, LayerEquations
from ssmc.backends.triton.tiles import Dims
from ssmc.ir.expr import Pointwise, walk

TESTED = (("3.6", "sm_90"),)  # (triton, architecture) pairs on which `pytest -m gpu` has passed: see bench/results
LIMIT, FIXED = 236, 30  # of the 255 a thread may have; addresses, masks, temporaries
PROGRAM = 512  # numbers of state a warp owns: 16 a thread
LIGHT = 24  # operations a token up to which one warp an SM does them in the time that memory takes
BLOCK = 8  # tokens of a block forward, 2 where a token has a tile of its own


def registers(e: Equations, q: LayerEquations) -> Registers:
    """The estimate of an op's walk back, where a thread owns whole channels: what has no channel is held by all."""
    t, n_fields = e.tile, len(e.fields)
    accumulated = [d for n, d in zip(q.vjp.outputs, q.vjp.dims, strict=True) if n in e.p.adjoint.accumulated]
    read = {k[0] for f in (q.prepare, q.update, q.vjp) for k in f.inputs if k[1] == 0}
    held = [e.dims(n) for n in q.held if n in read]
    loaded = [n for n in read if n in q.tokens or n in q.prepared or n.startswith("g:")]
    shared = exponentials(e)
    fixed_tiles, fixed_numbers = _split([*([t.full] * n_fields), *held, *accumulated], t.full)
    tiles, numbers = _split([*([t.full] * n_fields), *(e.dims(n) for n in loaded)], t.full)
    program, wide = PROGRAM, len(t.full) > 1 and any(e.dims(n) == t.full for n in q.tokens)
    while program > 32 and program * n_fields > PROGRAM:
        program //= 2
    fixed_tiles += 3 * (n_fields - 1)  # of products of complex numbers
    inner = 0 if shared and len(t.full) > 1 else sum(d != t.full and any(d) for d in map(e.dims, q.tokens))
    keep = (3 if q.wants else 1) * n_fields + sum(d == t.full for d in held)
    forward = [x for x in q.tokens if x in {k[0] for f in (q.prepare, q.update, q.read) for k in f.inputs}]
    back = [n for n in read if n in q.tokens or n.startswith("g:")]
    counts = (FIXED + fixed_numbers, fixed_tiles, numbers, tiles + shared, LIMIT, n_fields, keep)
    own = (program, 2 if wide else BLOCK, inner, *counts, len(forward), len(back))
    return Registers(*map(str, own))


def light(e: Equations) -> bool:
    """Whether a token costs a lane so few operations that one warp an SM keeps up with memory if it loads far ahead."""
    nodes = [n for x in e.s.slice([*e.fields, *e.results]) for n in walk(x.node) if isinstance(n, Pointwise)]
    return len(e.tile.full) == 1 and sum(8 if n.fn in EXPENSIVE else 1 for n in nodes) <= LIGHT


def exponentials(e: Equations) -> int:
    """Exponentials of the walk forward, a tile each, that the compiler keeps for the walk back."""
    nodes = [n for x in e.s.slice(e.fields) for n in walk(x.node)]
    return sum(isinstance(n, Pointwise) and n.fn in EXPENSIVE and e.tile.dims(n.axes) == e.tile.full for n in nodes)


def _split(dims: Iterable[Dims], full: Dims) -> tuple[int, int]:
    """(tiles of the state, numbers beside them a thread holds); what lies along inner atoms comes as half a tile."""
    dims = list(dims)
    tiles = sum(d == full for d in dims)
    halves = sum(d != full and any(d) for d in dims)
    return tiles + (halves + 1) // 2, len(dims) - tiles - halves
