"""The eager functions of an op: chunks of tokens at once, the fields solved in between, the adjoint written out."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from ssmc.codegen.eager_pieces import (
    accumulated_atoms,
    accumulated_shape,
    before_lines,
    collected_part,
    inputs_of,
    joined_line,
    leaf_source,
    names_read,
    result_parts,
    returned_gradient,
    returned_results,
    returned_state_gradients,
    returned_states,
    seed_views,
    solver_inputs,
    solver_lines,
    start_lines,
    targets,
    token_gradient,
    tuple_of,
    walk_back_inputs,
    whole_leaf,
)
from ssmc.codegen.op_text import OpText
from ssmc.ir.program import Let
from ssmc.lower.share import slice_lets


@dataclass(frozen=True, slots=True)
class EagerOp:
    """The holes of `templates/eager/op.py.jinja`: parameter lists and tuples as text, bodies as lines."""

    stem: str
    first: str
    operands: str
    states: str
    scalars: str
    cotangents: str
    streams: str
    sizes: tuple[str, ...]
    parameters: tuple[str, ...]
    hoisted: tuple[str, ...]
    hoisted_all: tuple[str, ...]
    starts: tuple[str, ...]
    ends: tuple[str, ...]
    tokens: str
    chunk: str
    tokens_back: str
    chunk_back: str
    width: str
    reverse: bool
    linear: bool
    fields: str
    field_starts: str
    prologue: tuple[str, ...]
    solve: tuple[str, ...]
    advance: tuple[str, ...]
    next_starts: tuple[str, ...]
    before: tuple[str, ...]
    before_back: tuple[str, ...]
    epilogue: tuple[str, ...]
    collected: tuple[tuple[str, str, str], ...]
    returned: tuple[str, ...]
    update_parameters: str
    update: tuple[str, ...]
    update_back_parameters: str
    update_back: tuple[str, ...]
    carries: str
    replay: tuple[str, ...]
    replay_epilogue: tuple[str, ...]
    adjoint_epilogue: tuple[str, ...]
    solve_back: tuple[str, ...]
    adjoint: tuple[str, ...]
    zeros: tuple[str, ...]
    accumulate: tuple[str, ...]
    gradients: str
    hoisted_back: tuple[str, ...]
    joined: tuple[str, ...]
    returned_back: tuple[str, ...]


def eager_op(o: OpText) -> EagerOp:
    """Slices the program into the bodies the template needs."""
    p, a, names = o.program, o.program.adjoint, o.names
    fields = [f.name for f in p.fields]
    results = [part for res in p.results for part in res.parts]
    inner = [let for let in p.update if let.name not in fields]
    needed = solver_inputs(o)
    streaming = [leaf for leaf in p.leaves if leaf.operand.token]
    seeds = [f"g:{part}" for part in results]

    forward = slice_lets([*p.prologue, *inner, *p.epilogue], [*results, *needed])
    gradients = [a.gradients[leaf.name] for leaf in streaming if leaf.name in a.gradients]
    wanted = [*gradients, *a.accumulated, *needed, *a.reads.values(), *a.reads_before.values(), *walk_back_inputs(o)]
    everything = [*p.prologue, *inner, *p.epilogue, *a.epilogue, *a.update, *a.prologue]
    backward = slice_lets(everything, [*wanted, *names_read(o.let(n) for n in a.accumulated)])
    backward = tuple(let for let in backward if let.name not in a.accumulated)
    advance = slice_lets(p.prologue, needed)
    update = slice_lets(p.update, fields)
    update_back = slice_lets([*inner, *a.update], a.carries.values())
    early_back = names_read([*backward, *update, *update_back, *a.hoisted, *(o.let(n) for n in a.accumulated)]) | set(
        needed
    )

    def of(lets: Iterable[Let], group: Iterable[Let]) -> list[Let]:
        keep = {let.name for let in group}
        return [let for let in lets if let.name in keep]

    said: set[int] = set()
    states = [names(c.of) for c in o.r.carried]
    gradient_states = [names(f"g_last:{c.of}") for c in o.r.carried]
    solve, solve_back = solver_lines(o, update, update_back)
    return EagerOp(
        stem=o.stem,
        first=names(streaming[0].operand.name),
        operands=", ".join(names(x.name) for x in o.operands),
        states=", ".join(states),
        scalars="".join(f", {s.name}" for s in o.scalars),
        cotangents=", ".join([*(names(f"g:{res.name}") for res in p.results), *gradient_states]),
        streams=o.streams,
        sizes=o.size_lines(),
        parameters=_parameter_lines(o, p.hoisted),
        hoisted=_hoisted_lines(o, names_read([*forward, *update]) | set(needed)),
        hoisted_all=_hoisted_lines(o, early_back),
        starts=tuple(line for c in o.r.carried for line in start_lines(o, c.of, states=True)),
        ends=tuple(line for c in o.r.carried for line in start_lines(o, c.of, states=False)),
        tokens=tuple_of(whole_leaf(o, leaf) for leaf in streaming),
        chunk=targets(names(leaf.name) for leaf in streaming),
        tokens_back=tuple_of([*(whole_leaf(o, leaf) for leaf in streaming), *seed_views(o)]),
        chunk_back=targets(names(n) for n in (*(leaf.name for leaf in streaming), *seeds)),
        width=" * ".join(["rows", *o.shape(o.r.carried[0].atoms)]),
        reverse=o.r.reverse,
        linear=p.linear,
        fields=tuple_of(names(f) for f in fields),
        field_starts=tuple_of(names(f"{f}:0") for f in fields),
        prologue=o.lines(of(forward, p.prologue), said),
        solve=solve,
        advance=o.lines(advance),
        next_starts=tuple(f"{names(f'{f}:0')} = {names(f)}[:, -1]" for f in fields),
        before=before_lines(o, of(forward, [*inner, *p.epilogue])),
        before_back=before_lines(o, [*backward, *(o.let(n) for n in a.accumulated)]),
        epilogue=o.lines(of(forward, [*inner, *p.epilogue]), said),
        collected=tuple(collected_part(o, part, atoms) for part, atoms in result_parts(o)),
        returned=(*returned_results(o), *returned_states(o)),
        update_parameters=", ".join([*(names(n) for n in inputs_of(o, update)), *(names(f"{f}:prev") for f in fields)]),
        update=o.lines(update),
        update_back_parameters=", ".join(
            [
                *(names(n) for n in inputs_of(o, update_back)),
                *(names(f"{f}:prev") for f in fields),
                *(names(f"d:{f}") for f in fields),
            ]
        ),
        update_back=o.lines(update_back),
        carries=tuple_of(
            o.expanded(a.carries[f.name], f.atoms, "-1, ")
            if f.name in a.carries
            else f"torch.zeros_like({names(f'{f.name}:prev')})"
            for f in p.fields
        ),
        replay=o.lines(of(backward, p.prologue)),
        replay_epilogue=o.lines(of(backward, [*inner, *p.epilogue])),
        adjoint_epilogue=o.lines(of(backward, a.epilogue)),
        solve_back=solve_back,
        adjoint=o.lines(of(backward, [*a.update, *a.prologue])),
        zeros=tuple(
            f"{names(n)} = _zeros({', '.join([names(streaming[0].operand.name), 'dtype', *accumulated_shape(o, n)])})"
            for n in a.accumulated
        ),
        accumulate=tuple(f"{names(n)} = {names(n)} + {o.total(n, accumulated_atoms(o, n))}" for n in a.accumulated),
        gradients=tuple_of(token_gradient(o, leaf) for leaf in streaming if leaf.name in a.gradients),
        hoisted_back=o.lines(a.hoisted),
        joined=tuple(joined_line(o, i, leaf) for i, leaf in enumerate(x for x in streaming if x.name in a.gradients)),
        returned_back=(*(returned_gradient(o, x) for x in o.operands), *returned_state_gradients(o)),
    )


# --- what is known before time starts, in float64 where there is one: a rate's rounding grows with the length ---


def _parameter_lines(o: OpText, hoisted: Iterable[Let]) -> tuple[str, ...]:
    """The lines that load parameters."""
    early = names_read(hoisted)
    lines = []
    for leaf in o.program.leaves:
        if not leaf.operand.token:
            source, view = leaf_source(o, leaf), o.view(leaf.operand.axes)[0]
            code = f"_fine({source}){view}" if leaf.name in early else f"{source}.to(dtype){view}"
            lines.append(f"{o.names(leaf.name)} = {code}")
    return tuple(lines)


def _hoisted_lines(o: OpText, wanted: set[str]) -> tuple[str, ...]:
    """The lines that work out what parameters alone determine, then take what the tokens need in the dtype of the
    rest."""
    lets = slice_lets(o.program.hoisted, wanted)
    early = names_read(o.program.hoisted)
    leaves = [leaf.name for leaf in o.program.leaves if not leaf.operand.token and leaf.name in early]
    used = [n for n in (*leaves, *(let.name for let in lets)) if n in wanted]
    narrow = f"{targets(o.names(n) for n in used)} = _narrow(dtype, {', '.join(o.names(n) for n in used)})"
    return (*o.lines(lets), *((narrow,) if used else ()))
