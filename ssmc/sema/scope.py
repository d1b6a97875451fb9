"""What names stand for. One namespace holds arguments, axes and values; every name is bound once.

The scope is filled by one walk over the statements, which also decides every `if` from the settings the compilation was
given. Values are then lowered on demand (`ssmc/sema/values.py`), so that equations may stand in any order.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, fields, replace

from ssmc.diagnostics.sink import Diagnostic, Label, Sink
from ssmc.diagnostics.span import Span
from ssmc.diagnostics.suggest import did_you_mean
from ssmc.ir.layer import LayerArg
from ssmc.sema.words import FUNCTION_NAMES, RESERVED
from ssmc.syntax import ast
from ssmc.syntax.unparse import expression

Setting = int | float | bool | str
Decide = Callable[[ast.Expr], bool | None]


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
    """Names and their declarations, in order, and where each was bound.

    `elsewhere` holds the names that only branches bind which were not taken, with the condition under which they exist;
    `mentioned` every name that such a branch reads. `refused` are names whose declaration was reported.
    """

    sink: Sink
    settings: dict[str, Setting]
    names: dict[str, Declaration] = field(default_factory=dict)
    spans: dict[str, Span] = field(default_factory=dict)
    modules: dict[str, ast.Module] = field(default_factory=dict)
    returns: list[ast.Return] = field(default_factory=list)
    axes_used: set[str] = field(default_factory=set)
    structural: dict[str, Setting] = field(default_factory=dict)
    elsewhere: dict[str, tuple[Span, str]] = field(default_factory=dict)
    mentioned: set[str] = field(default_factory=set)
    refused: set[str] = field(default_factory=set)
    missing: dict[str, Diagnostic] = field(default_factory=dict)

    def bind(self, name: ast.Name, declaration: Declaration) -> bool:
        """Bind a name, unless it is taken or reserved."""
        if name.id in RESERVED:
            self.refused.add(name.id)
            self.sink.report(
                "SSM0202",
                f"`{name.id}` is reserved: it is {RESERVED[name.id]}",
                name.span,
                "bound here",
                help=f"choose another name, such as `{name.id}_`",
            )
            return False
        if name.id in self.names or name.id in self.modules:
            first = self.spans[name.id] if name.id in self.names else self.modules[name.id].name.span
            self.twice(name, first)
            return False
        self.names[name.id] = declaration
        self.spans[name.id] = name.span
        return True

    def twice(self, name: ast.Name, first: Span) -> None:
        """Report a name that is bound already."""
        fresh = next(n for n in (f"{name.id}_{i}" for i in range(2, len(self.names) + 3)) if n not in self.names)
        self.sink.report(
            "SSM0202",
            f"`{name.id}` is bound twice",
            name.span,
            "bound again here",
            secondary=(Label(first, "first bound here"),),
            notes=("a name stands for one value everywhere, so an equation cannot overwrite another",),
            help=f"give this one a name of its own, such as `{fresh}`",
        )

    def unknown(self, name: ast.Name, what: str = "a value") -> None:
        """Report a name that is not bound, once, with what the writer may have meant."""
        if name.id in self.missing:
            self._earlier(name)
        if name.id in self.refused:
            return
        self.refused.add(name.id)
        count = len(self.sink.items)
        self._report_unknown(name, what)
        if len(self.sink.items) > count:
            self.missing[name.id] = self.sink.items[-1]

    def _earlier(self, name: ast.Name) -> None:
        """Of several places with one unknown name, the first in the text is shown."""
        found = self.missing[name.id]
        if name.span.start < found.primary.span.start and found in self.sink.items:
            moved = replace(found, primary=Label(name.span, found.primary.text))
            self.sink.items[self.sink.items.index(found)] = self.missing[name.id] = moved

    def _report_unknown(self, name: ast.Name, what: str) -> None:
        if name.id in self.elsewhere:
            place, condition = self.elsewhere[name.id]
            self.sink.report(
                "SSM0201",
                f"`{name.id}` is bound in one branch only",
                name.span,
                "has no value here",
                secondary=(Label(place, f"bound only if {condition}"),),
                help="bind it in the other branch too, or use it inside the same branch",
            )
            return
        if name.id in self.modules:
            outputs = " or ".join(f"`{o.name.id}`" for o in self.modules[name.id].outputs if o.name)
            self.sink.report(
                "SSM0201",
                f"`{name.id}` is a module whose outputs have names of their own",
                name.span,
                "used as a value",
                secondary=(Label(self.modules[name.id].name.span, "declared here"),),
                help=f"use its output {outputs}",
            )
            return
        if name.id in FUNCTION_NAMES:
            self.sink.report(
                "SSM0204", f"`{name.id}` is a function", name.span, "used as a value", help=f"call it: `{name.id}(...)`"
            )
            return
        declared = [n for n, d in self.names.items() if isinstance(d, ast.AxisDef)]
        axes = declared + [n for n, d in self.names.items() if _is_int(d)]
        near = did_you_mean(name.id, axes if what == "an axis" else [*self.names, *RESERVED])
        advice = None
        if what == "a value":
            advice = f"write an equation for it, `{name.id} = ...`, or declare it with `param` or `input`"
        if near is None and what == "an axis":
            advice = f"declare it: `axis {name.id} = ...`" + (
                f"; the axes are {', '.join(f'`{a}`' for a in declared or axes)}" if axes else ""
            )
        self.sink.report(
            "SSM0201",
            f"`{name.id}` is not {what} of this layer",
            name.span,
            "not found",
            help=f"did you mean `{near}`?" if near else advice,
        )

    def collect(self, statements: tuple[ast.Statement, ...], decide: Decide) -> None:
        """Bind every name the statements declare; `decide` tells the value of a condition, None if it has none."""
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
                    self._def(s)
                case ast.If():
                    self._if(s, decide)
                case ast.Return():
                    self.returns.append(s)

    def _if(self, s: ast.If, decide: Decide) -> None:
        decided = decide(s.test)
        written = f"`{expression(s.test)}`"
        if decided is None:  # reported; what the branches bind is not reported again
            self.refused.update(n for branch in (s.body, s.orelse) for n, _ in bound(branch))
            self.mentioned.update(_mentions((s.body, s.orelse)))
            return
        taken, left = (s.body, s.orelse) if decided else (s.orelse, s.body)
        for n, span in bound(left):
            self.elsewhere.setdefault(n, (span, f"not {written}" if decided else written))
        self.mentioned.update(_mentions(left))
        self.collect(taken, decide)

    def _def(self, s: ast.Def) -> None:
        if s.name.id in FUNCTION_NAMES:
            self.sink.report(
                "SSM0202",
                f"`{s.name.id}` is a function of the language",
                s.name.span,
                "defined again here",
                help=f"give it a name of its own, such as `my_{s.name.id}`",
            )
            self.refused.add(s.name.id)
            return
        self.bind(s.name, s)

    def _module(self, s: ast.Module) -> None:
        outputs = s.outputs or (ast.Typed(s.name.span, s.name, None),)
        own = any(o.name is None or o.name.id == s.name.id for o in outputs)
        if s.name.id in self.modules or (not own and s.name.id in self.names):
            self.twice(
                s.name, self.modules[s.name.id].name.span if s.name.id in self.modules else self.spans[s.name.id]
            )
            self.refused.update(n for n, _ in bound((s,)))
            return
        for i, o in enumerate(outputs):
            self.bind(o.name or s.name, OutputOf(s, o, i))
            self._use(o)
        self.modules[s.name.id] = s

    def _use(self, target: ast.Typed) -> None:
        self.axes_used.update(a.id for a in target.axes or ())


def _is_int(d: Declaration) -> bool:
    return isinstance(d, LayerArg) and d.kind == "int"


def bound(statements: tuple[ast.Statement, ...]) -> Iterator[tuple[str, Span]]:
    """The names that statements bind, in all branches."""
    for s in statements:
        match s:
            case ast.Axis():
                yield from ((d.name.id, d.name.span) for d in s.defs)
            case ast.Input() | ast.Param() | ast.State():
                assert s.target.name is not None
                yield s.target.name.id, s.target.name.span
            case ast.Equation():
                yield from ((t.name.id, t.name.span) for t in s.targets if t.name)
            case ast.Module():
                outputs = [o.name or s.name for o in s.outputs] or [s.name]
                yield from ((n.id, n.span) for n in outputs)
            case ast.Def():
                yield s.name.id, s.name.span
            case ast.If():
                yield from bound(s.body)
                yield from bound(s.orelse)


def _mentions(tree: object) -> Iterator[str]:
    """Every name in a syntax tree."""
    for node in nodes(tree):
        if isinstance(node, ast.Name):
            yield node.id


def nodes(*roots: object) -> Iterator[object]:
    """Every node of syntax trees, without recursion."""
    stack = list(roots)
    while stack:
        x = stack.pop()
        if isinstance(x, tuple):
            stack.extend(x)
        elif hasattr(x, "__dataclass_fields__"):
            yield x
            stack.extend(getattr(x, f.name) for f in fields(x))  # type: ignore[arg-type]


def equation_order(scope: Scope) -> list[str]:
    """The names of equations, each after those it names: lowered in this order, no chain of them nests."""
    targets = {n: d for n, d in scope.names.items() if isinstance(d, TargetOf)}
    done: dict[str, None] = {}
    entered: set[str] = set()
    stack = [(n, False) for n in reversed(targets)]
    while stack:
        name, leave = stack.pop()
        if leave:
            done[name] = None
        elif name not in entered:
            entered.add(name)
            stack.append((name, True))
            reads = {n.id for n in nodes(targets[name].equation.value) if isinstance(n, ast.Name) and n.id in targets}
            stack.extend((n, False) for n in sorted(reads, reverse=True))
    return list(done)
