"""Log scales: results of recurrences of which other recurrences make exponentials.

A running maximum of 15 is 15 +- 0.03 in 16 bits, and what is multiplied by its exponential is 3 % wrong. Such results
stay in float32 between ops, and so does what is made of them pointwise, unless a module or the layer's caller takes any
of it.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from ssmc.ir.expr import Pointwise, Ref, walk
from ssmc.ir.regions import Definition, Partition, Recurrence

EXPONENTIALS = ("exp", "expm1")


def with_scales(p: Partition) -> Partition:
    """The partition with `scales`, and its recurrences with operands that are `wide`."""
    found: set[str] = set()
    for r in p.recurrences.values():
        for name in r.results:
            made = _made_of(name, p) if r.definitions[name].dtype == "real" else None
            if made is not None and _exponents(made, p):
                found |= made
    marked = {n: _marked(r, found) for n, r in p.recurrences.items()}
    return replace(p, recurrences=marked, scales=tuple(sorted(found)))


def _made_of(name: str, p: Partition) -> set[str] | None:
    """A value and all that is made of it pointwise; None, if any of it goes elsewhere than into an op."""
    found, pending = {name}, [name]
    while pending:
        own = pending.pop()
        if own == p.layer.result:
            return None
        for region in p.regions:
            if own not in region.reads or region.kind == "op":
                continue
            if region.kind not in ("pointwise", "delay"):
                return None
            pending += [w for w in region.writes if w not in found]
            found |= set(region.writes)
    return found


def _exponents(names: set[str], p: Partition) -> bool:
    """Whether an exponential is taken of something that is made of these."""
    outside = [p.definitions[n] for n in sorted(names) if n in p.definitions]
    inside = [r.definitions.values() for r in p.recurrences.values() if names & {o.name for o in r.operands}]
    return any(_exponential(group, names) for group in [outside, *inside])


def _exponential(definitions: Iterable[Definition], names: set[str]) -> bool:
    reached = set(names)
    for d in definitions:
        if any(isinstance(n, Pointwise) and n.fn in EXPONENTIALS and _reads(n, reached) for n in walk(d.node)):
            return True
        if _reads(d.node, reached):
            reached.add(d.name)
    return False


def _reads(node: object, names: set[str]) -> bool:
    return any(isinstance(n, Ref) and n.name in names for n in walk(node))  # type: ignore[arg-type]


def _marked(r: Recurrence, scales: set[str]) -> Recurrence:
    """Its operands among the scales do not decide on the dtype of its results, unless no other does."""
    if all(o.name in scales for o in r.operands if o.streams):
        return r
    return replace(r, operands=tuple(replace(o, wide=True) if o.name in scales else o for o in r.operands))
