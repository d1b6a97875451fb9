"""One section of straight-line assignments: every one reads what is bound before it, on the axes it has."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from ssmc.ir.expr import refs
from ssmc.ir.program import Let
from ssmc.ir.verify.nodes import check_node, demand

Bound = dict[
    str, tuple[frozenset[str], frozenset[str], str]
]  # the axes a name varies along, those it stands for, its type


def given_on(atoms: Iterable[str], dtype: str) -> tuple[frozenset[str], frozenset[str], str]:
    """A name that varies along all axes it stands for."""
    return frozenset(atoms), frozenset(atoms), dtype


def section(
    lets: Iterable[Let], known: Mapping[str, tuple[frozenset[str], frozenset[str], str]], late: Bound, law: str
) -> Bound:
    """Every assignment reads what is bound before it, on the axes it has."""
    bound = dict(known)
    for let in lets:
        what = f"`{let.name}`"
        check_node(let.node, what, position=False, complex_ok=False)
        demand(set(let.node.axes) <= set(let.atoms), what, f"its expression has no axes beside {let.atoms}")
        for r in refs(let.node):
            demand(r.init is None, what, f"`{r.name}` starts from what its field says")
            demand(r.offset in (0, -1), what, f"`{r.name}` is read at this token or before it")
            source = late if r.offset else bound
            demand(r.name in source, what, f"{law}, not `{r.name}`{' of the token before' if r.offset else ''}")
            varies, stands, dtype = source[r.name]
            demand(
                varies <= set(r.axes) <= stands,
                what,
                f"`{r.name}` is read on axes it has, {sorted(stands)}, not on {r.axes}",
            )
            demand(r.dtype == dtype, what, f"`{r.name}` is read as the {dtype} value it is")
        bound[let.name] = frozenset(let.node.axes), frozenset(let.atoms), let.node.dtype
    return bound
