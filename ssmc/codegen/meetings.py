"""Where gradients meet behind a convolution's kernel: those of two readers of its result are added in it, and that of
its input is written beside that of the other part of the same tensor, so that the two are one without a copy."""

from __future__ import annotations

from dataclasses import dataclass

from ssmc.ir.regions import Partition, Region


@dataclass(frozen=True, slots=True)
class Meeting:
    """`reader` is the op that is given a convolution's result beside some other region; `beside` is the other of the
    two parts of a linear's output, of which this convolution reads one. Either may be empty."""

    reader: str = ""
    beside: str = ""


def meetings(p: Partition, convs: frozenset[str], ops: frozenset[str]) -> dict[str, Meeting]:
    """Of these convolutions those at which gradients meet; `ops` write a gradient where its neighbour will be."""
    found = {
        r.name: Meeting(_reader(p, r), _beside(p, i, ops))
        for i, r in enumerate(p.regions)
        if r.kind == "conv" and r.name in convs
    }
    return {name: m for name, m in found.items() if m != Meeting()}


def _readers(p: Partition, name: str) -> list[Region]:
    return [r for r in p.regions if name in r.reads]


def _reader(p: Partition, conv: Region) -> str:
    """An op among several readers of a convolution's result."""
    readers = [r for w in conv.writes for r in _readers(p, w)]
    return next((r.name for r in readers if r.kind == "op" and len(readers) > 1), "")


def _beside(p: Partition, at: int, ops: frozenset[str]) -> str:
    """The other of the two parts of a linear's output, one of which only this convolution reads, if its one reader is
    an op behind the convolution, in all of whose lanes it has numbers of its own."""
    conv, later = p.regions[at], {r.name for r in p.regions[at:] if r.kind == "op" and r.name in ops}
    (read,) = conv.reads
    parts = next((m.outputs for m in p.layer.linears.values() if read in [o.name for o in m.outputs]), ())
    for o in parts:
        readers = [r.name for r in _readers(p, o.name)]
        if o.name != read and len(parts) == 2 and len(readers) == 1 and {*readers} <= later:
            channels = p.recurrences[readers[0]].channels
            if _readers(p, read) == [conv] and {*channels} <= {*p.layer.axes.atoms(o.axes)}:
                return o.name
    return ""
