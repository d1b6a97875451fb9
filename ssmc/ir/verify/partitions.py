"""The invariants of a Partition and of the recurrences in it."""

from __future__ import annotations

from collections.abc import Iterable

from ssmc.ir.expr import Node, Reduce, Ref, Relabel, refs, walk
from ssmc.ir.layer import Layer, Time
from ssmc.ir.regions import Definition, Partition, Recurrence
from ssmc.ir.verify.layers import signatures
from ssmc.ir.verify.nodes import Signature, check_node, check_refs, demand, once, time_of

POSITION = "t"
Times = dict[str, Time]


def verify_partition(p: Partition) -> None:
    """Regions in order of evaluation, values written once and in normal form, ops recurrences with their frontier."""
    layer = p.layer
    ops = {n: d for r in p.recurrences.values() for n, d in r.definitions.items()}
    once([d.name for r in p.recurrences.values() for d in _inside(r)] + list(p.definitions), "in a partition")
    every = {**p.definitions, **ops}
    wanted = _reached(layer)
    for name in (*layer.values, *layer.states):
        law = "an equation is in the partition exactly if the result or a module reads it"
        demand((name in every) == (name in wanted), f"`{name}`", law)
    bound = {**signatures(layer), POSITION: ((), "real")}
    bound |= {d.name: (d.atoms, d.dtype) for d in every.values()}
    times: Times = {**layer.times, POSITION: Time.TOKEN, **{d.name: d.time for d in every.values()}}
    for d in every.values():
        _definition(layer, d, bound, times)
    _regions(p)
    _delays(p)
    reads_position = any(r.name == POSITION for d in every.values() for r in refs(d.node))
    demand(p.uses_position or not reads_position, "`t`", "a layer that reads the position says so")
    for r in p.recurrences.values():
        verify_recurrence(layer, r, bound, times)
        _boundary(p, r)


def _reached(layer: Layer) -> set[str]:
    """What the result or a module depends on, at any token."""
    nodes = {n: v.node for n, v in layer.values.items()} | {n: s.update for n, s in layer.states.items()}
    pending, seen = [layer.result, *(m.input for m in layer.modules)], set[str]()
    while pending:
        name = pending.pop()
        if name not in seen:
            seen.add(name)
            pending.extend(r.name for r in refs(*([nodes[name]] if name in nodes else [])))
    return seen


def _inside(r: Recurrence) -> tuple[Definition, ...]:
    return (*r.hoisted, *r.prologue, *r.update, *r.epilogue)


def _definition(layer: Layer, d: Definition, bound: dict[str, Signature], times: Times) -> None:
    what = f"`{d.name}`"
    check_node(d.node, what, position=False)
    check_refs(d.node, what, bound)
    demand(d.atoms == layer.axes.atoms(d.axes), what, f"its dimensions {d.axes} stand for its axes {d.atoms}")
    demand(set(d.node.axes) <= set(d.atoms), what, f"its expression has no axes beside {d.atoms}")
    demand(d.dtype == d.node.dtype, what, f"it is of its expression's type, {d.node.dtype}")
    for n in walk(d.node):
        demand(
            n is d.node or not isinstance(n, Reduce | Relabel), what, "reductions and renamings are values of their own"
        )
        demand(not isinstance(n, Relabel) or isinstance(n.body, Ref), what, "a renaming is of a value")
    wanted = Time.STATE if d.state else time_of(d.node, times)
    demand(d.time == wanted, what, f"it is known at {wanted.name}, with what it reads, not at {d.time.name}")
    demand(not d.state or d.name in layer.states, what, "a state's update belongs to a state")


def _regions(p: Partition) -> None:
    """In order, each value written once, everything that is read already there."""
    layer = p.layer
    there = {*layer.inputs, *layer.params, POSITION}
    fused = {layer.convs[c].output.name: d for c, d in p.activations.items()}
    for region in p.regions:
        what = f"region `{region.name}`"
        for name in region.reads:
            demand(name in there, what, f"`{name}`, which it reads, was written by a region before it")
        for name in region.writes:
            demand(name not in there, what, f"`{name}` is written by one region")
        there.update(region.writes)
        match region.kind:
            case "linear" | "split":
                m = (layer.linears | layer.splits)[region.name]
                law = "a linear map writes its outputs, in order, and so does a split"
                demand(region.writes == tuple(o.name for o in m.outputs), what, law)
            case "conv":
                c = layer.convs[region.name]
                wanted = fused.get(c.output.name, c.output.name)
                demand(region.writes == (wanted,), what, "a convolution writes its output, or what is fused after it")
            case "op":
                r = p.recurrences[region.name]
                demand(region.reads == tuple(o.name for o in r.operands), what, "an op reads its operands")
                demand(region.writes == r.results, what, "an op writes its results")
            case _:
                d = p.definitions[region.name]
                demand(region.writes == (d.name,), what, "an equation writes its value")
                demand(set(region.reads) == {r.name for r in refs(d.node)}, what, "an equation reads what stands in it")
    demand(layer.result in there, f"`{layer.result}`", "the result is written")
    for name in p.definitions:
        demand(name in there, f"`{name}`", "every equation outside the ops is a region")
    for c_name, d_name in p.activations.items():
        wanted_refs = {(layer.convs[c_name].output.name, 0)}
        found = {(r.name, r.offset) for r in refs(p.definitions[d_name].node)}
        demand(found == wanted_refs, f"`{d_name}`", "what is fused into a convolution reads its sum and nothing else")


def _delays(p: Partition) -> None:
    """Outside the ops another token is read by a delay alone, whole."""
    for d in p.definitions.values():
        late = [r for r in refs(d.node) if r.offset]
        demand((d.name in p.delays) == (bool(late)), f"`{d.name}`", "what reads another token outside an op is a delay")
        demand(not late or late == [d.node], f"`{d.name}`", "a delay is the value of another token and nothing more")
    for delay in p.delays.values():
        node = p.definitions[delay.name].node
        assert isinstance(node, Ref)
        same = (node.name, node.offset, node.init) == (delay.of, delay.offset, delay.init)
        demand(same, f"`{delay.name}`", "a delay is as its definition says")


def verify_recurrence(layer: Layer, r: Recurrence, bound: dict[str, Signature], times: Times) -> None:
    """The sections read only what their names promise, in order; the update depends on itself through time."""
    what, carried = f"op `{r.name}`", {c.of: c for c in r.carried}
    update = {d.name: d for d in r.update}
    operands = {o.name: o for o in r.operands}
    once((*operands, *(d.name for d in _inside(r))), f"in the op `{r.name}`")
    early = {o.name for o in r.operands if not o.token}
    _section(r.hoisted, early, {}, "what is hoisted is known before time starts")
    for d in r.hoisted:
        demand(d.time <= Time.PARAMETER, f"`{d.name}`", "what is hoisted is known before time starts")
    known = set(operands) | {d.name for d in r.hoisted}
    _section(r.prologue, known, {}, "the prologue reads no state")
    offset = 1 if r.reverse else -1
    late = {c.of: (offset, c.init) for c in r.carried}
    _section(r.update, known | {d.name for d in r.prologue}, late, "the update reads what the op is given, and itself")
    before = known | {d.name for d in (*r.prologue, *r.update)}
    _section(r.epilogue, before, late, "the epilogue reads what is inside the op")
    demand(bool(carried), what, "a recurrence carries something")
    for c in r.carried:
        demand(c.of in update, f"`{c.of}`", "what is carried is computed by the update")
        d = update[c.of]
        demand((c.axes, c.atoms, c.dtype) == (d.axes, d.atoms, d.dtype), f"`{c.of}`", "it is carried as it is computed")
        if c.init is not None:
            check_node(c.init, f"the start of `{c.of}`", position=False)
            check_refs(c.init, f"the start of `{c.of}`", bound)
            _covered(c.init, set(operands), f"the start of `{c.of}`", "a start is made of operands")
    _depends_on_itself(r)
    wanted = [*(d.node for d in _inside(r)), *(c.init for c in r.carried if c.init is not None)]
    read = {x.name for n in wanted for x in refs(n)}
    demand(any(o.streams for o in r.operands), what, "an operand tells how many tokens there are")
    streams = [o for o in r.operands if o.streams]
    for o in r.operands:
        demand(o.name in read or streams == [o], f"operand `{o.name}`", f"the op `{r.name}` reads its operands")
        demand(
            (o.atoms, o.dtype) == bound[o.name],
            f"operand `{o.name}`",
            "an operand is on the axes and of the type it has",
        )
        demand(o.atoms == layer.axes.atoms(o.axes), f"operand `{o.name}`", "its dimensions stand for its axes")
        token = o.name not in layer.params and times[o.name] > Time.PARAMETER
        demand(o.token == token, f"operand `{o.name}`", "an operand streams if it is known token by token")
    atoms = [a for c in r.carried for a in c.atoms]
    demand(not set(r.channels) & set(r.inner), what, "an axis is summed by a read or it is a channel")
    demand(set(r.channels) | set(r.inner) == set(atoms), what, "channels and inner axes are the axes of the states")
    for name in r.results:
        demand(
            any(d.name == name for d in (*r.update, *r.epilogue)), f"`{name}`", "a result is computed from the states"
        )


def _section(
    definitions: Iterable[Definition], known: set[str], late: dict[str, tuple[int, Node | None]], law: str
) -> None:
    """Each definition reads what is known before it, and of other tokens what is carried."""
    known = set(known)
    for d in definitions:
        for r in refs(d.node):
            if r.offset:
                demand(r.name in late, f"`{d.name}`", f"{law}, not `{r.name}` at another token")
                demand((r.offset, r.init) == late[r.name], f"`{d.name}`", f"`{r.name}` is read as it is carried")
            elif not _in_start(d.node, r):
                demand(r.name in known, f"`{d.name}`", f"{law}, not `{r.name}`")
        known.add(d.name)


def _in_start(node: Node, ref: Ref) -> bool:
    """Whether a reference occurs in the start of another one alone."""
    stack: list[Node] = [node]
    while stack:
        n = stack.pop()
        if n is ref:
            return False
        if not isinstance(n, Ref):
            stack.extend(n.children)
    return True


def _covered(node: Node, known: set[str], what: str, law: str) -> None:
    for r in refs(node):
        demand(r.name in known and not r.offset, what, f"{law}, not of `{r.name}`")


def _depends_on_itself(r: Recurrence) -> None:
    """Every value of the update reaches itself through another token."""
    edges = {d.name: [(x.name, bool(x.offset)) for x in refs(d.node)] for d in r.update}
    for name in edges:
        seen: set[tuple[str, bool]] = set()
        stack = [(name, False)]
        while stack:
            v, through = stack.pop()
            for w, offset in edges.get(v, ()):
                if (w, through or offset) not in seen and w in edges:
                    seen.add((w, through or offset))
                    stack.append((w, through or offset))
        demand((name, True) in seen, f"`{name}`", f"what the op `{r.name}` updates depends on its own past")


def _boundary(p: Partition, r: Recurrence) -> None:
    """What is read outside an op is a result of it, and every result is read outside."""
    inside = {d.name for d in _inside(r)}
    nodes = [d.node for d in p.definitions.values()]
    nodes += [d.node for o in p.recurrences.values() if o is not r for d in _inside(o)]
    nodes += [c.init for o in p.recurrences.values() if o is not r for c in o.carried if c.init is not None]
    read = {x.name for n in nodes for x in refs(n)} | {m.input for m in p.layer.modules} | {p.layer.result}
    for name in inside & read:
        demand(name in r.results, f"`{name}`", f"what is read outside the op `{r.name}` is a result of it")
    for name in r.results:
        demand(name in read, f"`{name}`", f"a result of the op `{r.name}` is read outside")
