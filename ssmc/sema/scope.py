"""What names stand for. One namespace holds arguments, axes and values; every name is bound once.

The scope is filled by one walk over the statements, which also decides every `if` from the settings the compilation was
given. Values are then lowered on demand (`ssmc/sema/values.py`), so that equations may stand in any order.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from ssmc.diagnostics.sink import Label, Sink
from ssmc.diagnostics.span import Span
from ssmc.diagnostics.suggest import did_you_mean
from ssmc.ir.layer import LayerArg
from ssmc.syntax import ast

Setting = int | float | bool | str

RESERVED = {"t": "the token's position", "start": "`t == 0`", "pi": "the number", "inf": "infinity"}


@dataclass(frozen=True, slots=True)
class OutputOf:
    """A named output of a module."""

    module: ast.Module
    target: ast.Typed
    index: int


@dataclass(frozen=True, slots=True)
class TargetOf:
    """One target of an equation."""

    equation: ast.Equation
    target: ast.Typed
    index: int


Declaration = ast.AxisDef | ast.Input | ast.Param | OutputOf | TargetOf | ast.State | ast.Def | LayerArg


@dataclass(slots=True)
class Scope:
    """Names and their declarations, in order, and where each was bound."""

    sink: Sink
    settings: dict[str, Setting]
    names: dict[str, Declaration] = field(default_factory=dict)
    spans: dict[str, Span] = field(default_factory=dict)
    modules: dict[str, ast.Module] = field(default_factory=dict)
    returns: list[ast.Return] = field(default_factory=list)
    axes_used: set[str] = field(default_factory=set)
    structural: dict[str, Setting] = field(default_factory=dict)

    def bind(self, name: ast.Name, declaration: Declaration) -> None:
        """Bind a name, unless it is taken or reserved."""
        if name.id in RESERVED:
            self.sink.report(
                "SSM0202", f"`{name.id}` is reserved: it is {RESERVED[name.id]}", name.span, "bound here",
                help=f"choose another name, such as `{name.id}_`",
            )  # fmt: skip
            return
        if name.id in self.names:
            self.sink.report(
                "SSM0202",
                f"`{name.id}` is bound twice",
                name.span,
                "bound again here",
                secondary=(Label(self.spans[name.id], "first bound here"),),
                notes=("a name stands for one value everywhere, so an equation cannot overwrite another",),
                help=f"give this one a name of its own, such as `{name.id}_2`",
            )
            return
        self.names[name.id] = declaration
        self.spans[name.id] = name.span

    def unknown(self, name: ast.Name, what: str = "a value") -> None:
        """Report a name that is not bound, with the nearest one that is."""
        near = did_you_mean(name.id, [*self.names, *RESERVED])
        self.sink.report(
            "SSM0201",
            f"`{name.id}` is not {what} of this layer",
            name.span,
            "not found",
            help=f"did you mean `{near}`?" if near else None,
        )

    def test(self, expr: ast.Expr) -> Setting | None:
        """The value of a condition on layer arguments; records which arguments it fixes at compile time."""
        match expr:
            case ast.Boolean():
                return expr.value
            case ast.Name():
                arg = self.names.get(expr.id)
                if not isinstance(arg, LayerArg):
                    choices = {c for d in self.names.values() if isinstance(d, LayerArg) for c in d.choices}
                    if expr.id in choices:
                        return expr.id
                    self.unknown(expr, "a bool or named-list argument")
                    return None
                if arg.kind not in ("bool", "choice"):
                    self.sink.report(
                        "SSM0212", f"`if` cannot test `{arg.name}`, an argument of kind {arg.kind}", expr.span, "tested here",
                        notes=("a condition changes the layer's structure: it tests a `bool` or a named-list argument",),
                    )  # fmt: skip
                    return None
                value = arg.fixed
                assert value is not None
                self.structural[arg.name] = value
                return value
            case ast.Unary(op="not"):
                inner = self.test(expr.operand)
                return None if inner is None else not inner
            case ast.Binary(op="and" | "or" | "==" | "!=" as op):
                left, right = self.test(expr.left), self.test(expr.right)
                if left is None or right is None:
                    return None
                return {"and": left and right, "or": left or right, "==": left == right, "!=": left != right}[op]
        self.sink.report(
            "SSM0212", "a condition combines `bool` and named-list arguments", expr.span, "cannot be decided when compiling",
            help="for a condition on values of the layer use `where(condition, a, b)`",
        )  # fmt: skip
        return None

    def collect(self, statements: tuple[ast.Statement, ...]) -> None:
        """Bind every name the statements declare."""
        for s in statements:
            match s:
                case ast.Axis():
                    for d in s.defs:
                        self.bind(d.name, d)
                case ast.Input() | ast.Param() | ast.State():
                    assert s.target.name is not None
                    self.bind(s.target.name, s)
                    self._use(s.target)
                case ast.Module():
                    self._module(s)
                case ast.Equation():
                    for i, target in enumerate(s.targets):
                        assert target.name is not None
                        self.bind(target.name, TargetOf(s, target, i))
                        self._use(target)
                case ast.Def():
                    self.bind(s.name, s)
                case ast.If():
                    decided = self.test(s.test)
                    if decided is not None:
                        self.collect(s.body if decided else s.orelse)
                case ast.Return():
                    self.returns.append(s)

    def _module(self, s: ast.Module) -> None:
        outputs = s.outputs or (ast.Typed(s.name.span, s.name, None),)
        own = any(o.name is None or o.name.id == s.name.id for o in outputs)
        if not own and s.name.id in self.names:
            self.bind(s.name, self.names[s.name.id])
        self.modules[s.name.id] = s
        for i, o in enumerate(outputs):
            self.bind(o.name or s.name, OutputOf(s, o, i))
            self._use(o)

    def _use(self, target: ast.Typed) -> None:
        self.axes_used.update(a.id for a in target.axes or ())
