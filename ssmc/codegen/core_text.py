"""What the forms of an op that stand around a core share as text: names, parameters, results and gradients."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace

from ssmc.codegen.eager_pieces import leaf_source, names_read, targets
from ssmc.codegen.op_text import OpText
from ssmc.ir.program import FilterProgram, Let, OuterProgram, Result
from ssmc.lower.share import slice_lets


class CoreText:
    """Writes in the names of an op whose program has no fields: everything stands before or after the core. `tokens` is
    the code of how many tokens are at hand."""

    def __init__(self, op: OpText, f: FilterProgram | OuterProgram, reads: Sequence[str], tokens: str) -> None:
        weights = f.given if isinstance(f, FilterProgram) else ()  # weights precede time
        adjoint = replace(f.adjoint, accumulated=(*f.adjoint.accumulated, *weights))
        program = replace(
            op.program,
            fields=(),
            ports=(),
            hoisted=f.hoisted,
            prologue=f.prologue,
            update=(),
            epilogue=f.epilogue,
            adjoint=adjoint,
        )
        self.o = OpText(op.layer, program, op.stem, op.op, op.reference_name, op.title, op.kernel)
        self.sections, self.reads, self.tokens = f, tuple(reads), tokens
        self.carried = self.o.r.carried[0]
        self.streaming = [leaf for leaf in self.o.program.leaves if leaf.operand.token]
        self.results = [part for res in self.o.program.results for part in res.parts]
        self.atoms = self.o.sorted(self.carried.atoms)

    def moving(self) -> list[str]:
        """The streaming leaves that have a gradient."""
        return [x.name for x in self.streaming if x.name in self.sections.adjoint.gradients]

    # --- which assignments are needed ---

    def forward(self, inputs: Iterable[str]) -> tuple[Let, ...]:
        """What the results and the core's inputs need."""
        return slice_lets([*self.sections.prologue, *self.sections.epilogue], [*self.results, *inputs])

    @property
    def sums(self) -> list[str]:
        """The cotangents that are summed over tokens here; the core gives the others."""
        f = self.sections
        used = names_read(f.adjoint.hoisted) | set(f.adjoint.gradients.values())
        return [n for n in f.adjoint.accumulated if n in used]

    def backward(self, cotangents: Iterable[str], inputs: Iterable[str]) -> list[Let]:
        """What the reads' cotangents, the leaves' gradients, the sums and the core's inputs need."""
        f, a = self.sections, self.sections.adjoint
        gradients = [a.gradients[n] for n in self.moving()]
        body = [*f.prologue, *f.epilogue, *a.epilogue, *a.prologue]
        wanted = [*cotangents, *gradients, *inputs, *self.sums, *self.summed()]
        return [let for let in slice_lets(body, wanted) if let.name not in a.accumulated]

    def summed(self) -> set[str]:
        """What the sums are made of."""
        return names_read(self.o.let(n) for n in self.sums)

    # --- what is known before time starts ---

    def parameters(self) -> tuple[str, ...]:
        """The lines that load parameters and work out what they alone determine, in float64."""
        o, lines = self.o, []
        for leaf in o.program.leaves:
            if not leaf.operand.token:
                view = o.view(leaf.operand.axes)[0]
                lines.append(f"{o.names(leaf.name)} = _fine({leaf_source(o, leaf)}){view}")
        return (*lines, *o.lines(o.program.hoisted))

    def narrowed(self, wanted: set[str]) -> tuple[str, ...]:
        """The line that takes what tokens need of it in the dtype of the rest."""
        o = self.o
        early = [x.name for x in o.program.leaves if not x.operand.token]
        used = [o.names(n) for n in (*early, *(let.name for let in o.program.hoisted)) if n in wanted]
        return (f"{targets(used)} = _narrow(dtype, {', '.join(used)})",) if used else ()

    def let_axes(self, name: str) -> tuple[str, ...]:
        """The axes an assignment stands for."""
        return next(let.atoms for let in self.sections.hoisted if let.name == name)

    # --- shapes ---

    @staticmethod
    def permuted(order: Sequence[int], lead: int = 0) -> str:
        """The code that permutes all but the leading dimensions."""
        if list(order) == list(range(len(order))):
            return ""
        return f".permute({', '.join(str(i) for i in (*range(lead), *(i + lead for i in order)))})"

    def lead(self, axes: Sequence[str]) -> str:
        """Sizes of a token value."""
        return ", ".join(["rows", self.tokens, *self.o.shape(axes)])

    def spread(self, name: str, axes: Sequence[str]) -> str:
        """A value at every row, token and index of the axes, which stand in canonical order."""
        o = self.o
        code = o.aligned(name, axes)
        if name in o.early_names or set(o.reference(name).axes) != set(axes):
            code += f".expand({self.lead(axes)})"
        return code

    def d_read(self, cotangent: str | None, axes: Sequence[str]) -> str:
        """The cotangent of a read at every index; zeros if nothing depends on it."""
        if cotangent is None:
            return f"{self.o.names(self.streaming[0].operand.name)}.new_zeros(({self.lead(axes)}), dtype=dtype)"
        return self.spread(cotangent, axes)

    # --- what comes out ---

    def part(self, name: str, atoms: Sequence[str]) -> str:
        """A part of a result at every index."""
        for read in self.reads:
            if read in (name, f"{name}:after"):
                return self.o.names(read)
        return self.o.expanded(name, atoms, "-1, -1, ")

    def result(self, res: Result, codes: Sequence[str], flip: str) -> str:
        """A result as it leaves the op, from the code of its parts."""
        back = self.o.view(res.axes)[1]
        if len(codes) == 1:
            return f"_as({codes[0]}{flip}{back}, {self.o.dtype_of(res.name, 'dtype', 'y_dtype')})"
        return f"_own(torch.complex({', '.join(codes)}){flip}{back})"

    def total(self, cotangent: str) -> str:
        """The sum over rows and tokens of a cotangent of something known before time."""
        own = cotangent.removeprefix("d:")
        found = next((x.atoms for x in self.o.program.hoisted if x.name == own), None)
        if found is None:
            found = next(x.operand.atoms for x in self.o.program.leaves if x.name == own)
        return self.o.total(cotangent, found)

    def gradient(self, leaf: str) -> str:
        """The gradient of a streaming leaf at every index."""
        found = next(x for x in self.o.program.leaves if x.name == leaf)
        return self.o.expanded(self.sections.adjoint.gradients[leaf], found.operand.atoms, "-1, -1, ")
