"""Values on demand: each name's axes, type and defining node, lowered when first asked for, so that order does not matter."""

from __future__ import annotations

from dataclasses import dataclass, field

from ssmc.diagnostics.sink import Edit, Label, Sink
from ssmc.diagnostics.span import Span
from ssmc.discretize import rules
from ssmc.ir import build as b
from ssmc.ir.axes import Axis, AxisTable
from ssmc.ir.expr import Const, Node, Position, Ref, Size, walk
from ssmc.ir.layer import LayerArg, State, Value
from ssmc.sema import continuous
from ssmc.sema.context import INIT, SIZE, VALUE, Context, Refused
from ssmc.sema.expressions import lower
from ssmc.sema.scope import OutputOf, Scope, TargetOf
from ssmc.syntax import ast


@dataclass(slots=True)
class Resolver:
    """Lowers declarations on demand and remembers the results. One per attempt; see `complex_states`."""

    scope: Scope
    sink: Sink
    table: AxisTable = field(default_factory=lambda: AxisTable({}))
    values: dict[str, Value] = field(default_factory=dict)
    states: dict[str, State] = field(default_factory=dict)
    complex_states: set[str] = field(default_factory=set)
    draw_axes: tuple[str, ...] = ()
    failed: set[str] = field(default_factory=set)
    _active: list[str] = field(default_factory=list)
    _axes: dict[str, tuple[str, ...]] = field(default_factory=dict)
    _uid: int = 0
    _anonymous: int = 0

    # --- axes -----------------------------------------------------------------------------------------------------------

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
        factors = self._factors(d.size)
        for f in factors:
            decl = self.scope.names[f]
            assert isinstance(decl, ast.AxisDef)
            self._declare_axis(f, decl)
        try:
            size = self.lower(d.size, SIZE)
        except Refused:
            size = b.ONE
        if size.axes or any(isinstance(n, Ref | Position) for n in walk(size)):
            self.sink.report(
                "SSM0220", f"the size of `{name}` depends on a value of the layer", d.size.span, "not known at construction",
                notes=("a size is an expression of the layer's arguments and of other axes",),
            )  # fmt: skip
            size = b.ONE
        self.table.axes[name] = Axis(name, size, factors if len(factors) > 1 else (), d.span)

    def _factors(self, e: ast.Expr) -> tuple[str, ...]:
        match e:
            case ast.Binary(op="*"):
                left, right = self._factors(e.left), self._factors(e.right)
                return left + right if left and right and not set(left) & set(right) else ()
            case ast.Name() if isinstance(self.scope.names.get(e.id), ast.AxisDef):
                return (e.id,)
        return ()

    def axis(self, name: ast.Name) -> str:
        """The axis a name in brackets stands for; an int argument is the axis of that size."""
        if name.id in self.table.axes:
            return name.id
        decl = self.scope.names.get(name.id)
        if isinstance(decl, LayerArg) and decl.kind == "int":
            self.table.axes[name.id] = Axis(name.id, b.arg(name.id, "real"), (), name.span)
            return name.id
        if decl is None:
            self.scope.unknown(name, "an axis")
        else:
            self.sink.report(
                "SSM0201", f"`{name.id}` is not an axis", name.span, "used as an axis",
                secondary=(Label(self.scope.spans[name.id], "declared here"),),
                help="declare it: `axis N = ...`",
            )  # fmt: skip
        raise Refused

    def axes_of(self, target: ast.Typed) -> tuple[str, ...]:
        """The axes written in brackets; none without."""
        out: list[str] = []
        for a in target.axes or ():
            axis = self.axis(a)
            if axis in out:
                self.sink.report(
                    "SSM0214", f"axis `{axis}` is written twice", a.span, "again here",
                    help=f"declare a second axis of the same size: `axis M = {axis}`",
                )  # fmt: skip
                raise Refused
            out.append(axis)
        return tuple(out)

    def show(self, axes: tuple[str, ...]) -> str:
        """Axes as text: `[E, N]`."""
        return "[" + ", ".join(axes) + "]"

    def show_size(self, axis: str) -> str:
        """The size of an axis as it was written."""
        d = self.scope.names.get(axis)
        if isinstance(d, ast.AxisDef):
            from ssmc.syntax.unparse import expression

            return expression(d.size)
        return axis

    def same_size(self, a: str, z: str) -> bool:
        """Whether two axes are visibly of one size."""
        return self._expand_size(b.size(a)) is self._expand_size(b.size(z))

    def _expand_size(self, node: Node) -> Node:
        def replace(n: Node) -> Node | None:
            return self._expand_size(self.table.axes[n.axis].size) if isinstance(n, Size) else None

        return b.substitute(node, replace)

    # --- values ---------------------------------------------------------------------------------------------------------

    def lower(self, e: ast.Expr, ctx: Context) -> Node:
        """The node of an expression (see `ssmc/sema/expressions.py`)."""
        return lower(self, e, ctx)

    def next_uid(self) -> int:
        """A number no other draw has."""
        self._uid += 1
        return self._uid

    def reference(self, e: ast.Name, ctx: Context) -> Node:
        """A bare name of a value."""
        decl = self.scope.names[e.id]
        if ctx.kind == "size":
            self.sink.report("SSM0220", f"`{e.id}` is a value, and sizes are known before any value", e.span, "used in a size")
            raise Refused
        if ctx.kind == "init" and not isinstance(decl, ast.Param):
            self.sink.report("SSM0213", f"`{e.id}` has no value when parameters are initialised", e.span, "used in an initial value")
            raise Refused
        if e.id == ctx.own and not ctx.continuous:
            self.sink.report(
                "SSM0209", f"`{e.id}` on the right of its own update is the value being computed", e.span, "not known yet",
                help=f"write `prev({e.id})` for its value before this token", edit=Edit(e.span, f"prev({e.id})"),
            )  # fmt: skip
            raise Refused
        axes, dtype = self.signature(e.id, e.span)
        return b.ref(e.id, self.table.atoms(axes), dtype, span=e.span)

    def offset_reference(self, name: ast.Name, offset: int, init: Node | None, span: Span) -> Node:
        """`prev(name)` or `next(name)`."""
        axes, dtype = self.signature(name.id, name.span)
        atoms = self.table.atoms(axes)
        if init is not None and not set(init.axes) <= set(atoms):
            self.sink.report("SSM0203", "the starting value has axes that the value does not have", span, f"it has {self.show(init.axes)}")
            raise Refused
        return b.ref(name.id, atoms, dtype, offset, init, span)

    def anonymous(self, body: Node, offset: int, init: Node | None, span: Span) -> Node:
        """`prev(expression)`: the expression becomes a value without a name of its own."""
        name = self.add_anonymous("previous" if offset < 0 else "following", body, span)
        return b.ref(name, body.axes, body.dtype, offset, init, span)

    def add_anonymous(self, stem: str, body: Node, span: Span) -> str:
        """A value the spec does not name; equal expressions share one."""
        for v in self.values.values():
            if v.anonymous and v.node is body:
                return v.name
        name, i = stem, 1
        while name in self.scope.names or name in self.values:
            i += 1
            name = f"{stem}_{i}"
        self.values[name] = Value(name, self.dims(body), body, span, anonymous=True)
        return name

    def dims(self, node: Node) -> tuple[str, ...]:
        """The tensor dimensions of a value that declares none: runs of atoms that a referenced value holds as one axis."""
        preferred: dict[str, None] = {}
        for n in walk(node):
            if isinstance(n, Ref) and n.name in self._axes:
                preferred.update(dict.fromkeys(self._axes[n.name]))
        return self.table.regroup(node.axes, preferred)

    def signature(self, name: str, span: Span) -> tuple[tuple[str, ...], str]:
        """Axes (as dimensions) and type of a value."""
        if name in self.failed:
            raise Refused
        decl = self.scope.names[name]
        match decl:
            case ast.Input():
                return self._remember(name, self.axes_of(decl.target)), "real"
            case ast.Param():
                return self._remember(name, self.axes_of(decl.target)), "complex" if decl.complex else "real"
            case ast.State():
                return self._remember(name, self.axes_of(decl.target)), "complex" if name in self.complex_states else "real"
            case OutputOf():
                return self._remember(name, self._output_axes(decl)), "real"
            case TargetOf():
                return self._equation_signature(name, decl, span)
        raise AssertionError(name)

    def _remember(self, name: str, axes: tuple[str, ...]) -> tuple[str, ...]:
        self._axes[name] = axes
        return axes

    def _output_axes(self, decl: OutputOf) -> tuple[str, ...]:
        if decl.target.axes is not None or decl.module.kind != "conv":
            return self.axes_of(decl.target)
        self._enter(decl.module.name.id, decl.module.name.span)
        try:
            return self.dims_of(self.lower(decl.module.inputs[0], VALUE))
        finally:
            self._active.pop()

    def dims_of(self, node: Node) -> tuple[str, ...]:
        """The dimensions of a node that is a plain reference, else those worked out."""
        return self._axes[node.name] if isinstance(node, Ref) and node.name in self._axes else self.dims(node)

    def _enter(self, name: str, span: Span) -> None:
        if name in self._active:
            chain = " -> ".join([*self._active[self._active.index(name) :], name])
            self.sink.report(
                "SSM0210", f"`{name}` is defined in terms of itself at the same token", span, "needed to know its axes",
                secondary=(Label(self.scope.spans[name], "defined here"),) if name in self.scope.spans else (),
                notes=(f"the circle is {chain}",),
                help="use `prev(...)` to reach the previous token, and declare the axes: " + f"`{name}[...] = ...`",
            )  # fmt: skip
            raise Refused
        self._active.append(name)

    def _equation_signature(self, name: str, decl: TargetOf, span: Span) -> tuple[tuple[str, ...], str]:
        if name not in self.values:
            if name in self._active and decl.target.axes is not None:
                return self._remember(name, self.axes_of(decl.target)), "real"
            self._enter(name, span)
            try:
                self._lower_equation(decl.equation)
            except Refused:
                self.failed.update(t.name.id for t in decl.equation.targets if t.name)
                raise
            finally:
                self._active.pop()
        v = self.values[name]
        return v.axes, v.node.dtype

    def _lower_equation(self, e: ast.Equation) -> None:
        if len(e.targets) == 1:
            nodes: tuple[Node, ...] = (self.lower(e.value, VALUE),)
        else:
            nodes = self._pair(e)
        for target, node in zip(e.targets, nodes, strict=True):
            assert target.name is not None
            name = target.name.id
            axes = self._declared(target, node) if target.axes is not None else self.dims(node)
            self.values[name] = Value(name, self._remember(name, axes), node, e.span)

    def _pair(self, e: ast.Equation) -> tuple[Node, ...]:
        call = e.value
        if not (isinstance(call, ast.Call) and call.func.id in rules() and len(e.targets) == 2):
            self.sink.report(
                "SSM0204", f"{len(e.targets)} names for one value", e.span, "several values come only from a discretization",
                help="write `a_bar, b_bar = zoh(A, B, dt)`",
            )  # fmt: skip
            raise Refused
        return continuous.discretize_call(self, call)

    def _declared(self, target: ast.Typed, node: Node) -> tuple[str, ...]:
        axes = self.axes_of(target)
        if sorted(self.table.atoms(axes)) != sorted(node.axes):
            self.sink.report(
                "SSM0214", "the value has other axes than declared", target.span, f"declared {self.show(axes)}",
                secondary=(Label(node.span, f"this has axes {self.show(self.dims(node))}"),) if node.span.end else (),
                notes=("declared axes fix the order of a value's axes; to remove one, sum over it, to add one, multiply by a value on it",),
            )  # fmt: skip
            raise Refused
        return axes

    # --- states ---------------------------------------------------------------------------------------------------------

    def lower_state(self, d: ast.State) -> None:
        """The discrete update of a state."""
        assert d.target.name is not None
        name = d.target.name.id
        axes, dtype = self.signature(name, d.span)
        own = b.ref(name, self.table.atoms(axes), dtype)
        source: State | None = None
        if d.continuous:
            update, origin = continuous.discretize_state(self, d, own)
            source = State(name, axes, dtype, update, origin, d.allow_unstable, d.span)
        else:
            update = self.lower(d.value, Context("value", own=name))
        if update.dtype == "complex" and dtype == "real":
            self.complex_states.add(name)
        if sorted(update.axes) != sorted(own.axes):
            self._report_shapes(d, update, axes)
            raise Refused
        self.states[name] = source or State(name, axes, dtype, update, None, d.allow_unstable, d.span)

    def _report_shapes(self, d: ast.State, update: Node, axes: tuple[str, ...]) -> None:
        own = set(self.table.atoms(axes))
        culprit = d.value.span
        for part in continuous.summands(d.value):
            try:
                node = self.lower(part, Context("value", own=d.updated.id, continuous=d.continuous))
            except Refused:
                continue
            if not set(node.axes) <= own:
                culprit, update = part.span, node
                break
        extra = [a for a in update.axes if a not in own]
        missing = [a for a in self.table.atoms(axes) if a not in update.axes]
        notes = []
        if extra:
            notes.append(f"the state has no axis `{extra[0]}`, and equal sizes do not make two axes one")
        elif missing:
            notes.append(f"nothing in the update varies along `{missing[0]}`")
        shape = self.show(self.dims(update))
        self.sink.report(
            "SSM0203", "terms of the state update have different shapes", culprit, f"this term has shape {shape}",
            secondary=(Label(d.target.span, f"the state has shape {self.show(axes)}"),),
            notes=tuple(notes),
            help=f"sum over `{extra[0]}`, rename it with `[{extra[0]} as ...]`, or give the state that axis" if extra else
                 "use `prev(...)` of the state, or drop the axis from the state",
        )  # fmt: skip

    # --- checks ---------------------------------------------------------------------------------------------------------

    def check_timeless(self, node: Node, e: ast.Expr, what: str) -> None:
        """Refuse a node that is not known before the first token."""
        for n in walk(node):
            if isinstance(n, Position) or (isinstance(n, Ref) and not self._timeless(n.name)):
                self.sink.report("SSM0213", f"{what} changes in time", e.span, "must be known before the first token")
                raise Refused

    def _timeless(self, name: str) -> bool:
        if name in self.values:
            return all(self._timeless(r.name) and not r.offset for r in walk(self.values[name].node) if isinstance(r, Ref))
        return isinstance(self.scope.names.get(name), ast.Param)

    def lower_init(self, e: ast.Expr | None, axes: tuple[str, ...], default: Node | None, what: ast.Name | Span) -> Node | None:
        """An initial value on the given axes."""
        if e is None:
            return default
        self.draw_axes = axes
        node = self.lower(e, INIT)
        extra = [a for a in node.axes if a not in self.table.atoms(axes)]
        if extra:
            self.sink.report(
                "SSM0214", f"the initial value has an axis `{extra[0]}` that the parameter does not have", e.span,
                f"this has axes {self.show(node.axes)}, the parameter {self.show(axes)}",
            )  # fmt: skip
            raise Refused
        return node

    def is_number(self, node: Node) -> bool:
        """Whether the node is one exact number."""
        return isinstance(node, Const) and not isinstance(node.value, bool)
