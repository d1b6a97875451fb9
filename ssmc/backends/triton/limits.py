"""What fits: how many values the way back keeps in registers."""

from __future__ import annotations

from collections.abc import Iterable

from ssmc.backends.triton.contexts import Registers
from ssmc.backends.triton.equations import Equations, LayerEquations
from ssmc.backends.triton.tiles import Dims
from ssmc.ir.expr import Pointwise, walk

TESTED = (("3.6", "sm_90"),)  # (triton, architecture) pairs on which `pytest -m gpu` has passed: see bench/results
LIMIT, FIXED = 236, 44  # of the 255 a thread may have; addresses, masks, temporaries


def registers(e: Equations, q: LayerEquations) -> Registers:
    """The estimate of an op's walk back."""
    t, n_fields = e.tile, len(e.fields)
    accumulated = [d for n, d in zip(q.vjp.outputs, q.vjp.dims, strict=True) if n in e.p.adjoint.accumulated]
    fixed = [*([t.full] * (n_fields + 1)), *(e.dims(n) for n in q.held), *accumulated]
    read = [k for k in q.vjp.inputs if k[1] == 0 and (k[0] in q.tokens or k[0].startswith("g:"))]
    token = [*([t.full] * n_fields), *(e.dims(n) for n, _ in read), *_shared(e, q)]
    fixed_tiles, fixed_numbers = _split(fixed, t.full)
    tiles, numbers = _split(token, t.full)
    program = 256
    while program > 32 and program * n_fields > 256:
        program //= 2
    return Registers(str(program), str(FIXED + fixed_numbers), str(fixed_tiles), str(numbers), str(tiles), str(LIMIT))


def _shared(e: Equations, q: LayerEquations) -> list[Dims]:
    """Exponentials of the walk forward that the compiler keeps for the walk back."""
    lets = e.s.slice(e.fields)
    return [
        e.tile.dims(n.axes)
        for x in lets
        for n in walk(x.node)
        if isinstance(n, Pointwise) and n.fn in ("exp", "sigmoid", "tanh")
    ]


def _split(dims: Iterable[Dims], full: Dims) -> tuple[int, int]:
    """(tiles of the state, numbers beside them a thread holds)."""
    tiles = numbers = 0
    for d in dims:
        if d == full:
            tiles += 1
        else:
            numbers += 1 if not d else 2 if 0 in d else 4
    return tiles, numbers
