"""What lowering an expression needs to know about the place it stands in."""

from __future__ import annotations

from dataclasses import dataclass

from ssmc.ir.expr import Node


class Refused(Exception):
    """An expression could not be lowered; the diagnostic is already in the sink."""


@dataclass(frozen=True, slots=True)
class Context:
    """Where an expression stands: kind `value`, `init` or `size`; `own` the state whose update it is (None elsewhere),
    `continuous` whether that update is `h' =`; `local` the arguments of the `def`s being expanded."""

    kind: str
    own: str | None = None
    continuous: bool = False
    local: tuple[tuple[str, Node], ...] = ()
    depth: int = 0


VALUE, INIT, SIZE = Context("value"), Context("init"), Context("size")
