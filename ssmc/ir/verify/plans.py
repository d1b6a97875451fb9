"""The invariants of a Plan: its programs are those of the partition's recurrences, classified as they are evaluated."""

from __future__ import annotations

from ssmc.ir.expr import refs
from ssmc.ir.layer import Time
from ssmc.ir.plan import Plan, Planned
from ssmc.ir.program import ConvProgram
from ssmc.ir.verify.nodes import check_node, demand, once
from ssmc.ir.verify.partitions import verify_partition
from ssmc.ir.verify.programs import verify_program


def verify_plan(plan: Plan) -> None:
    """Every recurrence has one program; every variant of the layer is a partition with the same ops."""
    found = [planned.program.recurrence for planned in plan.programs]
    demand(found == list(plan.partition.recurrences.values()), "the plan", "every recurrence has a program, in order")
    for planned in plan.programs:
        _planned(planned)
        verify_program(planned.program)
    convs = [c.program for c in plan.convs]
    once((c.module for c in convs), "among the convolutions")
    demand({c.module for c in convs} == set(plan.partition.layer.convs), "the plan", "every convolution has a program")
    for c in convs:
        _conv(c)
    for variant in plan.variants:
        demand(len(variant.values) == len(plan.flags), "a variant", "it gives every flag a value")
        verify_partition(variant.partition)
        demand(
            list(variant.partition.recurrences) == list(plan.partition.recurrences), "a variant", "it has the same ops"
        )


def _planned(planned: Planned) -> None:
    c, p = planned.classified, planned.program
    what = f"op `{p.recurrence.name}`"
    demand(c.recurrence is p.recurrence, what, "it is classified and lowered from one recurrence")
    demand(c.structure == p.structure, what, "the program is of the class that was found")
    demand(any(m.allowed for m in planned.modes), what, "some mode evaluates it")
    demand(not p.ports or bool(c.linear), what, "only a linear recurrence has ports")
    if not c.linear:
        return
    demand(len(c.linear) == len(p.recurrence.carried), what, "every carried value has a coefficient and an input")
    times = {d.name: d.time for d in p.recurrence.definitions.values()}
    times |= {o.name: Time.TOKEN if o.token else Time.PARAMETER for o in p.recurrence.operands}
    carried = {k.of for k in p.recurrence.carried}
    for k, (a, x) in zip(p.recurrence.carried, c.linear, strict=True):
        for node, part in ((a, "coefficient"), (x, "input")):
            check_node(node, f"the {part} of `{k.of}`", position=False)
            demand(set(node.axes) <= set(k.atoms), f"the {part} of `{k.of}`", "it has no other axes than the state")
            demand(
                not any(r.name in carried for r in refs(node)), f"the {part} of `{k.of}`", "it is free of the states"
            )
    time = max((times[r.name] for a, _ in c.linear for r in refs(a)), default=Time.LITERAL)
    demand(time == c.coefficient_time, what, f"its coefficient is known at {time.name}")


def _conv(c: ConvProgram) -> None:
    """The activation leads from the sum to the result, its adjoint back."""
    what = f"convolution `{c.module}`"
    known = {c.pre}
    for section, extra in ((c.activation, set()), (c.adjoint, {c.seed})):
        known |= extra
        for let in section:
            check_node(let.node, f"`{let.name}`", position=False, complex_ok=False)
            names = {r.name for r in refs(let.node)}
            demand(names <= known, f"`{let.name}`", f"the activation reads its sum, not {sorted(names - known)}")
            demand(let.name not in known, f"`{let.name}`", f"a name is bound once in the {what}")
            known.add(let.name)
    demand({c.result, c.cotangent} <= known | {c.seed}, what, "its result and its cotangent are computed")
