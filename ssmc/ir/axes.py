"""Named axes. A composite axis (`E = H * P`, H slow) is seen by expressions as its factors, by tensors as one
dimension."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from ssmc.diagnostics.span import Span
from ssmc.ir.expr import Node


@dataclass(frozen=True, slots=True)
class Axis:
    """An axis, its size as an expression of the layer's arguments, and the axes it is ordered by (slow first)."""

    name: str
    size: Node
    factors: tuple[str, ...]
    span: Span


@dataclass(frozen=True, slots=True)
class AxisTable:
    """All axes of a layer in order of declaration. `split` names the composite axes whose factors are used by
    themselves;
    the others stay whole, so that what nobody splits reads as one dimension."""

    axes: dict[str, Axis]
    split: frozenset[str] = frozenset()

    def atoms(self, names: Iterable[str]) -> tuple[str, ...]:
        """The atoms a list of axes stands for, in order."""
        out: list[str] = []
        for name in names:
            axis = self.axes[name]
            out.extend(self.atoms(axis.factors) if axis.factors and name in self.split else (name,))
        return tuple(out)

    def union(self, groups: Iterable[tuple[str, ...]]) -> tuple[str, ...]:
        """The atoms of several nodes, in order of first appearance."""
        return tuple(dict.fromkeys(a for group in groups for a in group))

    def regroup(self, atoms: tuple[str, ...], preferred: Iterable[str]) -> tuple[str, ...]:
        """Atoms as tensor dimensions: runs that spell a preferred composite axis become that axis."""
        out = list(atoms)
        for name in preferred:
            run = list(self.atoms((name,)))
            if len(run) < 2:
                continue
            for i in range(len(out) - len(run) + 1):
                if out[i : i + len(run)] == run:
                    out[i : i + len(run)] = [name]
                    break
        return tuple(out)
