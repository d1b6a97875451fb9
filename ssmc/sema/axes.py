"""The axes of a layer: declared sizes, composite axes, and the names in brackets."""

from __future__ import annotations

from dataclasses import dataclass, field

from ssmc.diagnostics.sink import Label, Sink
from ssmc.ir import build as b
from ssmc.ir.axes import Axis, AxisTable
from ssmc.ir.expr import Const, Draw, Index, Node, Position, Ref, Size, walk
from ssmc.ir.layer import LayerArg
from ssmc.sema import sizes
from ssmc.sema.context import SIZE, Context, Refused
from ssmc.sema.scope import Scope, nodes
from ssmc.syntax import ast
from ssmc.syntax.unparse import expression

MAX_LEVELS = 50


@dataclass(slots=True)
class Axes:
    """The axes of one attempt; the part of the resolver that knows no values."""

    scope: Scope
    sink: Sink
    table: AxisTable = field(default_factory=lambda: AxisTable({}))
    declaring: list[str] = field(default_factory=list)
    levels: dict[str, int] = field(default_factory=dict)

    def lower(self, e: ast.Expr, ctx: Context) -> Node:
        """The node of an expression."""
        raise NotImplementedError

    def declare_axes(self) -> None:
        """Lower every `axis`, and decide which composite axes are split: those with a factor used by itself."""
        for name, d in self.scope.names.items():
            if isinstance(d, ast.AxisDef):
                self._declare_axis(name, d)
        used = self.scope.axes_used
        split = {n for n, a in self.table.axes.items() if self._reaches(a.factors, used)}
        self.table = AxisTable(self.table.axes, frozenset(split))

    def _reaches(self, factors: tuple[str, ...], used: set[str]) -> bool:
        return any(f in used or self._reaches(self.table.axes[f].factors, used) for f in factors)

    def _declare_axis(self, name: str, d: ast.AxisDef) -> None:
        if name in self.table.axes:
            return
        if name in self.declaring:
            circle = [*self.declaring[self.declaring.index(name) :], name]
            self.sink.report(
                "SSM0220",
                f"the size of `{name}` depends on itself",
                d.span,
                "in a circle",
                secondary=tuple(Label(self.scope.spans[n], "through this") for n in circle[1:-1]),
                notes=("the circle is " + " -> ".join(circle),),
                help="give one of them a size of the layer's arguments: `axis " + f"{name} = ...`",
            )
            raise Refused
        self.declaring.append(name)
        try:
            if len(self.declaring) + max((self.levels.get(n, 0) for n in self._named(d.size)), default=0) > MAX_LEVELS:
                self.sink.report(
                    "SSM0226",
                    f"the size of `{name}` is made of too many axes",
                    d.size.span,
                    f"more than {MAX_LEVELS} one above the other",
                    help="write the size with the layer's arguments",
                )
                raise Refused
            factors = self._factors(d.size)
            for n in self._named(d.size):
                self._declare_axis(n, self.scope.names[n])  # type: ignore[arg-type]
            self.levels[name] = 1 + max((self.levels.get(n, 0) for n in self._named(d.size)), default=0)
            size = self.lower(d.size, SIZE)
            self._check_size(name, size, d)
        except Refused:
            size, factors = b.ONE, ()
        finally:
            self.declaring.pop()
        if name not in self.table.axes:
            self.table.axes[name] = Axis(name, size, factors if len(factors) > 1 else (), d.span)

    def _named(self, e: ast.Expr) -> list[str]:
        found = [
            n.id for n in nodes(e) if isinstance(n, ast.Name) and isinstance(self.scope.names.get(n.id), ast.AxisDef)
        ]
        return sorted(set(found), key=list(self.scope.names).index)

    def _factors(self, e: ast.Expr) -> tuple[str, ...]:
        match e:
            case ast.Binary(op="*"):
                left, right = self._factors(e.left), self._factors(e.right)
                return left + right if left and right and not set(left) & set(right) else ()
            case ast.Name() if isinstance(self.scope.names.get(e.id), ast.AxisDef):
                return (e.id,)
        return ()

    def _check_size(self, name: str, size: Node, d: ast.AxisDef) -> None:
        """A size is a positive whole number, as far as is known before the layer is constructed."""
        if size.dtype == "bool":
            self.sink.report("SSM0220", f"the size of `{name}` is true or false", d.size.span, "not a number")
            raise Refused
        if size.axes or any(isinstance(n, Ref | Position | Draw | Index) for n in walk(size)):
            self.sink.report(
                "SSM0220",
                f"the size of `{name}` depends on a value of the layer",
                d.size.span,
                "not known at construction",
                notes=("a size is an expression of the layer's arguments and of other axes",),
            )
            raise Refused
        value = sizes.value(size, self.scope, self.table)
        shown = (
            f"`{name}` would be {sizes.shown(value)}"
            if value is not None and not isinstance(size, Const)
            else "not a size"
        )
        if value is not None and (value <= 0 or value.denominator != 1):
            what = "not positive" if value <= 0 else "not a whole number"
            self.sink.report(
                "SSM0220",
                f"the size of `{name}` is {what}",
                d.size.span,
                shown,
                help="divide with `//`, or round with `ceil(...)` or `floor(...)`" if value.denominator != 1 else None,
            )
            raise Refused

    def axis(self, name: ast.Name) -> str:
        """The axis a name in brackets stands for; an int argument is the axis of that size."""
        if name.id in self.table.axes:
            return name.id
        decl = self.scope.names.get(name.id)
        if isinstance(decl, LayerArg) and decl.kind == "int":
            self.table.axes[name.id] = Axis(name.id, b.arg(name.id, "real"), (), name.span)
            size = sizes.value(self.table.axes[name.id].size, self.scope, self.table)
            if size is not None and size <= 0:
                self.sink.report(
                    "SSM0220",
                    f"the axis `{name.id}` has the size {sizes.shown(size)}",
                    self.scope.spans[name.id],
                    "not positive",
                    secondary=(Label(name.span, "used as an axis"),),
                    help="give it a positive default, or none",
                )
                raise Refused
            return name.id
        if decl is None:
            self.scope.unknown(name, "an axis")
        elif name.id not in self.scope.refused:
            kind = (
                f"an argument of kind {decl.kind}"
                if isinstance(decl, LayerArg)
                else "a function"
                if isinstance(decl, ast.Def)
                else "a value"
            )
            wanted = (
                "an `int` argument's name is the axis of that size"
                if isinstance(decl, LayerArg)
                else "axes stand in brackets, values do not"
            )
            self.sink.report(
                "SSM0201",
                f"`{name.id}` is {kind}, not an axis",
                name.span,
                "used as an axis",
                secondary=(Label(self.scope.spans[name.id], "declared here"),),
                notes=(wanted,),
                help="declare an axis: `axis N = ...`",
            )
        raise Refused

    def axes_of(self, target: ast.Typed) -> tuple[str, ...]:
        """The axes written in brackets; none without."""
        out: list[str] = []
        for a in target.axes or ():
            axis = self.axis(a)
            if axis in out:
                self.sink.report(
                    "SSM0214",
                    f"axis `{axis}` is written twice",
                    a.span,
                    "again here",
                    help=f"declare a second axis of the same size, `axis {self._fresh(axis)} = {axis}`, and write that",
                )
                raise Refused
            shared = [x for x in out if set(self.table.atoms((x,))) & set(self.table.atoms((axis,)))]
            if shared:
                self.sink.report(
                    "SSM0214",
                    f"`{axis}` and `{shared[0]}` share an axis",
                    a.span,
                    f"{axis} = {self.show_size(axis)}",
                    notes=(self.describe(axis), self.describe(shared[0])),
                    help=f"declare a second axis of the same size, `axis {self._fresh(axis)} = {axis}`, and write that",
                )
                raise Refused
            out.append(axis)
        return tuple(out)

    def _fresh(self, axis: str) -> str:
        candidates = ["M", "L", "P", "Q", *(f"{axis}_{i}" for i in range(2, len(self.scope.names) + 3))]
        return next(c for c in candidates if c not in self.scope.names)

    # --- words about axes --------------------------------------------------------------------------------------------

    def show(self, axes: tuple[str, ...]) -> str:
        """Axes as text: `[E, N]`."""
        return "[" + ", ".join(axes) + "]"

    def show_size(self, axis: str) -> str:
        """The size of an axis as it was written."""
        d = self.scope.names.get(axis)
        return expression(d.size) if isinstance(d, ast.AxisDef) else axis

    def describe(self, axis: str) -> str:
        """`E = expand * d_model`; of an argument, its name."""
        return f"{axis} = {self.show_size(axis)}" if self.show_size(axis) != axis else axis

    def different(self, a: str, z: str) -> str:
        """Why two axes are not one, with their sizes."""
        return f"{self.describe(a)} and {self.describe(z)} are different axes"

    def declared(self, axes: tuple[str, ...], text: str) -> tuple[Label, ...]:
        """Labels at the declarations of axes."""
        return tuple(Label(self.scope.spans[a], text.format(a)) for a in axes if a in self.scope.spans)

    def same_size(self, a: str, z: str) -> bool:
        """Whether two axes are visibly of one size."""
        return self._expand_size(b.size(a)) is self._expand_size(b.size(z))

    def _expand_size(self, node: Node) -> Node:
        def replace(n: Node) -> Node | None:
            return (
                self._expand_size(self.table.axes[n.axis].size)
                if isinstance(n, Size) and n.axis in self.table.axes
                else None
            )

        return b.substitute(node, replace)
