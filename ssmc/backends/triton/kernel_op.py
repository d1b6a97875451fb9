"""One op's kernels as text: what each takes, loads, computes and stores."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace

from ssmc.backends.triton.contexts import FieldText, Kernel, Load, StateText, Store, Stream, Token
from ssmc.backends.triton.equations import Equation, Equations, Key, LayerEquations
from ssmc.backends.triton.memory import Memory, parts_of, scaled
from ssmc.backends.triton.tiles import Locals
from ssmc.ir.program import Field, Leaf, Result
from ssmc.ir.regions import Carried, Operand

WIDE = ".to(tl.float32)"  # what is loaded in blocks stays as narrow as it came until it is used


class Kernels:
    """Builds the contexts of the kernels of an op."""

    def __init__(self, e: Equations, q: LayerEquations) -> None:
        self.e, self.q, self.p, self.tile = e, q, e.p, e.tile
        reverse = e.p.recurrence.reverse
        self.step, self.back = ("-", "+") if reverse else ("+", "-")
        self.memory = Memory(e, "(bos + n - 1 - i_t)" if reverse else "(bos + i_t)", self.step)
        self.name = e.tile.name
        self.token_leaves = [x for x in self.p.leaves if x.operand.token]
        self.parameters = [x for x in self.p.leaves if not x.operand.token]
        self.operands = [o for o in e.o.operands if any(x.operand.name == o.name for x in self.p.leaves)]
        self.tokens = [o for o in self.operands if o.token]

    # --- names ------------------------------------------------------------------------------------------------------

    def state_name(self, c: Carried, kind: str) -> str:
        """The tensors of a state: first, last, before pieces of time, kept, and their cotangents."""
        form = {
            "first": "{}0", "last": "{}T", "starts": "{}_starts", "kept": "{}s", "d_last": "d_{}T", "d_first": "d_{}0",
            "a": "{}_decay", "b": "{}_piece", "wanted": "{}_wanted",
        }[kind]  # fmt: skip
        return self.memory.fresh(form.format(self.name(c.of)))

    def carried(self, f: Field) -> Carried:
        """The state of a field."""
        return next(c for c in self.p.recurrence.carried if c.of == f.of)

    def states(self) -> tuple[StateText, ...]:
        """The states in kernels."""
        t, out = self.tile, []
        for c in self.p.recurrence.carried:
            kept = self.state_name(c, "kept")
            width = " * ".join([*(["2"] if c.dtype == "complex" else []), t.lanes, *t.pads])
            out.append(StateText(kept, f"p_{kept}", scaled(width)))
        return tuple(out)

    def width(self, c: Carried) -> str:
        """The numbers a row of a state has."""
        return self.memory.numel(c.atoms, c.dtype == "complex")

    def fields(self, loc: Locals, walks: bool = True) -> tuple[FieldText, ...]:
        """The fields in a kernel: of a walk, or of a step."""
        t, out = self.tile, []
        inner = " * ".join(t.pads) or "1"
        for f in self.p.fields:
            c, name = self.carried(f), self.name(f.name)
            pointer = f"p_{self.state_name(c, 'kept')}"
            if f.part == "im":
                pointer += f" + {t.lanes} * {inner}"
            value, sizes = f"b_{name}", f"{t.lanes}, {t.block}, {inner}"
            kept = f"tl_kept({pointer}, i_{t.letter}, {sizes})"
            out.append(
                FieldText(
                    value=value,
                    before=f"b_{self.name(f'{f.name}:prev')}",
                    cotangent=f"b_{self.name(f'd:{f.name}')}",
                    many=self.memory.fresh(f"b_{name}s"),
                    back=f"b_{self.name(f'back:{f.name}')}",
                    first=self.state_name(c, "first"),
                    starts=self.state_name(c, "starts"),
                    last=self.state_name(c, "last"),
                    d_last=self.state_name(c, "d_last"),
                    d_first=self.state_name(c, "d_first"),
                    at=parts_of(loc.offset(c.atoms, t.full), f.part),
                    turned=self.memory.turned(c.atoms, f.part, loc) if walks else "",
                    mask=loc.mask(t.full),
                    shape=t.shape(t.full),
                    width=scaled(self.width(c)),
                    again=f"b_{name}_j",
                    keep=f"tl_keep({pointer}, {value}, i_{t.letter}, {sizes})",
                    kept=kept if len(t.full) == 2 else f"tl.reshape({kept}, {t.shape(t.full)})",
                )
            )
        return tuple(out)

    # --- calls ------------------------------------------------------------------------------------------------------

    def index(self, loc: Locals, *equations: Equation) -> dict[str, str]:
        """The indices that functions take, by atom."""
        return {k[0]: loc.index(k[0])[0] for e in equations for k in e.inputs if k[1] == 9}

    def call(
        self, e: Equation, loc: Locals, block: str = "", extra: dict[Key, str] | None = None, wide: str = ""
    ) -> str:
        """The call of a function: on one token's values, or on those of index `block` in tuples, made `wide` there."""
        site: dict[Key, str] = {}
        if block:
            for leaf in self.token_leaves:
                site[leaf.name, 0] = f"{self.memory.fresh(f'{self.name(leaf.name)}s')}[{block}]{wide}"
            for r in self.p.results:
                for part in r.parts:
                    seed = f"g:{part}"
                    site[seed, 0] = f"{self.memory.fresh(f'{self.name(seed)}s')}[{block}]{wide}"
        return self.e.call(e, site | dict(extra or {}), self.index(loc, e))

    def names(self, e: Equation) -> str:
        """What a function's results are called."""
        return ", ".join(self.e.name((n, 0)) for n in e.outputs)

    def advance(self, loc: Locals, target: str, fields: dict[Key, str]) -> Token:
        """The fields after a token, under the names `target`; `fields` are those before, in a block."""
        q = self.q

        def lines(block: str, target: str, fields: dict[Key, str]) -> tuple[str, ...]:
            out = [f"{target} = {self.call(q.update, loc, block, fields, WIDE)}"]
            if q.prepare.lines:
                out.insert(0, f"{self.names(q.prepare)} = {self.call(q.prepare, loc, block, None, WIDE)}")
            return tuple(out)

        return Token(lines("j", target, fields), lines("", self.names(q.update), self.before("{}")))

    def before(self, code: str) -> dict[Key, str]:
        """Fields before the token by the pattern `code` of their values' names."""
        return {(f.name, -1): code.format(f"b_{self.name(f.name)}") for f in self.p.fields}

    def used(self, *equations: Equation) -> list[Leaf]:
        """The streaming leaves that functions read."""
        read = {k[0] for e in equations for k in e.inputs if k[1] == 0}
        read |= {n for e in equations if not e.lines for n in e.outputs}
        return [x for x in self.token_leaves if x.name in read]

    def reads_before(self) -> bool:
        """Whether the read takes the fields before the token."""
        return any(k[1] == -1 for k in self.q.read.inputs)

    # --- kernels ----------------------------------------------------------------------------------------------------

    def hoist(self, loc: Locals, fine: bool = True, walk: bool = True) -> tuple[str, ...]:
        """The lines that load parameters and work out what depends on them alone: in float64 before a walk, since a
        rate's rounding grows with the length, else in float32."""
        held = set(self.q.held)
        lines = [self.memory.parameter(x, loc, walk) for x in self.parameters if x.name in held]
        if self.q.hoist.lines:
            names = [self.e.name((n, 0)) for n in self.q.hoist.outputs]
            call = self.e.call(self.q.hoist, self._fine() if fine else {}, self.index(loc, self.q.hoist))
            if len(names) == 1 and fine:
                call += ".to(tl.float32)"
            lines.append(f"{', '.join(names)} = {call}")
            if len(names) > 1 and fine:
                lines += [f"{n} = {n}.to(tl.float32)" for n in names]
        return tuple(lines)

    def _fine(self) -> dict[Key, str]:
        """Parameters as float64."""
        return {(x.name, 0): f"{self.e.name((x.name, 0))}.to(tl.float64)" for x in self.parameters}

    def kernel(
        self,
        loc: Locals,
        leaves: Sequence[Leaf],
        tensors: Iterable[str],
        wanted: Iterable[Result] = (),
        stores: Iterable[tuple[Stream, Store]] = (),
        time: bool = True,
        seeds: tuple[Load, ...] = (),
        turned: Iterable[str] = (),
    ) -> Kernel:
        """A kernel that streams the leaves, and the `seeds` that are cotangents of the `wanted` results; `tensors` come
        after the operands. Of what is `turned` a lane loads number after number: no alignment is asked for."""
        m = self.memory
        operands = self.streamed(leaves)
        streams = [m.stream(o.name) for o in operands] + [m.stream(f"g:{r.name}") for r in wanted]
        done = list(stores)
        beside = [n for o in self.beside() if m.stream(n := f"d:{o.name}") in [s for s, _ in done]]
        loads = tuple(m.load(x, loc) for x in leaves)
        if time and (seeds or any(self.tile.dims(x.operand.atoms) for x in leaves)):
            loc.define("o_t", "tl.arange(0, BT)")
        strides = [
            s
            for n in (*(o.name for o in operands), *(f"g:{r.name}" for r in wanted), *beside)
            for s in m.strides(n)[: 2 if time else 1]
        ]
        names = [self.name(o.name) for o in (*operands, *(o for o in self.operands if not o.token))]
        scattered = [self.name(o.name) for o in self.operands if m.is_turned(o)] if time else []
        scattered += turned if len(self.tile.full) > 1 else ()
        outputs = tuple(dict.fromkeys(s for s, _ in done))
        return Kernel(
            ", ".join([*names, *tensors]),
            ", ".join(strides),
            "".join(f', "{n}"' for n in scattered),
            ", ".join(f"{c}: tl.constexpr" for c in self.sizes()),
            loc.text(),
            tuple(streams),
            (*loads, *seeds),
            m.rows((*loads, *seeds)),
            tuple(s for _, s in done),
            outputs,
        )

    def streamed(self, leaves: Iterable[Leaf]) -> list[Operand]:
        """The operands of streaming leaves, each once."""
        names = {x.operand.name for x in leaves}
        return [o for o in self.tokens if o.name in names]

    def sizes(self) -> tuple[str, ...]:
        """The constants of every kernel."""
        t = self.tile
        own = [t.size(a) for a in (*t.channels, *t.inner)]
        lanes = [] if t.lanes in own else [t.lanes]
        runs = ["RUN"] if any(self.in_runs(o) for o in self.operands) else []
        return (*own, *lanes, *self.e.constants.values, t.block, *t.pads, *runs)

    def in_runs(self, o: Operand) -> bool:
        """Whether the cotangent of an operand comes as sums of runs of lanes."""
        return o.token and self.tile.in_runs(o.atoms) and self.has_gradient(o)

    def results(self, loc: Locals) -> list[tuple[Stream, Store]]:
        """The stores of all results."""
        return [x for r in self.p.results for x in self.memory.results(r, loc)]

    def state_tensors(self, *kinds: str) -> list[str]:
        """Tensors of all states."""
        return [self.state_name(c, k) for k in kinds for c in self.p.recurrence.carried]

    def result_tensors(self) -> list[str]:
        """The results as tensors of kernels."""
        return [self.name(f"y:{r.name}") for r in self.p.results]

    def walk(self) -> tuple[Kernel, Locals]:
        """The walk over time: results and last states."""
        loc = Locals(self.tile)
        q = self.q
        leaves = self.used(q.prepare, q.update, q.read)
        self.hoist(loc), self.fields(loc), self.index(loc, q.prepare, q.update, q.read)
        stores = self.results(loc)
        kept = self.state_tensors("starts") if self.p.walked else []
        tensors = [*self.state_tensors("first"), *self.result_tensors(), *self.state_tensors("last"), *kept]
        return self.kernel(loc, leaves, tensors, stores=stores, turned=[*self.state_tensors("first"), *kept]), loc

    def single(self) -> Kernel:
        """One token of every row."""
        loc, q = Locals(self.tile), self.q
        leaves = self.used(q.prepare, q.update, q.read)
        self.hoist(loc, fine=False, walk=False), self.fields(loc, walks=False)
        self.index(loc, q.prepare, q.update, q.read)
        stores = self.results(loc)
        k = self.kernel(
            loc,
            leaves,
            [*self.state_tensors("first"), *self.result_tensors(), *self.state_tensors("last")],
            stores=stores,
            time=False,
        )
        m = self.memory
        streams = tuple(
            Stream(s.pointer, f"{self.name(o.name)} + i_b * {m.strides(o.name)[0]}", "0")
            for s, o in zip(k.streams, self.streamed(leaves), strict=True)
        )
        outputs = []
        for r in self.p.results:
            width = m.numel(r.atoms, len(r.parts) > 1)
            step = f" * ({width})" if "*" in width else "" if width == "1" else f" * {width}"
            outputs.append(Stream(m.pointer(f"y:{r.name}"), f"{self.name(f'y:{r.name}')} + i_b{step}", "0"))
        return replace(k, streams=streams, outputs=tuple(outputs))

    def gradient_tensors(self) -> list[str]:
        """The buffers of the operands' cotangents, in the order of the operands."""
        return [self.name(f"d:{o.name}") for o in self.operands if self.has_gradient(o)]

    def beside(self) -> list[Operand]:
        """The operands whose gradients are written where those of their neighbours will be."""
        return [o for o in self.operands if o.name in self.e.o.beside and self.has_gradient(o)]

    def has_gradient(self, o: Operand) -> bool:
        """Whether anything depends on an operand in a differentiable way."""
        return any(x.operand.name == o.name and x.name in self.p.adjoint.gradients for x in self.p.leaves)

    def d_leaf(self, x: Leaf) -> str:
        """The cotangent of a leaf."""
        return f"b_{self.name(f'd:{x.name}')}"

    def seeded(self, *equations: Equation) -> list[Result]:
        """The results whose cotangents functions read."""
        read = {k[0] for e in equations for k in e.inputs}
        return [r for r in self.p.results if any(f"g:{part}" in read for part in r.parts)]

    def seed_loads(self, loc: Locals, *equations: Equation) -> tuple[Load, ...]:
        """The cotangents of results that functions read."""
        read = {k[0] for e in equations for k in e.inputs}
        return tuple(self.memory.seed(r, part, loc) for r in self.p.results for part in r.parts if f"g:{part}" in read)
