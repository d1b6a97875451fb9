"""The Plan: for every recurrence its class, its modes with reasons, and its program. Output of `plan`, input of
`emit`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from ssmc.ir.classified import Classified
from ssmc.ir.layer import LayerArg
from ssmc.ir.program import ConvProgram, Program
from ssmc.ir.regions import Partition


@dataclass(frozen=True, slots=True)
class ModeChoice:
    """A mode of evaluation: allowed, or refused with a reason. Costs are per batch and token, as text."""

    name: str
    allowed: bool
    reason: str


@dataclass(frozen=True, slots=True)
class Planned:
    """One recurrence: what it is, how it may be evaluated, and its program."""

    classified: Classified
    program: Program
    modes: tuple[ModeChoice, ...]
    kernel: bool
    equations: tuple[str, ...]
    stability: tuple[str, ...]

    def summary(self) -> dict[str, object]:
        """What `PLAN` says of it."""
        return {
            "class": self.classified.letter,
            "title": self.classified.title,
            "modes": tuple(m.name for m in self.modes if m.allowed),
            "refused": {m.name: m.reason for m in self.modes if not m.allowed},
            "stability": self.stability,
        }


@dataclass(frozen=True, slots=True)
class PlannedConv:
    """One convolution: its program, and whether it gets a kernel of its own beside the eager formula."""

    program: ConvProgram
    kernel: bool


@dataclass(frozen=True, slots=True)
class Variant:
    """The layer under one choice of the flags that `__init__` decides."""

    values: tuple[bool | str, ...]
    partition: Partition


@dataclass(frozen=True, slots=True)
class Tuned:
    """The launch configuration found to be fastest on a device for an op, `what` of it (`forward`, `backward` or
    `step`) and just these sizes: the arguments of the op's `choose`, and the fields of its configuration."""

    device: str
    op: str
    what: str
    rows: int
    length: int
    lanes: int
    inner: int
    config: tuple[int | bool, ...]


@dataclass(frozen=True, slots=True)
class Plan:
    """The whole layer's plan. `flags` are the arguments tested by `if` that change nothing inside an op, so that
    `__init__` decides them; `variants` holds the layer under each of their values, the plan's own first. `tuned` is
    what was measured for the shapes `tuned_for`; without any the file has no place for it."""

    partition: Partition
    programs: tuple[Planned, ...]
    settings: Mapping[str, object]
    convs: tuple[PlannedConv, ...] = ()
    flags: tuple[LayerArg, ...] = ()
    variants: tuple[Variant, ...] = ()
    mode: str = "auto"
    backend: str = "triton"
    tuned_for: tuple[str, ...] = ()
    tuned: tuple[Tuned, ...] = ()

    @property
    def kernels(self) -> bool:
        """Whether kernels serve the layer: its recurrences or, where it has none, its convolutions."""
        return any(p.kernel for p in (self.programs or self.convs))

    def header(self) -> list[str]:
        """The plan in words, for the file's head."""
        out = [f"layer {self.partition.layer.name}"]
        for p in self.programs:
            r = p.program.recurrence
            out.append(f"    {r.name}: class {p.classified.letter} ({p.classified.title})")
            out += [f"        {line}" for line in p.equations]
        out.append("")
        for p in self.programs:
            for m in p.modes:
                out.append(f"plan: {p.program.recurrence.name}: {m.name} {'' if m.allowed else 'refused: '}{m.reason}")
        return out
