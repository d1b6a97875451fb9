"""The syntax tree of a spec: what was written, where, and nothing that needs to be worked out.

Every node is frozen and carries its span. Trivia (comments, blank lines) are kept beside the tree for `ssmc fmt`.
"""

from __future__ import annotations

from dataclasses import dataclass

from ssmc.diagnostics.span import Span

# --- expressions ---------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Number:
    """A literal, kept as text so that `1e-3` stays exact: `16`, `0.5`, `1e-3`."""

    span: Span
    text: str


@dataclass(frozen=True, slots=True)
class Boolean:
    """`true` or `false`."""

    span: Span
    value: bool


@dataclass(frozen=True, slots=True)
class Name:
    """A name in an expression: a value, an axis (its size), a layer argument, or a choice of a named list."""

    span: Span
    id: str


@dataclass(frozen=True, slots=True)
class Unary:
    """`-x`, `+x` or `not x`."""

    span: Span
    op: str
    operand: Expr


@dataclass(frozen=True, slots=True)
class Binary:
    """`left op right`; op is one of `+ - * / // % ** < <= > >= == != and or`."""

    span: Span
    op: str
    left: Expr
    right: Expr


@dataclass(frozen=True, slots=True)
class Conditional:
    """`then if test else orelse`."""

    span: Span
    test: Expr
    then: Expr
    orelse: Expr


@dataclass(frozen=True, slots=True)
class Keyword:
    """`name = value` inside a call."""

    span: Span
    name: Name
    value: Expr


@dataclass(frozen=True, slots=True)
class Call:
    """`f(args, key = value)` or, over axes, `sum[N](args)`."""

    span: Span
    func: Name
    axes: tuple[Name, ...] | None
    args: tuple[Expr, ...]
    keywords: tuple[Keyword, ...]


@dataclass(frozen=True, slots=True)
class Rename:
    """`h[N as M, K as L]`."""

    span: Span
    value: Expr
    pairs: tuple[tuple[Name, Name], ...]


@dataclass(frozen=True, slots=True)
class Choices:
    """`zoh | bilinear`: only the default of a layer argument, and the words a named list offers."""

    span: Span
    names: tuple[Name, ...]


Expr = Number | Boolean | Name | Unary | Binary | Conditional | Call | Rename | Choices

# --- statements ----------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Argument:
    """A layer argument: `d_state = 16`, `rate: float`."""

    span: Span
    name: Name
    annotation: Name | None
    default: Expr | None


@dataclass(frozen=True, slots=True)
class AxisDef:
    """One `E = expand * d_model` of an `axis` statement."""

    span: Span
    name: Name
    size: Expr


@dataclass(frozen=True, slots=True)
class Axis:
    """`axis E = expand * d_model, N = d_state`."""

    span: Span
    defs: tuple[AxisDef, ...]


@dataclass(frozen=True, slots=True)
class Typed:
    """A name with its axes: `u[d_model]`, `x`, `[d_model]`. `name` is None only for an unnamed module output;
    `axes` is None where no brackets were written."""

    span: Span
    name: Name | None
    axes: tuple[Name, ...] | None


@dataclass(frozen=True, slots=True)
class Input:
    """`input u[d_model]`, `input reset = 0`."""

    span: Span
    target: Typed
    default: Expr | None


@dataclass(frozen=True, slots=True)
class Param:
    """`param A_log[E, N] complex = init in [lo, hi] no_decay fixed as "key"`. `tags` holds `no_decay`, `fixed`."""

    span: Span
    target: Typed
    complex: bool
    init: Expr | None
    range: tuple[Expr, Expr] | None
    tags: tuple[Name, ...]
    alias: str | None


@dataclass(frozen=True, slots=True)
class Option:
    """`width = 4` of a module, or a bare `bias` (value None)."""

    span: Span
    name: Name
    value: Expr | None


@dataclass(frozen=True, slots=True)
class Module:
    """`linear` or `conv` (kind): inputs, `->` outputs (empty for a conv that keeps its input's axes), options."""

    span: Span
    kind: str
    name: Name
    inputs: tuple[Expr, ...]
    outputs: tuple[Typed, ...]
    options: tuple[Option, ...]
    alias: str | None


@dataclass(frozen=True, slots=True)
class Equation:
    """`y[H, P] = value`, or several targets: `a, b = zoh(A, B, dt)`."""

    span: Span
    targets: tuple[Typed, ...]
    value: Expr


@dataclass(frozen=True, slots=True)
class Method:
    """One discretization of a `by` clause: `zoh`, `zoh(A)`, `gbt(B, alpha = 0.3)`."""

    span: Span
    name: Name
    terms: tuple[Name, ...]
    keywords: tuple[Keyword, ...]


@dataclass(frozen=True, slots=True)
class State:
    """`state h[E, N] allow unstable: h' = value by zoh(A), euler(B), step dt`.

    `continuous` is True for `h' =`; then `methods` is not empty and `step` is set.
    """

    span: Span
    target: Typed
    allow_unstable: bool
    updated: Name
    continuous: bool
    value: Expr
    methods: tuple[Method, ...]
    step: Expr | None


@dataclass(frozen=True, slots=True)
class Def:
    """`def f(x, y) = body`."""

    span: Span
    name: Name
    params: tuple[Name, ...]
    body: Expr


@dataclass(frozen=True, slots=True)
class If:
    """`if test:` with its block; `elif` is an If alone in `orelse`."""

    span: Span
    test: Expr
    body: tuple[Statement, ...]
    orelse: tuple[Statement, ...]


@dataclass(frozen=True, slots=True)
class Return:
    """`return value`."""

    span: Span
    value: Expr


Statement = Axis | Input | Param | Module | Equation | State | Def | If | Return


@dataclass(frozen=True, slots=True)
class Comment:
    """A `#` comment, text from the `#` on; `own_line` if nothing stands before it."""

    span: Span
    text: str
    own_line: bool


@dataclass(frozen=True, slots=True)
class Spec:
    """A whole file. `span` is that of `layer Name(...)`; `doc` is the text of the comment block the file opens with,
    without the `#`s."""

    span: Span
    edition: int | None
    name: Name
    args: tuple[Argument, ...]
    body: tuple[Statement, ...]
    comments: tuple[Comment, ...]
    doc: str
