"""Partition -> Plan: each recurrence's class, modes with reasons, and program."""

from __future__ import annotations

from ssmc.analysis.classify import classify
from ssmc.analysis.facts import positive_in
from ssmc.analysis.stability_report import report
from ssmc.diagnostics.sink import Sink
from ssmc.ir.classified import Classified
from ssmc.ir.equations import equations
from ssmc.ir.layer import Conv
from ssmc.ir.plan import ModeChoice, Plan, Planned, PlannedConv
from ssmc.ir.program import ConvProgram
from ssmc.ir.regions import Partition
from ssmc.lower.convolution import lower_conv
from ssmc.lower.program import lower
from ssmc.modes import modes
from ssmc.options import Options
from ssmc.structures import structure


def _legal(name: str, c: Classified) -> bool:
    return any(m.name == name and m.refuse(c) is None for m in modes())


def _conv(partition: Partition, c: Conv) -> ConvProgram:
    """A convolution with the value that is evaluated with it."""
    activation = partition.activations.get(c.name, "")
    return lower_conv(c, partition.layer.axes.atoms(c.output.axes), partition.definitions.get(activation))


def plan(partition: Partition, options: Options, sink: Sink) -> Plan | None:
    """The plan of a layer; under a forced mode a refusal is an error."""
    planned: list[Planned] = []
    triton = options.backend == "triton"
    positive = positive_in(partition)
    verdicts = report(partition.layer, sink)
    for r in partition.recurrences.values():
        c = classify(r, positive)
        choices: list[ModeChoice] = []
        for mode in modes():
            reason = mode.refuse(c)
            if reason is None and options.mode not in ("auto", mode.name):
                reason = f"`--mode {options.mode}` was asked for"
            choices.append(ModeChoice(mode.name, reason is None, reason or mode.why(c)))
        if options.mode != "auto":
            forced = next((m for m in choices if m.name == options.mode), None)
            if forced is None or not forced.allowed:
                why = forced.reason if forced else "there is no such mode"
                allowed = [m.name for m in choices if _legal(m.name, c)]
                sink.report(
                    "SSM0401",
                    f"`{options.mode}` cannot evaluate `{r.name}`",
                    r.span,
                    f"class {c.letter}, {c.title}",
                    notes=(why,),
                    help="the modes of this recurrence are " + ", ".join(f"`{m}`" for m in allowed),
                )
                continue
        s = structure(c.structure)
        if not s.kernel:
            sink.report(
                "SSM0402",
                f"`{r.name}` has no fast kernel",
                r.span,
                f"class {c.letter}, {c.title}",
                notes=(*c.reasons, "it is evaluated token by token on the eager backend: correct, and slow"),
            )
        stability = tuple(f"{v.property}: {v.verdict}" for v in verdicts.get(r.name, ()))
        planned.append(Planned(c, lower(c), tuple(choices), triton and s.kernel, equations(r), stability))
    if sink.failed:
        return None
    convs = tuple(PlannedConv(_conv(partition, c), triton) for c in partition.layer.convs.values())
    return Plan(partition, tuple(planned), options.settings, convs, mode=options.mode, backend=options.backend)
