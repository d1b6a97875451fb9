"""The host side of a time-invariant recurrence that begins at zero: what is made, passed to kernels and returned."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from ssmc.backends.triton.equations import Equation
from ssmc.backends.triton.fresh_contexts import FreshLaunch, FreshOp
from ssmc.backends.triton.fresh_functions import FreshFunctions
from ssmc.backends.triton.fresh_op import READ, FreshKernels
from ssmc.backends.triton.launch import Host
from ssmc.backends.triton.memory import splits
from ssmc.codegen.op_text import OpText
from ssmc.ir.program import FilterProgram
from ssmc.ir.regions import Operand


def fresh(o: OpText, f: FilterProgram, helpers: set[str]) -> FreshOp:
    """The context of the kernels of an op and of their launches; raises Unfit if these kernels do not serve it."""
    k = FreshKernels(FreshFunctions(o, f))
    t, walks, adjoint, system, gradient = k.tile, k.forward(), k.adjoint(), k.system(), k.gradient()
    helpers |= {*k.e.helpers, "tl_inside"}
    return FreshOp(
        stem=o.stem,
        equations=tuple(k.e.made),
        lane=t.letter,
        lanes=t.lanes,
        block=t.block,
        step=k.step,
        back=k.back,
        row=k.row,
        complex_state=k.f.complex,
        system=system,
        walks=walks,
        adjoint=adjoint,
        gradient=gradient,
        launch=FreshHost(k).fresh(adjoint.counted),
    )


class FreshHost(Host):
    """Builds the context of the launches."""

    k: FreshKernels

    def fresh(self, counted: bool) -> FreshLaunch:
        """The context."""
        k, q, f, names, o, t = self.k, self.k.q, self.k.f, self.names, self.o, self.k.tile
        c, first = self.carried[0], self.first
        forward, returning = k.used(q.prepare, q.read), k.used(q.prepare, f.want, q.vjp)
        entering = k.used(q.prepare) if f.reads_again else []
        seeds = [self.seed(r.name) for r in k.seeded(f.want, q.vjp)]
        results = [names(f"y:{r.name}") for r in self.p.results]
        held, read = self._parameters(q.held), names(READ)
        gradients = [x for x in self.operands if k.has_gradient(x)]
        both = {x.name: x for x in k.streamed([*returning, *entering])}
        complex_, lanes = c.dtype == "complex", self.product(t.channels)
        state = f"{4 if complex_ else 2} * {self.product((*t.inner, *t.channels))}"
        dtype = "torch.complex64" if complex_ else "torch.float32"
        streams, back, into = self.streams(forward), self.streams(returning), self.streams(entering)
        again = [read] if f.reads_again else []
        tokens = [self._buffer(x) for x in gradients if x.token]
        own = [self._buffer(x) for x in gradients if not x.token]
        return FreshLaunch(
            operands=", ".join(map(self.operand, o.operands)),
            state=names(c.of),
            scalars="".join(f", {s.name}" for s in o.scalars),
            cotangents=", ".join([*(self.seed(r.name) for r in self.p.results), names(f"g_last:{c.of}")]),
            first=first,
            sizes=o.size_lines(),
            made=tuple(self._result(r.name, r.axes, len(r.parts) > 1) for r in self.p.results),
            numbers=" * ".join(["rows", *map(o.size, (*t.channels, *t.inner))]),
            lanes=lanes,
            inner=" * ".join(f"_pow2({o.size(a)})" for a in t.inner),
            tokens="8" if len([*back, *seeds, *again]) <= 3 else "4",
            constants=self._constants(),
            prepared=tuple(self._prepared(k.streamed(forward))),
            prepared_back=(*self._prepared(both.values()), *(f"{s} = _reals(_rows_of({s}))" for s in seeds)),
            system_size=state,
            sums_size=f"rows, {state}" + (f" + {len(f.sums)} * {lanes}" if f.sums else ""),
            system=", ".join([*self._parameters(self._read(f.system)), "system"]),
            filter=self._args([*streams, *held, "system", *(f"_reals({r})" for r in results)], streams),
            returned=", ".join([*results, f"{first}.new_empty(0, dtype={dtype})"]),
            reads=self._args([*into, *held, "system", read], into) if again else "",
            read=read,
            read_size=f"{first}.shape[0], T, {lanes}",
            adjoint=self._args([*back, *held, "system", *seeds, *again, "sums", *tokens], [*back, *seeds], counted),
            gradients=tuple(map(self.made, gradients)),
            gradient=", ".join([*self._parameters(self._read(f.system, q.hoist_vjp)), "sums", *own]),
            finished=tuple(self.finished(x) for x in gradients if self.partial(x)),
            returned_back=(
                *(names(f"d:{x.name}") if x in gradients else f"{first}.new_empty(0)" for x in o.operands),
                f"{first}.new_empty(0)",
            ),
        )

    def tokens(self) -> str:
        """For how many tokens there are parts: for all."""
        return f"{self.first}.shape[0] * T"

    def partial(self, o: Operand) -> bool:
        """Whether an operand's cotangent comes in parts: rows are summed before."""
        return self.k.tile.lacks_all(o.atoms) or bool(splits(self.k.tile, o.atoms))

    def gathers(self, o: Operand) -> bool:
        """No: there is one launch."""
        return False

    def parts(self, o: Operand) -> list[str]:
        """In how many parts a cotangent comes, as factors: rows are summed before."""
        if not self.partial(o):
            return []
        lacking = splits(self.k.tile, o.atoms)
        return [self.o.size(a) for a in lacking] or ["n_blocks"]

    def _buffer(self, o: Operand) -> str:
        name = self.names(f"d:{o.name}")
        return name if self.partial(o) else f"_reals({name})"

    def _read(self, *equations: Equation) -> set[str]:
        return {n for e in equations for n, at in e.inputs if at == 0}

    def _parameters(self, read: Iterable[str]) -> list[str]:
        """The operands behind the parameters that functions read."""
        read = set(read)
        found = {x.operand.name for x in self.k.parameters if x.name in read}
        return [self.operand(o) for o in self.operands if o.name in found]

    def _args(self, tensors: Sequence[str], streams: Sequence[str], counted: bool = False) -> str:
        """The arguments of a walk."""
        return self.passed(tensors, [f"{self.first}.shape[0] * T"] if counted else [], streams)
