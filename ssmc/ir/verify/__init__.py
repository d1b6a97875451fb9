"""The invariants of every level, executable: what a pass may rely on and the next one must keep.

A broken one is a mistake of the compiler, never of a spec. The tests run every compilation with verification on
(`driver.run(..., verify=True)`); in production it is off, since it costs more than compiling.
"""

from __future__ import annotations

from typing import Protocol

from ssmc.ir.layer import Layer
from ssmc.ir.plan import Plan
from ssmc.ir.regions import Partition
from ssmc.ir.verify.layers import verify_layer
from ssmc.ir.verify.nodes import InternalError
from ssmc.ir.verify.partitions import verify_partition
from ssmc.ir.verify.plans import verify_plan
from ssmc.ir.verify.programs import verify_program

__all__ = ["InternalError", "verify", "verify_layer", "verify_partition", "verify_plan", "verify_program"]


class Levels(Protocol):
    """What a compilation reached: `driver.Compilation`."""

    @property
    def layer(self) -> Layer | None:
        """After `analyze`."""

    @property
    def partition(self) -> Partition | None:
        """After `partition`."""

    @property
    def plan(self) -> Plan | None:
        """After `plan`."""


def verify(done: Levels) -> None:
    """Check every level that a compilation reached; raises InternalError."""
    if done.layer is not None:
        verify_layer(done.layer)
    if done.partition is not None:
        verify_layer(done.partition.layer)
        verify_partition(done.partition)
    if done.plan is not None:
        verify_plan(done.plan)
