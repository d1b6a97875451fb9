"""One op as text: names, sizes, views and assignments, from which each template's context is put together."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from ssmc.codegen.einsum import einsum
from ssmc.codegen.names import Names
from ssmc.codegen.torch_printer import TorchPrinter
from ssmc.diagnostics.span import Source, Span
from ssmc.ir import build as b
from ssmc.ir.expr import Arg, Index, Node, Ref, Size, walk
from ssmc.ir.layer import Layer
from ssmc.ir.linear import factors
from ssmc.ir.program import Let, Program
from ssmc.ir.regions import Carried


@dataclass(frozen=True, slots=True)
class Scalar:
    """A number the op is given beside its tensors: an argument of the layer, or the size of an axis no operand
    shows."""

    name: str
    kind: str
    argument: str
    axis: str


class OpText:
    """Knows the names and prints the expressions of one op."""

    def __init__(
        self,
        layer: Layer,
        program: Program,
        stem: str,
        op: str,
        reference: str,
        title: str,
        kernel: bool,
        beside: frozenset[str] = frozenset(),
    ) -> None:
        self.layer, self.program, self.stem, self.op, self.reference_name, self.title = (
            layer,
            program,
            stem,
            op,
            reference,
            title,
        )
        self.kernel = kernel
        self.beside = beside  # operands whose gradients are written where those of their neighbours will be
        self.spec = base_name(layer.source)
        self.r = program.recurrence
        self.names = Names(
            (
                *("T", "t", "i_t", "j_t", "chunks", "starts", "dtype", "rows", "hs", "i", "grads", "first", stem, op),
                *("config", "fixed", "inputs", "given", "n_blocks", "slots", "products", "ends", "programs", "at_once"),
                *("system", "reads", "streams", "d_reads", "d_weight", "mode", "filters", "last", "found", "turned"),
                *("wanted", "kept", "scores", "table", "grid", "across", "keep", "cuts", "turns", "begin", "sums"),
            )
        )
        atoms = [a for c in self.r.carried for a in c.atoms]
        every = [a for let in self._all_lets() for a in (*let.atoms, *let.node.axes)] + [
            a for f in program.leaves for a in f.operand.atoms
        ]
        self.order = list(dict.fromkeys([*atoms, *every]))
        self.operands = tuple(o for o in self.r.operands)
        for name in (*(o.name for o in self.operands), *(c.of for c in self.r.carried)):
            self.names(name)
        self.early_names = self._early()
        self.scalars = self._scalars()
        self.printer = self._printer()

    @property
    def streams(self) -> str:
        """The operands whose dtypes, promoted, are that of the results that are not fine; none if all are."""
        if {*self.r.results} <= {*self.r.fine}:
            return ""
        return ", ".join(self.names(x.name) for x in self.r.operands if x.token and not x.wide)

    def dtype_of(self, result: str, finest: str, else_: str = "") -> str:
        """The dtype of a result: `finest`, if it is fine, or that of the operands (`else_`, where that has a name)."""
        return finest if result in self.r.fine else else_ or f"_stream_dtype({self.streams})"

    # --- names, sizes, views ----------------------------------------------------------------------------------------

    def _all_lets(self) -> Iterable[Let]:
        p, a = self.program, self.program.adjoint
        return (*p.hoisted, *p.prologue, *p.update, *p.epilogue, *a.epilogue, *a.update, *a.prologue, *a.hoisted)

    def _early(self) -> frozenset[str]:
        """Names known before time starts: they have no leading dimensions."""
        early = {leaf.name for leaf in self.program.leaves if not leaf.operand.token}
        for let in self._all_lets():
            if let.name in self.program.adjoint.accumulated:
                continue
            refs = [n for n in walk(let.node) if isinstance(n, Ref)]
            if all(n.offset == 0 and (n.name in early or n.name in self.program.adjoint.accumulated) for n in refs):
                early.add(let.name)
        return frozenset(early | set(self.program.adjoint.accumulated))

    def _ref(self, r: Ref) -> str:
        return self.names(r.name) if r.offset == 0 else self.names(f"{r.name}:prev")

    def _printer(self) -> TorchPrinter:
        first = next(leaf for leaf in self.program.leaves) if self.program.leaves else None
        like = self.names(first.operand.name) if first else "h"
        return TorchPrinter(
            self._ref,
            self.order,
            lambda r: r.name not in self.early_names,
            {s.argument: s.name for s in self.scalars if s.argument},
            self.size,
            like,
        )

    def size(self, axis: str) -> str:
        """The local name of an axis's size."""
        return self.names(axis)

    def width(self, c: Carried) -> str:
        """The numbers of a row of a state."""
        return " * ".join([*(["2"] if c.dtype == "complex" else []), *(self.size(a) for a in c.atoms)]) or "1"

    def _visible(self) -> dict[str, str]:
        """Sizes that operands show: axis to code."""
        out: dict[str, str] = {}
        for o in self.operands:
            for i, a in enumerate(o.axes):
                out.setdefault(a, f"{self.names(o.name)}.shape[{i + 2 if o.token else i}]")
        return out

    def _needed_axes(self) -> list[str]:
        axes: dict[str, None] = {}
        for c in self.r.carried:
            axes.update(dict.fromkeys((*c.axes, *c.atoms)))
        for res in self.program.results:
            axes.update(dict.fromkeys((*res.axes, *res.atoms)))
        for leaf in self.program.leaves:
            axes.update(dict.fromkeys((*leaf.operand.axes, *leaf.operand.atoms)))
        for let in self._all_lets():
            axes.update(dict.fromkeys(n.axis for n in walk(let.node) if isinstance(n, Size)))
        return list(axes)

    def _scalars(self) -> tuple[Scalar, ...]:
        kinds = {a.name: a.kind for a in self.layer.args}
        out: dict[str, Scalar] = {}
        nodes = [d.node for d in self.r.definitions.values()] + [c.init for c in self.r.carried if c.init is not None]
        for n in walk(*nodes):
            if isinstance(n, Arg):
                out[n.name] = Scalar(self.names(n.name), kinds[n.name], n.name, "")
        visible = self._visible()
        for axis in self._needed_axes():
            if axis not in visible and self._composite(axis) is None:
                out[f"size {axis}"] = Scalar(self.size(axis), "int", "", axis)
        return tuple(out.values())

    def _composite(self, axis: str) -> tuple[str, ...] | None:
        atoms = self.layer.axes.atoms((axis,))
        return atoms if len(atoms) > 1 else None

    def size_lines(self) -> tuple[str, ...]:
        """Local names for all sizes."""
        visible = self._visible()
        given = {s.axis for s in self.scalars}
        lines = []
        for axis in self._needed_axes():
            if axis in given:
                continue
            code = visible.get(axis)
            if code is None:
                code = " * ".join(self.size(a) for a in self._composite(axis) or ())
            lines.append((".shape" not in code, f"{self.size(axis)} = {code}"))
        return tuple(text for _, text in sorted(lines, key=lambda x: x[0]))

    def shape(self, axes: Sequence[str]) -> tuple[str, ...]:
        """Sizes of axes as code."""
        return tuple(self.size(a) for a in axes)

    def view(self, axes: Sequence[str]) -> tuple[str, str]:
        """Code that takes a tensor with these dimensions to atoms in canonical order, and the code that takes it
        back."""
        forward = back = ""
        n = len(axes)
        for i, a in enumerate(axes):
            parts = self._composite(a)
            if parts:
                at = i - n
                sizes = ", ".join(self.shape(parts))
                forward += f".unflatten({at}, ({sizes}))"
                back = f".flatten({at - len(parts) + 1}, {at})" + back
        atoms = self.layer.axes.atoms(axes)
        want = self.sorted(atoms)
        if want != atoms:
            k = len(atoms)
            source = ", ".join(str(atoms.index(a) - k) for a in want)
            target = ", ".join(str(i - k) for i in range(k))
            forward += f".movedim(({source}), ({target}))"
            back = f".movedim(({target}), ({source}))" + back
        return forward, back

    def sorted(self, atoms: Sequence[str]) -> tuple[str, ...]:
        """Atoms in canonical order."""
        return tuple(a for a in self.order if a in atoms)

    # --- lines ------------------------------------------------------------------------------------------------------

    def comment(self, span: Span, said: set[int]) -> str:
        """`mamba.ssm:17`, once for each statement within `said`."""
        line = self.layer.source.line_of(span)
        if span.end == 0 or line in said:
            return ""
        said.add(line)
        return f"{self.spec}:{line}"

    def line(self, target: str, code: str, span: Span, said: set[int]) -> str:
        """An assignment, with its place in the spec where that changes."""
        where = self.comment(span, said)
        return f"{target} = {code}" + (f"  # {where}" if where else "")

    def lines(self, lets: Iterable[Let], said: set[int] | None = None) -> tuple[str, ...]:
        """Assignments as text; `said` collects the spec lines already named."""
        mark = set() if said is None else said
        return tuple(self.line(self.names(let.name), self.tensor(let.node), let.span, mark) for let in lets)

    def tensor(self, node: Node) -> str:
        """The code of an expression as a tensor, also where it is one number: assignments are expanded and paired."""
        code = self.printer(node)
        if any(isinstance(n, Ref | Index) for n in walk(node)):
            return code
        return f"{self.printer.like}.new_full((), {code}, dtype=dtype)"

    def used(self, lets: Iterable[Let], among: Iterable[str]) -> tuple[str, ...]:
        """Which of the names the assignments read, in the order given."""
        read = {n.name for let in lets for n in walk(let.node) if isinstance(n, Ref) and n.offset == 0}
        return tuple(n for n in among if n in read)

    # --- pieces -----------------------------------------------------------------------------------------------------

    def start(self, c: Carried, first: str, given: Mapping[str, str]) -> str:
        """The value of a state before the first token, on its atoms; `given` is the code of operands as they stand."""
        kind = "_complex_of(dtype)" if c.dtype == "complex" else "dtype"
        zeros = f"{first}.new_zeros({', '.join(['rows', *self.shape(self.sorted(c.atoms))])}, dtype={kind})"
        if c.init is None:
            return zeros
        numbers = {s.argument: s.name for s in self.scalars if s.argument}
        printer = TorchPrinter(
            lambda r: given.get(r.name) or self.names(r.name), self.order, lambda r: False, numbers, self.size, first
        )
        return f"({zeros} + {printer(c.init, c.atoms, 11)})"

    def let(self, name: str) -> Let:
        """The assignment of a name."""
        return next(x for x in self._all_lets() if x.name == name)

    def reference(self, name: str) -> Ref:
        """A reference to an assigned name, a leaf, or the cotangent of a field, on the axes it really has."""
        given = {x.name: x.operand.atoms for x in self.program.leaves}
        given |= {f"d:{f.name}": f.atoms for f in self.program.fields}
        return b.ref(name, given[name] if name in given else self.let(name).node.axes, "real")

    def aligned(self, name: str, atoms: Sequence[str]) -> str:
        """The code of a name with a dimension for each of the atoms."""
        return self.printer(self.reference(name), atoms)

    def expanded(self, name: str, atoms: Sequence[str], lead: str) -> str:
        """The code of a name at every index of the atoms; `lead` spells the leading dimensions."""
        code = self.aligned(name, atoms)
        if set(self.reference(name).axes) != set(atoms):
            code += f".expand({lead}{', '.join(self.shape(self.sorted(atoms)))})"
        return code

    def total(self, name: str, atoms: Sequence[str]) -> str:
        """The sum of an assignment over rows and tokens, aligned to the atoms."""
        let = self.let(name)
        parts = factors(let.node)
        kept = self.printer.sort(let.node.axes)
        if len(parts) == 2 and all(self._streams(x) for x in parts):
            code = einsum(self.printer, parts, kept, "zt", drop_lead=True)
        else:
            code = f"{self.printer(let.node, level=15)}.sum((0, 1))"
        want = self.printer.sort(atoms)
        if want != kept:
            code += "[" + ", ".join(":" if a in kept else "None" for a in want) + "]"
        return code

    def _streams(self, node: Node) -> bool:
        return any(isinstance(n, Ref) and n.name not in self.early_names for n in walk(node))


def base_name(source: Source) -> str:
    """The file name of a spec, without its directory. A name is a stranger's text: what could end a comment, a
    string or
    a command of the output becomes an underscore."""
    name = source.name.replace("\\", "/").rsplit("/", 1)[-1]
    return re.sub(r"[^\w.<> +@=,()-]", "_", name).lstrip("-") or "_"
