"""The layer's equations as small Triton functions: each takes values, returns values, and knows nothing of memory."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from ssmc.backends.triton.printer import HostConstants, TilePrinter
from ssmc.backends.triton.sections import Sections, needed, sections
from ssmc.backends.triton.tiles import Dims, Tile, place
from ssmc.calculus.reverse import cotangent_name
from ssmc.codegen.op_text import OpText
from ssmc.ir.expr import Index, Ref, walk
from ssmc.ir.program import Let

Key = tuple[str, int]  # a name and its offset
INDEX = 9  # the offset that stands for "the index along this atom"
EXPENSIVE = ("exp", "sigmoid", "tanh")


class Unfit(Exception):
    """The reason why a kind of kernels cannot serve an op; another kind then does."""


@dataclass(frozen=True, slots=True)
class Equation:
    """A function: `inputs` are the values it takes, `outputs` those it returns; `constants` are passed on by name. One
    without lines is not written: its outputs are inputs."""

    name: str
    doc: str
    parameters: str
    lines: tuple[str, ...]
    returns: str
    inputs: tuple[Key, ...]
    outputs: tuple[str, ...]
    constants: tuple[str, ...]
    dims: tuple[Dims, ...]


class Equations:
    """Makes the functions of one op."""

    printer = TilePrinter

    def __init__(self, o: OpText, tile: Tile) -> None:
        self.o, self.tile, self.p = o, tile, o.program
        self.s: Sections = sections(o.program, tile)
        self.fields = [f.name for f in self.p.fields]
        self.results = [part for r in self.p.results for part in r.parts]
        self.made: list[Equation] = []
        self.helpers: set[str] = set()
        self.constants = HostConstants(tile, {s.argument: s.name for s in o.scalars if s.argument}, o.size)
        self._dims: dict[Key, Dims] = {}
        for leaf in self.p.leaves:
            self._dims[leaf.name, 0] = tile.dims(leaf.operand.atoms)
        for f in self.fields:
            self._dims[f, 0] = self._dims[f, -1] = self._dims[cotangent_name(f), 0] = tile.full
        for r in self.p.results:
            dims = tile.dims(r.atoms)
            for part in r.parts:
                self._dims[f"g:{part}", 0] = dims if 0 in dims else (0, *dims)

    def name(self, key: Key) -> str:
        """The identifier of a value inside functions."""
        name, offset = key
        if offset == INDEX:
            return f"o_{self.tile.name(name)}"
        return f"b_{self.tile.name(name if offset == 0 else f'{name}:prev')}"

    def make(self, suffix: str, doc: str, lets: Sequence[Let], outputs: Sequence[str], full: bool = False) -> Equation:
        """The function that evaluates the assignments; what they read and do not assign are its inputs."""
        printer = self.printer(self.tile, lambda r: self.name((r.name, r.offset))[2:], self.constants)
        bound: set[Key] = set()
        inputs: dict[Key, None] = {}
        lines: list[str] = []
        said: set[int] = set()
        for let in lets:
            for n in walk(let.node):
                key = (n.name, n.offset) if isinstance(n, Ref) else (n.axis, INDEX) if isinstance(n, Index) else None
                if key is not None and key not in bound and key not in inputs:
                    inputs[key] = None
                    if key[1] != INDEX:
                        printer.dims[key] = self._dims[key]
                        printer.given.add(key[0])
            text = printer(let.node)
            lines.append(self.o.line(self.name((let.name, 0)), text.code, let.span, said))
            printer.dims[let.name, 0] = text.dims
            bound.add((let.name, 0))
        if full:
            for name in outputs:
                own = printer.dims[name, 0]
                if own != self.tile.full:
                    code = place(self.name((name, 0)), own, self.tile.full)
                    lines.append(f"{self.name((name, 0))} = tl.broadcast_to({code}, {self.tile.shape(self.tile.full)})")
        for name in outputs:
            if (name, 0) not in bound:
                inputs.setdefault((name, 0))
                printer.dims[name, 0] = self._dims[name, 0]
        self.helpers |= printer.helpers
        ordered = tuple(sorted(inputs, key=self._rank))
        words = set(re.findall(r"\b[A-Za-z_]\w*\b", "\n".join(x.split("  # ")[0] for x in lines)))
        t = self.tile
        known = (*map(t.size, (*t.channels, *t.inner)), *self.constants.values, t.block, *t.pads)
        constants = tuple(w for w in known if w in words)
        parameters = [*(self.name(k) for k in ordered), *(f"{c}: tl.constexpr" for c in constants)]
        dims = tuple(printer.dims[n, 0] for n in outputs)
        equation = Equation(
            f"{self.o.stem}_{suffix}",
            doc,
            ", ".join(parameters),
            tuple(lines),
            ", ".join(self.name((n, 0)) for n in outputs),
            ordered,
            tuple(outputs),
            constants,
            dims,
        )
        if lines:
            self.made.append(equation)
        return equation

    def bind(self, names: Iterable[tuple[str, Dims]]) -> None:
        """Values that later functions may take."""
        for name, dims in names:
            self._dims[name, 0] = dims

    def dims(self, name: str) -> Dims:
        """The dimensions of a value."""
        return self._dims[name, 0]

    def _rank(self, key: Key) -> tuple[int, int]:
        name, offset = key
        order = [leaf.name for leaf in self.p.leaves]
        if offset == INDEX:
            return 9, 0
        if name in order:
            return 4, order.index(name)
        if name.startswith("g:"):
            return 0, self.results.index(name[2:])
        if name in self.fields:
            return 2, 2 * self.fields.index(name) - offset
        if name in map(cotangent_name, self.fields):
            return 1, [cotangent_name(f) for f in self.fields].index(name)
        return 5, sorted(self._dims).index(key) if key in self._dims else 0

    def call(self, e: Equation, site: Mapping[Key, str], index: Mapping[str, str]) -> str:
        """The call of a function where values have the names of `site` (others their own)."""
        codes = [index[k[0]] if k[1] == INDEX else site.get(k, self.name(k)) for k in e.inputs]
        if not e.lines:
            where = dict(zip(e.inputs, codes, strict=True))
            return ", ".join(where[n, 0] for n in e.outputs)
        return f"{e.name}({', '.join([*codes, *e.constants])})"


@dataclass(frozen=True, slots=True)
class LayerEquations:
    """All functions of an op; those of time in pieces are None where that does not apply. `prepared` are the values
    that `prepare` makes of a token before it meets the state."""

    hoist: Equation
    prepare: Equation
    update: Equation
    read: Equation
    vjp: Equation
    hoist_vjp: Equation
    decay: Equation | None
    wants: Equation | None
    held: tuple[str, ...]
    tokens: tuple[str, ...]
    parameters: tuple[str, ...]
    prepared: tuple[str, ...]


def layer_equations(e: Equations) -> LayerEquations:
    """The functions that the kernels of an op call."""
    p, s, a = e.p, e.s, e.p.adjoint
    token_leaves = [x.name for x in p.leaves if x.operand.token]
    parameters = [x.name for x in p.leaves if not x.operand.token]
    pulled = [n for f in p.fields for n in (a.reads.get(f.name), a.reads_before.get(f.name)) if n]
    gradients = [a.gradients[n] for n in token_leaves if n in a.gradients]
    outputs = [*(f"back:{f}" for f in e.fields), *gradients, *a.accumulated]
    advancing = s.slice(e.fields)
    prepared = _before_the_state(e, advancing)
    known = [*e.fields, *prepared]
    reading, back = s.slice(e.results, known), s.slice(outputs, known)
    coefficients = [n for port in p.ports for n in port.coefficient]
    cut = bool(p.ports)
    cut_back = cut and bool(pulled) and not _reads_fields(s.slice(pulled, e.fields), e.fields)
    used = [*advancing, *reading, *back]
    early = {n.name for x in used for n in walk(x.node) if isinstance(n, Ref) and n.name in s.early} | (
        set(coefficients) & s.early
    )
    hoisted = [x.name for x in s.hoisted if x.name in early]
    hoist = e.make("hoist", "What depends on parameters only.", needed(s.hoisted, hoisted), hoisted)
    e.bind(zip(hoisted, hoist.dims, strict=True))
    prepare = e.make("prepare", "What a token brings before it meets the state.", s.slice(prepared), prepared)
    e.bind(zip(prepared, prepare.dims, strict=True))
    update = e.make("update", "The state after a token.", s.slice(e.fields, prepared), e.fields, full=True)
    read = e.make("read", "The results of a token.", reading, e.results)
    decay = wants = None
    if cut:
        lets = s.slice(coefficients, prepared)
        decay = e.make("decay", "The coefficient of the state before a token.", lets, coefficients)
    if cut_back:
        wants = e.make("wants", "The cotangents that reads send to the state.", s.slice(pulled, known), pulled)
    vjp = e.make(
        "vjp",
        "One token in reverse: from the cotangents of its results and states to those of all it was made of.",
        back,
        outputs,
    )
    n = len(outputs) - len(a.accumulated)
    e.bind(zip(outputs[n:], vjp.dims[n:], strict=True))
    given = [a.gradients[x] for x in parameters if x in a.gradients]
    hoist_vjp = e.make(
        "hoist_vjp",
        "From the sums over time to the cotangents of parameters.",
        needed([*s.hoisted, *s.hoisted_back], given),
        given,
    )
    return LayerEquations(
        hoist,
        prepare,
        update,
        read,
        vjp,
        hoist_vjp,
        decay,
        wants,
        tuple(n for n in (*parameters, *hoisted) if n in early or (n, 0) in hoist.inputs),
        tuple(token_leaves),
        tuple(parameters),
        tuple(prepared),
    )


def _before_the_state(e: Equations, advancing: Sequence[Let]) -> list[str]:
    """What is known of a token before its state and is smaller than that, as far as the rest reads it."""
    late: set[str] = set(e.fields)
    small: set[str] = set()
    read: dict[str, None] = {}
    for let in advancing:
        refs = {n.name for n in walk(let.node) if isinstance(n, Ref)}
        if refs & late:
            late.add(let.name)
        elif let.name not in e.fields and e.tile.dims(let.node.axes) != e.tile.full and let.node.dtype != "bool":
            small.add(let.name)
            continue
        read |= dict.fromkeys(sorted(refs & small))
    return [x.name for x in advancing if x.name in read]


def _reads_fields(lets: Iterable[Let], fields: Sequence[str]) -> bool:
    return any(isinstance(n, Ref) and n.name in fields for x in lets for n in walk(x.node))
