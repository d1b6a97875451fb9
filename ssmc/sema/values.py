"""Values on demand: each name's axes, type and defining node, lowered when first asked for: order does not matter."""

from __future__ import annotations

from dataclasses import dataclass, field

from ssmc.diagnostics.sink import Edit, Label
from ssmc.diagnostics.span import Span
from ssmc.ir import build as b
from ssmc.ir.expr import Node, Position, Ref, walk
from ssmc.ir.layer import Split, State, Value
from ssmc.sema import equations
from ssmc.sema.axes import Axes
from ssmc.sema.context import VALUE, Context, Refused
from ssmc.sema.expressions import lower
from ssmc.sema.scope import OutputOf, TargetOf
from ssmc.syntax import ast


@dataclass(frozen=True, slots=True)
class Offset:
    """A use of `prev` or `next`, kept for checks that need the whole layer."""

    name: str
    word: str
    target: Span
    span: Span
    init: Node | None


@dataclass(slots=True)
class Resolver(Axes):
    """Lowers declarations on demand and remembers the results. One per attempt; see `complex_states`."""

    values: dict[str, Value] = field(default_factory=dict)
    states: dict[str, State] = field(default_factory=dict)
    splits: dict[str, Split] = field(default_factory=dict)
    complex_states: set[str] = field(default_factory=set)
    draw_axes: tuple[str, ...] = ()
    failed: set[str] = field(default_factory=set)
    offsets: list[Offset] = field(default_factory=list)
    work: int = 0
    depth: int = 0
    behind: int = 0
    _active: list[tuple[str, bool]] = field(default_factory=list)
    _axes: dict[str, tuple[str, ...]] = field(default_factory=dict)
    _anonymous: dict[Node, str] = field(default_factory=dict)
    _uid: int = 0

    def lower(self, e: ast.Expr, ctx: Context) -> Node:
        """The node of an expression (see `ssmc/sema/expressions.py`)."""
        return lower(self, e, ctx)

    def next_uid(self) -> int:
        """A number no other draw has."""
        self._uid += 1
        return self._uid

    # --- references --------------------------------------------------------------------------------------------------

    def reference(self, e: ast.Name, ctx: Context) -> Node:
        """A bare name of a value."""
        decl = self.scope.names[e.id]
        if ctx.kind == "size":
            self.sink.report(
                "SSM0220",
                f"`{e.id}` is a value, and sizes are known before any value",
                e.span,
                "not known at construction",
                secondary=(Label(self.scope.spans[e.id], "declared here"),),
            )
            raise Refused
        if ctx.kind == "init" and not isinstance(decl, ast.Param):
            self.sink.report(
                "SSM0213",
                f"`{e.id}` has no value when parameters are initialised",
                e.span,
                "used in an initial value",
                secondary=(Label(self.scope.spans[e.id], "declared here"),),
                notes=("an initial value is made of numbers, indices, arguments, random draws and other parameters",),
            )
            raise Refused
        if e.id == ctx.own and not ctx.continuous:
            self.sink.report(
                "SSM0209",
                f"`{e.id}` on the right of its own update is the value being computed",
                e.span,
                "not known yet",
                help=f"write `prev({e.id})` for its value before this token",
                edit=Edit(e.span, f"prev({e.id})"),
            )
            raise Refused
        axes, dtype = self.signature(e.id, e.span)
        return b.ref(e.id, self.table.atoms(axes), dtype)

    def offset_reference(self, name: ast.Name, offset: int, init: tuple[Node, ast.Expr] | None, span: Span) -> Node:
        """`prev(name)` or `next(name)`."""
        self.behind += 1
        try:
            axes, dtype = self.signature(name.id, name.span)
        finally:
            self.behind -= 1
        atoms = self.table.atoms(axes)
        state = isinstance(self.scope.names[name.id], ast.State)
        if (
            init
            and init[0].dtype == "complex"
            and (state or name.id not in self.values)
            and name.id not in self.complex_states
        ):
            self.complex_states.add(name.id)  # a guess that was wrong: the next attempt knows better
            raise Refused
        self._check_start(init, atoms, dtype, Label(name.span, f"the value has axes {self.show(axes)}"))
        node = b.ref(name.id, atoms, dtype, offset, init[0] if init else None)
        self.offsets.append(Offset(name.id, "prev" if offset < 0 else "next", name.span, span, node.init))
        return node

    def anonymous(self, body: Node, e: ast.Expr, offset: int, init: tuple[Node, ast.Expr] | None, span: Span) -> Node:
        """`prev(expression)`: the expression becomes a value without a name of its own."""
        self.check_start(init, body, e)
        name = self.add_anonymous("previous" if offset < 0 else "following", body, span)
        node = b.ref(name, body.axes, body.dtype, offset, init[0] if init else None)
        self.offsets.append(Offset(name, "prev" if offset < 0 else "next", e.span, span, node.init))
        return node

    def check_start(self, init: tuple[Node, ast.Expr] | None, body: Node, e: ast.Expr) -> None:
        """What an expression starts from has none but its axes, and its type."""
        value = Label(e.span, f"the value has axes {self.show(self.dims(body))}")
        self._check_start(init, body.axes, body.dtype, value)

    def _check_start(
        self, init: tuple[Node, ast.Expr] | None, atoms: tuple[str, ...], dtype: str, value: Label
    ) -> None:
        if init is None:
            return
        node, e = init
        extra = [a for a in node.axes if a not in atoms]
        if extra:
            self.sink.report(
                "SSM0214",
                f"the starting value has an axis `{extra[0]}` that the value does not have",
                e.span,
                f"this has axes {self.show(self.dims(node))}",
                secondary=(value,),
            )
            raise Refused
        if node.dtype != dtype and not (node.dtype == "real" and dtype == "complex"):
            # Not refused: what reads it may show that the value is complex, and the next attempt finds no fault.
            self.sink.report(
                "SSM0206",
                f"the starting value is {node.dtype}, the value is {dtype}",
                e.span,
                f"{node.dtype}",
                secondary=(value,),
            )

    def add_anonymous(self, stem: str, body: Node, span: Span) -> str:
        """A value the spec does not name; equal expressions share one."""
        if body in self._anonymous:
            return self._anonymous[body]
        name, i = stem, 1
        while name in self.scope.names or name in self.values or name in self.scope.modules:
            i += 1
            name = f"{stem}_{i}"
        self.values[name] = Value(name, self.dims(body), body, span, anonymous=True)
        self._anonymous[body] = name
        return name

    # --- axes and types of names -------------------------------------------------------------------------------------

    def dims(self, node: Node) -> tuple[str, ...]:
        """The tensor dimensions of a value that declares none: runs of atoms that a value it reads has as one axis."""
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
                return self.remember(name, self.axes_of(decl.target)), "real"
            case ast.Param():
                return self.remember(name, self.axes_of(decl.target)), "complex" if decl.complex else "real"
            case ast.State():
                return self.remember(name, self.axes_of(decl.target)), self._guess(name)
            case OutputOf():
                return self.remember(name, self._output_axes(decl)), "real"
            case TargetOf():
                return self._equation_signature(name, decl, span)
        raise AssertionError(name)

    def _guess(self, name: str) -> str:
        """The type of a value in a circle: real until an attempt found otherwise."""
        return "complex" if name in self.complex_states else "real"

    def remember(self, name: str, axes: tuple[str, ...]) -> tuple[str, ...]:
        """Keep the dimensions of a value."""
        self._axes[name] = axes
        return axes

    def _output_axes(self, decl: OutputOf) -> tuple[str, ...]:
        if decl.target.axes is not None or decl.module.kind != "conv":
            return self.axes_of(decl.target)
        if decl.module.name.id in self._axes:
            return self._axes[decl.module.name.id]
        behind = self._enter(decl.module.name.id, decl.module.name.span)
        try:
            return self.dims_of(self.lower(decl.module.inputs[0], VALUE))
        finally:
            self._leave(behind)

    def dims_of(self, node: Node) -> tuple[str, ...]:
        """The dimensions of a node that is a plain reference, else those worked out."""
        return self._axes[node.name] if isinstance(node, Ref) and node.name in self._axes else self.dims(node)

    def _enter(self, name: str, span: Span) -> int:
        """Begin to work out a name; a circle is reported."""
        names = [n for n, _ in self._active]
        if name in names:
            around = self._active[names.index(name) :]
            chain = " -> ".join([*(n for n, _ in around), name])
            delayed = self.behind > 0 or any(offset for _, offset in around[1:])
            says = (
                f"the axes of `{name}` depend on its own previous value"
                if delayed
                else f"`{name}` is defined in terms of itself at the same token"
            )
            defined = self.scope.spans.get(name) or self.scope.modules[name].name.span
            self.sink.report(
                "SSM0210",
                says,
                span,
                "needed to know its axes",
                secondary=(Label(defined, "defined here"),),
                notes=(f"the circle is {chain}",),
                help=f"declare its axes: `{name}[N] = ...`"
                if delayed
                else "one of the references must be to the previous token: `prev(...)`",
            )
            raise Refused
        self._active.append((name, self.behind > 0))
        behind, self.behind = self.behind, 0
        return behind

    def _leave(self, behind: int) -> None:
        self._active.pop()
        self.behind = behind

    # --- equations ---------------------------------------------------------------------------------------------------

    def _equation_signature(self, name: str, decl: TargetOf, span: Span) -> tuple[tuple[str, ...], str]:
        if name not in self.values and not any(o.name == name for s in self.splits.values() for o in s.outputs):
            if decl.target.axes is not None and any(n == name for n, _ in self._active):
                return self.remember(name, self.axes_of(decl.target)), self._guess(name)
            behind = self._enter(name, span)
            try:
                equations.lower_equation(self, decl.equation)
            except Refused:
                self.failed.update(t.name.id for t in decl.equation.targets if t.name)
                raise
            finally:
                self._leave(behind)
        if name not in self.values:
            return self._axes[name], "real"
        v = self.values[name]
        return v.axes, v.node.dtype

    # --- values known before time starts -----------------------------------------------------------------------------

    def check_timeless(self, node: Node, e: ast.Expr, what: str) -> None:
        """Refuse a node that is not known before the first token."""
        if not self.timeless(node):
            self.sink.report("SSM0213", f"{what} changes in time", e.span, "must be known before the first token")
            raise Refused

    def timeless(self, node: Node) -> bool:
        """Whether a node is made of parameters, arguments and numbers only."""
        seen: set[str] = set()
        pending = [node]
        while pending:
            for n in walk(pending.pop()):
                if isinstance(n, Position) or (isinstance(n, Ref) and n.offset):
                    return False
                if isinstance(n, Ref) and n.name not in seen:
                    seen.add(n.name)
                    if n.name in self.values:
                        pending.append(self.values[n.name].node)
                    elif not isinstance(self.scope.names.get(n.name), ast.Param):
                        return False
        return True
