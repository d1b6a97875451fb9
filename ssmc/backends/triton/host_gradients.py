"""The host side of an op's gradients: what room they get, and what is summed afterwards."""

from __future__ import annotations

from ssmc.backends.triton.kernel_op import Kernels
from ssmc.backends.triton.memory import splits
from ssmc.codegen.names import Names
from ssmc.codegen.op_text import OpText
from ssmc.ir.program import Program
from ssmc.ir.regions import Operand


class Gradients:
    """The lines that make an op's gradients, and sums of parts of them."""

    k: Kernels
    o: OpText
    p: Program
    names: Names

    def given(self, o: Operand) -> str:
        """An operand as the way back was given it."""
        return f"inputs[{[x.name for x in self.o.operands].index(o.name)}]"

    def partial(self, o: Operand) -> bool:
        """Whether an operand's cotangent comes in parts that are summed afterwards."""
        t = self.k.tile
        return not o.token or t.lacks_all(o.atoms) or bool(splits(t, o.atoms))

    def gathers(self, o: Operand) -> bool:
        """Whether these parts are summed as soon as a piece of time is done with, if it takes several launches."""
        return o.token and self.partial(o)

    def parts(self, o: Operand) -> list[str]:
        """In how many parts a cotangent comes, as factors."""
        t, n = self.k.tile, [] if o.token else ["turns.rows"]
        return [*n, "n_blocks"] if t.lacks_all(o.atoms) else [*n, *map(self.o.size, splits(t, o.atoms))]

    def tokens(self) -> str:
        """For how many tokens there are parts."""
        return "turns.tokens"

    def sum(self, o: Operand) -> str:
        """What parts are gathered in."""
        return self.names(f"sum:d:{o.name}")

    def made(self, o: Operand) -> str:
        """The line that makes room for an operand's gradient or its parts."""
        name = self.names(f"d:{o.name}")
        parts = [x.part for x in self.p.leaves if x.operand.name == o.name and x.name in self.p.adjoint.gradients]
        whole = o.dtype != "complex" or len(parts) == 2
        if not self.partial(o):
            room = "_room" if o in self.k.beside() else "_like"
            return f"{name} = {room}({self.given(o)})" if whole else f"{name} = _like({self.given(o)}).zero_()"
        runs = ' // fixed["RUN"]' if self.k.in_runs(o) else ""
        tokens = f", {self.tokens()}" if o.token else ""
        made = f"_parts({' * '.join(self.parts(o))}{runs}, {self.given(o)}{tokens})"
        return f"{name} = {made}" if whole else f"{name} = {made}.zero_()"

    def finished(self, o: Operand) -> str:
        """The line that sums parts."""
        name = self.names(f"d:{o.name}")
        gathered = f"{self.sum(o)} if turns.rooms > 0 else " if self.gathers(o) else ""
        return f"{name} = {gathered}_summed({name}, {self.given(o)})"
