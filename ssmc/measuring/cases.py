"""A table of cases as data: which specs at which sizes, what is timed, and what it must reach. `bench/table.toml` says
what its keys mean."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from ssmc.explain.counts import Value
from ssmc.measuring.calls import Drawn, Shape
from ssmc.measuring.floor import BOTH, FORWARD, STEP
from ssmc.measuring.layers import AROUND, LAYER
from ssmc.measuring.toml import read_toml

WORDS = {"forward": FORWARD, "both": BOTH, "step": STEP, "layer": LAYER, "around": AROUND}
_TINY = {"batch": 2, "length": 40, "size": 8}


@dataclass(frozen=True)
class Case:
    """One line of the table."""

    name: str
    spec: str
    args: Mapping[str, Value]
    batch: int
    length: int
    what: tuple[str, ...] = (FORWARD, BOTH)
    dtype: str = "bfloat16"
    graph: bool = False
    first: bool = False
    lengths: int = 0
    beside: str = ""
    peer: str = ""
    goals: Mapping[str, float] = field(default_factory=dict)
    small: Mapping[str, Value] = field(default_factory=dict)
    ranges: Mapping[str, tuple[float, float]] = field(default_factory=dict)
    wide: tuple[str, ...] = ()

    @property
    def shape(self) -> Shape:
        """Its sizes."""
        return Shape(self.batch, self.length, self.args)

    @property
    def drawn(self) -> Drawn:
        """How its inputs are drawn."""
        return Drawn(self.ranges, self.wide)

    def tiny(self) -> Case:
        """The same with sizes that a CPU gets through at once."""
        args = {k: min(v, _TINY["size"]) if type(v) is int else v for k, v in self.args.items()}
        return replace(
            self, args={**args, **self.small}, batch=min(self.batch, _TINY["batch"]),
            length=min(self.length, _TINY["length"]), lengths=min(self.lengths, 3),
        )  # fmt: skip


def read_cases(path: Path) -> list[Case]:
    """The cases of a file; raises ValueError if it holds none."""
    out = []
    for n, given in enumerate(read_toml(path).get("case", []), 1):
        try:
            what = tuple(WORDS[w] for w in given.pop("what", ("forward", "both")))
            goals = {WORDS[k]: v for k, v in given.pop("goals", {}).items()}
            out.append(Case(what=what, goals=goals, wide=tuple(given.pop("wide", ())), **given))
        except (KeyError, TypeError) as error:
            raise ValueError(f"{path}: case {n}: {error}") from None
    unknown = {c.beside for c in out} - {c.name for c in out} - {""}
    if not out or unknown or len({c.name for c in out}) < len(out):
        raise ValueError(f"{path}: no cases, two of one name, or one beside a case that is not there")
    return out


def chosen(cases: list[Case], names: list[str]) -> list[Case]:
    """Those whose names are given, or begin with what is given; all if nothing is; raises ValueError for a name of
    none."""
    for name in names:
        if not any(c.name.startswith(name) for c in cases):
            raise ValueError(f"no case begins with `{name}`; there are {', '.join(c.name for c in cases)}")
    exact = {c.name for c in cases} & set(names)
    begins = tuple(set(names) - exact)
    return [c for c in cases if not names or c.name in exact or (begins and c.name.startswith(begins))]
