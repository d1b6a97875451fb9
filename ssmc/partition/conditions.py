"""What an op gives is numbers: conditions of its values that others read are worked out again, outside, from what they
compare."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from ssmc.ir.regions import Definition
from ssmc.partition.decays import fresh, renamed
from ssmc.partition.fuse import Fused


def own_conditions(
    definitions: Mapping[str, Definition], f: Fused, outside: set[str], taken: set[str]
) -> dict[str, Definition] | None:
    """The definitions with no condition of an op for others to read, None if there was none: what follows the op's
    component is to stay `outside`, and of what is in it there is a copy."""
    members, out = {*f.prologue, *f.component, *f.epilogue}, dict(definitions)
    conditions = [n for n in f.results if out[n].dtype == "bool"]
    for name in conditions:
        own = name if name in f.epilogue else fresh(name, taken)
        outside.add(own)
        if own != name:
            out = {n: d if n in members else replace(d, node=renamed(d.node, name, own)) for n, d in out.items()}
            out[own] = replace(out[name], name=own, state=False, anonymous=True)
    return out if conditions else None
