"""The kernels of a time-invariant recurrence that begins at zero: what each takes, loads, computes and stores."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from ssmc.backends.triton.backward_op import lane_sums
from ssmc.backends.triton.contexts import Kernel, Load, Store, Stream
from ssmc.backends.triton.equations import Equation, Key
from ssmc.backends.triton.fresh_contexts import AdjointWalk, ChannelKernel, ForwardWalk
from ssmc.backends.triton.fresh_functions import FreshFunctions, times
from ssmc.backends.triton.kernel_op import WIDE, Kernels
from ssmc.backends.triton.tiles import Locals, place
from ssmc.ir.program import Leaf

READ = "read:again"  # the read, worked out before the way back


class FreshKernels(Kernels):
    """Builds the contexts of the kernels of an op."""

    def __init__(self, f: FreshFunctions) -> None:
        super().__init__(f.e, f.q)
        self.f = f
        self.memory.slot, self.memory.room = "", "i_b * T"
        self.parts = ("re", "im") if f.complex else ("re",)
        self.numel_state = " * ".join([*(self.tile.size(a) for a in self.tile.inner), self.tile.lanes])

    def at(self, loc: Locals) -> str:
        """The offset of a state's number, the channels last."""
        return loc.turned((*self.tile.channels, *self.tile.inner))

    def slot(self, k: int, loc: Locals) -> str:
        """The offset of the k-th number that a state value has in a buffer of several."""
        factor = "" if k == 1 else f"{k} * "
        return f"{self.at(loc)} + {factor}{self.numel_state}" if k else self.at(loc)

    def numbers(self, *words: str) -> list[str]:
        """The parts of complex numbers as values."""
        return [f"b_{w}_{p}" for w in words for p in self.parts]

    # --- lines of a token ---------------------------------------------------------------------------------------------

    def assigned(self, e: Equation, loc: Locals, block: str) -> str:
        """The line that evaluates a function."""
        return f"{self.names(e)} = {self.call(e, loc, block, self.site(block), WIDE if block else '')}"

    def site(self, block: str) -> dict[Key, str]:
        """Where a block's reads are found, on the way back."""
        own = f"{self.memory.fresh(f'{self.name(READ)}s')}[{block}]" if block else f"b_{self.name(READ)}"
        return {(self.f.read.name, 0): own} if self.returning else {}

    returning = False

    def advance_filter(self, state: str, value: str) -> str:
        """The line that takes a state one token further: times the coefficient, and the value added."""
        re, im = (f"b_{state}_{p}" for p in ("re", "im"))
        values = [f"b_{value}_{p}" if value in ("state", "slope") else value for p in ("re", "im")]
        if not self.f.complex:
            return f"{re} = b_rate_re * {re} + {values[0]}"
        more = f"b_rate_im * {re}" if value not in ("state", "slope") else f"({values[1]} + b_rate_im * {re})"
        return f"{re}, {im} = b_rate_re * {re} + ({values[0]} - b_rate_im * {im}), b_rate_re * {im} + {more}"

    def seen(self, name: str) -> str:
        """The line that reads the state."""
        if self.f.complex:
            return f"{name} = {self.f.o.stem}_seen({', '.join(self.numbers('weight', 'state'))})"
        return f"{name} = {self.f.summed('b_weight_re * b_state_re')}"

    def spread(self, name: str) -> str:
        """A lane's value where the state's numbers are."""
        return place(name, (0,), self.tile.full)

    # --- kernels ------------------------------------------------------------------------------------------------------

    def shaped(
        self, loc: Locals, equations: Sequence[Equation], leaves: Sequence[Leaf], tensors: Sequence[str], **more: object
    ) -> Kernel:
        """A walk's kernel, which takes only those parameters that its functions read."""
        self.index(loc, *equations), self.at(loc), loc.mask(self.tile.full)
        made = self.kernel(loc, leaves, tensors, **more)  # type: ignore[arg-type]
        held = {x.operand.name for x in self.parameters if x.name in self.q.held}
        unread = {self.name(o.name) for o in self.operands if not o.token and o.name not in held}
        return replace(made, tensors=", ".join(n for n in made.tensors.split(", ") if n not in unread), unaligned="")

    def forward(self) -> tuple[ForwardWalk, ...]:
        """The walks from the stream to the results and, if the way back needs it, to the read."""
        out = [self._forward("filter", "The results, from a state of zero on.", True)]
        if self.f.reads_again:
            out.append(self._forward("reads", "The read alone, which the way back needs.", False))
        return tuple(out)

    def _forward(self, name: str, doc: str, results: bool) -> ForwardWalk:
        q, loc = self.q, Locals(self.tile)
        opening = self.opening(loc, "state")
        made = (q.prepare, q.read) if results else (q.prepare,)
        stores = self.results(loc) if results else [self._read_store(loc)]
        tensors = ["system", *(self.result_tensors() if results else [self.name(READ)])]
        kernel = self.shaped(loc, (q.hoist, *made), self.used(*made), tensors, stores=stores)
        block, one = (self._token(loc, kernel.stores, j, results) for j in ("j", ""))
        return ForwardWalk(name, doc, kernel, opening, block, one)

    def opening(self, loc: Locals, *zero: str) -> tuple[str, ...]:
        """The lines before the first token: what parameters give, and numbers that begin at zero."""
        mask, shape = loc.mask(self.tile.full), self.tile.shape(self.tile.full)
        loads = [
            f"{n} = tl.load(system + {self.slot(k, loc)}, mask={mask}, other=0.0)"
            for k, n in enumerate(self.numbers("rate", "weight"))
        ]
        zeros = [f"{n} = tl.zeros({shape}, tl.float32)" for n in self.numbers(*zero)]
        return (*self.hoist(loc, walk=False), *loads, *zeros)

    def _token(self, loc: Locals, stores: Sequence[Store], j: str, results: bool) -> tuple[str, ...]:
        f = self.f
        enter = self.call(f.enter, loc, j, None, WIDE if j else "")
        lines = [f"b_stream = {enter}"]
        step = [self.advance_filter("state", self.spread("b_stream")), self.seen(self.e.name((f.read.name, 0)))]
        lines += reversed(step) if f.read.late else step
        lines += [self.assigned(self.q.read, loc, j)] if results else []
        return (*lines, *(self.stored(s, j) for s in stores))

    def stored(self, s: Store, k: str) -> str:
        """The line that stores a token's value; `k` is its place in a block."""
        at = f" {self.step} {k} * {s.stride}" if k else ""
        return f"tl.store({s.pointer}{at}{s.at}, {s.value}{s.mask})"

    def _read_store(self, loc: Locals) -> tuple[Stream, Store]:
        m, t = self.memory, self.tile
        pointer = m.pointer(READ)
        stream = Stream(pointer, f"{self.name(READ)} + {m.row(t.lanes)}", t.lanes)
        value = self.e.name((self.f.read.name, 0))
        return stream, Store(pointer, t.lanes, f" + {loc.lane()}", value, f", mask={loc.mask((0,))}")

    def _read_load(self, loc: Locals) -> Load:
        m, t = self.memory, self.tile
        mask = f", mask={loc.mask((0,))}, other=0.0"
        rows = m.tile_rows(m.pointer(READ), t.lanes, loc.lane(), mask, (0,))
        name = self.name(READ)
        return Load(m.fresh(f"{name}s"), f"b_{name}", m.pointer(READ), t.lanes, f" + {loc.lane()}", mask, rows, "", "")

    def adjoint(self) -> AdjointWalk:
        """The walk back."""
        q, f, a, m, loc = self.q, self.f, self.p.adjoint, self.memory, Locals(self.tile)
        made = (q.prepare, f.want, q.vjp)
        opening, leaves = self.opening(loc, "state", "slope", "d_weight", "d_rate"), self.used(*made)
        opening += tuple(f"{self.e.name((n, 0))} = tl.zeros({self.tile.shape((0,))}, tl.float32)" for n in f.sums)
        wanted, seeds = self.seeded(*made), self.seed_loads(loc, *made)
        dims = dict(zip(q.vjp.outputs, q.vjp.dims, strict=True))
        given = [x for x in self.token_leaves if x.name in a.gradients]
        stores = [m.gradient(x, self.d_leaf(x), dims[a.gradients[x.name]], loc) for x in given]
        lanes = [(self.d_leaf(x), dims[a.gradients[x.name]]) for x in given if self.tile.lacks_all(x.operand.atoms)]
        again = [self.name(READ)] if f.reads_again else []
        tensors = ["system", *(self.name(f"g:{r.name}") for r in wanted), *again, "sums"]
        tensors += [self.name(f"d:{o.name}") for o in self.operands if o.token and self.has_gradient(o)]
        kernel = self.shaped(loc, (q.hoist, *made), leaves, tensors, wanted=wanted, stores=stores, seeds=seeds)
        if f.reads_again:
            own = Stream(m.pointer(READ), f"{self.name(READ)} + {m.row(self.tile.lanes)}", self.tile.lanes)
            kernel = replace(kernel, streams=(*kernel.streams, own), loads=(*kernel.loads, self._read_load(loc)))
        summed = lane_sums(self, [(v, d) for v, d in lanes if 0 in d], loc)
        block, one = (self._token_back(loc, kernel.stores, j, summed) for j in ("j", ""))
        finals = (f"p_sums = sums + i_s * {self.row}", *self._kept("tl.store", loc))
        return AdjointWalk(replace(kernel, locals=loc.text()), self.counted(kernel), opening, block, one, finals)

    @staticmethod
    def counted(kernel: Kernel) -> bool:
        """Whether cotangents of tokens come in parts, which lie behind each other."""
        texts = (*kernel.locals, *(s.base for s in kernel.outputs), *(s.at for s in kernel.stores))
        return any("n_tokens" in t for t in texts)

    def _token_back(self, loc: Locals, stores: Sequence[Store], j: str, summed: Sequence[str]) -> tuple[str, ...]:
        f, q, self.returning = self.f, self.q, self.f.reads_again
        own = self.call(f.enter, loc, j, None, WIDE if j else "")
        lines = [f"b_stream = {own}", self.assigned(f.want, loc, j)]
        wanted = self.e.name((str(f.read.cotangent), 0))
        step = [self.advance_filter("slope", "state"), self.advance_filter("state", self.spread(wanted))]
        x = self.spread("b_stream")
        seen = [self.seen(self.e.name((f.stream.cotangent, 0)))]
        seen += [f"b_d_weight_{p} += {x} * b_state_{p}" for p in self.parts]
        seen += [f"b_d_rate_{p} += {x} * b_slope_{p}" for p in self.parts]
        lines += [*seen, *step] if f.read.late else [*step, *seen]
        if q.vjp.outputs:
            names = [f"{self.e.name((n, 0))}{'_j' if n in f.sums else ''}" for n in q.vjp.outputs]
            code = self.call(q.vjp, loc, j, self.site(j), WIDE if j else "")
            lines.append(f"{', '.join(names)} = {code}")
            lines += self._renamed()
        lines += [*summed, *(f"{self.e.name((n, 0))} += {self.e.name((n, 0))}_j" for n in f.sums)]
        self.returning = False
        return (*lines, *(self.stored(s, j or "k") for s in stores))

    def _renamed(self) -> list[str]:
        """What stores call a leaf's cotangent, where the adjoint has another name for it."""
        given = {self.d_leaf(x): self.p.adjoint.gradients.get(x.name) for x in self.token_leaves}
        pairs = [(own, self.e.name((n, 0))) for own, n in given.items() if n is not None]
        return [f"{own} = {name}" for own, name in pairs if own != name]

    def _kept(self, verb: str, loc: Locals) -> list[str]:
        """The lines that store the sums over time, or load them and add them up."""
        names, lines = self.numbers("d_weight", "d_rate"), []
        mask, lane = loc.mask(self.tile.full), loc.mask((0,))
        places = [(n, self.slot(k, loc), mask) for k, n in enumerate(names)]
        for k, n in enumerate(self.f.sums):
            at = f"{loc.lane()} + {len(names)} * {self.numel_state}{self._times(k)}"
            places.append((self.e.name((n, 0)), at, lane))
        for n, at, m in places:
            if verb == "tl.store":
                lines.append(f"tl.store(p_sums + {at}, {n}, mask={m})")
            else:
                lines.append(f"{n} += tl.load(p_sums + {at}, mask={m}, other=0.0)")
        return lines

    @property
    def row(self) -> str:
        """The numbers that the walk back sums for a row."""
        state = f"{len(self.numbers('d_weight', 'd_rate'))} * {self.numel_state}"
        return f"({state}{self._times(len(self.f.sums))})"

    def _times(self, k: int) -> str:
        """k numbers for every channel, added to an offset."""
        return f" + {k} * {self.tile.lanes}" if k > 1 else f" + {self.tile.lanes}" if k else ""

    # --- parameters ---------------------------------------------------------------------------------------------------

    def _system(self, loc: Locals, narrow: bool) -> list[str]:
        """The lines that work out coefficient and weights in float64."""
        e, made = self.e, self.f.system
        lines = [self.memory.parameter(x, loc, False) for x in self.parameters if (x.name, 0) in made.inputs]
        lines.append(f"{self.names(made)} = {e.call(made, self._fine(), self.index(loc, made))}")
        return lines + [f"{e.name((n, 0))} = {e.name((n, 0))}.to(tl.float32)" for n in made.outputs if narrow]

    def _tensors(self, *equations: Equation) -> list[str]:
        read = {n for e in equations for n, at in e.inputs if at == 0}
        held = {x.operand.name for x in self.parameters if x.name in read}
        return [self.name(o.name) for o in self.operands if o.name in held]

    def system(self) -> ChannelKernel:
        """The kernel that works out coefficient and weight."""
        f, loc = self.f, Locals(self.tile)
        lines = self._system(loc, False)
        zeros = f"tl.zeros({self.tile.shape(self.tile.full)}, tl.float32)"
        values = [v for x in (f.rate, times(f.into, f.out_of)) for v in x[: len(self.parts)]]
        for k, v in enumerate(values):
            lines.append(f"tl.store(system + {self.slot(k, loc)}, {v or zeros}, mask={loc.mask(self.tile.full)})")
        tensors = ", ".join([*self._tensors(f.system), "system"])
        return ChannelKernel(tensors, self._constants(), loc.text(), (), tuple(lines))

    def gradient(self) -> ChannelKernel:
        """The kernel that makes the parameters' cotangents."""
        f, q, a, m, loc = self.f, self.q, self.p.adjoint, self.memory, Locals(self.tile)
        given = [x for x in self.parameters if x.name in a.gradients]
        lines = self._system(loc, True)
        lines += f.cotangents()
        own = {(x.name, 0) for x in self.parameters} & set(q.hoist_vjp.inputs) - set(f.system.inputs)
        lines = [m.parameter(x, loc, False) for x in self.parameters if (x.name, 0) in own] + lines
        dims = dict(zip(q.hoist_vjp.outputs, q.hoist_vjp.dims, strict=True))
        if q.hoist_vjp.lines:
            targets = ", ".join(self.d_leaf(x) for x in given)
            lines.append(f"{targets} = {self.e.call(q.hoist_vjp, {}, self.index(loc, q.hoist_vjp))}")
        for x in given:
            value = self.d_leaf(x) if q.hoist_vjp.lines else self.e.name((a.gradients[x.name], 0))
            lines.append(m.sum_store(x, value, dims[a.gradients[x.name]], loc))
        added = self._kept("tl.load", loc)
        zeros = [(n, self.tile.full) for n in self.numbers("d_weight", "d_rate")]
        zeros += [(self.e.name((n, 0)), (0,)) for n in f.sums]
        opening = (*loc.text(), *(f"{n} = tl.zeros({self.tile.shape(d)}, tl.float32)" for n, d in zeros))
        grads = [self.name(f"d:{o.name}") for o in self.operands if not o.token and self.has_gradient(o)]
        tensors = ", ".join([*self._tensors(f.system, q.hoist_vjp), "sums", *grads])
        return ChannelKernel(tensors, self._constants(), opening, tuple(added), tuple(lines))

    def _constants(self) -> str:
        return ", ".join(f"{c}: tl.constexpr" for c in self.sizes())
