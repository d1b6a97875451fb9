"""From the tree back to text: one spelling for each tree, with no more parentheses than its meaning needs."""

from __future__ import annotations

from itertools import pairwise

from ssmc.syntax import ast
from ssmc.syntax.scan import BRACKETS, scan

WIDTH = 110
INDENT = "  "

_CONDITIONAL, _OR, _AND, _NOT, _COMPARISON, _SUM, _PRODUCT, _SIGN, _POWER, _POSTFIX = range(10)
_LEVELS = {"or": _OR, "and": _AND, "+": _SUM, "-": _SUM, "*": _PRODUCT, "/": _PRODUCT, "//": _PRODUCT, "%": _PRODUCT}
_LEVELS |= dict.fromkeys(("<", "<=", ">", ">=", "==", "!="), _COMPARISON) | {"**": _POWER}
_CLAUSES = frozenset({"by", "in", "as", "no_decay", "fixed", "if", "else"})


def unparse(spec: ast.Spec) -> str:
    """The canonical text of a spec: its opening comment, and no other."""
    out = [f"# {line}".rstrip() for line in spec.doc.split("\n")] if spec.doc else []
    if spec.edition is not None:
        out += [f"edition {spec.edition}", ""]
    out += wrap(header(spec), "")
    for statement in spec.body:
        out += _lines(statement, INDENT)
    return "\n".join(out) + "\n"


def _lines(statement: ast.Statement, indent: str) -> list[str]:
    """A statement, an `if` with its blocks, as lines."""
    if not isinstance(statement, ast.If):
        return wrap(line(statement), indent)
    out: list[str] = []
    for head, block in branches(statement):
        out += wrap(head, indent)
        for inner in block:
            out += _lines(inner, indent + INDENT)
    return out


def branches(statement: ast.If) -> list[tuple[str, tuple[ast.Statement, ...]]]:
    """The first line and the block of an `if`, of each `elif` and of the `else`."""
    found = [(f"if {expression(statement.test)}:", statement.body)]
    rest = statement.orelse
    while len(rest) == 1 and isinstance(rest[0], ast.If):
        found.append((f"elif {expression(rest[0].test)}:", rest[0].body))
        rest = rest[0].orelse
    return [*found, ("else:", rest)] if rest else found


def header(spec: ast.Spec) -> str:
    """`layer Mamba(d_model, d_state = 16)`."""
    args = []
    for arg in spec.args:
        kind = f": {arg.annotation.id}" if arg.annotation else ""
        args.append(f"{arg.name.id}{kind}{_equals(arg.default)}")
    return f"layer {spec.name.id}({', '.join(args)})"


def line(statement: ast.Statement) -> str:
    """A statement on one line; of an `if`, its first."""
    match statement:
        case ast.Axis(defs=defs):
            return "axis " + ", ".join(f"{d.name.id}{_equals(d.size)}" for d in defs)
        case ast.Input(target=target, default=default):
            return f"input {_typed(target)}{_equals(default)}"
        case ast.Param():
            return _param(statement)
        case ast.Module():
            return _module(statement)
        case ast.Equation(targets=targets, value=value):
            return ", ".join(map(_typed, targets)) + _equals(value)
        case ast.State():
            return _state(statement)
        case ast.Def(name=name, params=params, body=body):
            return f"def {name.id}({', '.join(p.id for p in params)}){_equals(body)}"
        case ast.Return(value=value):
            return f"return {expression(value)}"
        case ast.If(test=test):
            return f"if {expression(test)}:"


def _param(p: ast.Param) -> str:
    within = f" in [{expression(p.range[0])}, {expression(p.range[1])}]" if p.range else ""
    tags = "".join(f" {t.id}" for t in p.tags)
    return f"param {_typed(p.target)}{' complex' * p.complex}{_equals(p.init)}{within}{tags}{_alias(p.alias)}"


def _module(m: ast.Module) -> str:
    options = [f"{o.name.id}{_equals(o.value)}" for o in m.options]
    inputs = [expression(i) for i in m.inputs]
    if m.outputs:
        parts = f"{', '.join(inputs)} -> {', '.join([*map(_typed, m.outputs), *options])}"
    else:
        parts = ", ".join([*inputs, *options])
    return f"{m.kind} {m.name.id}({parts}){_alias(m.alias)}"


def _state(s: ast.State) -> str:
    allow = " allow unstable" * s.allow_unstable
    update = f"{s.updated.id}{chr(39) * s.continuous}{_equals(s.value)}"
    by = ""
    if s.step is not None:
        by = f" by {', '.join(map(_method, s.methods))}, step {expression(s.step)}"
    return f"state {_typed(s.target)}{allow}: {update}{by}"


def _method(m: ast.Method) -> str:
    inside = [*(t.id for t in m.terms), *map(_keyword, m.keywords)]
    return f"{m.name.id}({', '.join(inside)})" if inside else m.name.id


def _typed(t: ast.Typed) -> str:
    axes = f"[{', '.join(a.id for a in t.axes)}]" if t.axes is not None else ""
    return f"{t.name.id if t.name else ''}{axes}"


def _equals(value: ast.Expr | None) -> str:
    return "" if value is None else f" = {expression(value)}"


def _alias(alias: str | None) -> str:
    return "" if alias is None else f' as "{alias}"'


def _keyword(k: ast.Keyword) -> str:
    return f"{k.name.id}{_equals(k.value)}"


def expression(e: ast.Expr, level: int = _CONDITIONAL) -> str:
    """An expression, in parentheses if it binds more loosely than `level`."""
    text, own = _expression(e)
    return f"({text})" if own < level else text


def _expression(e: ast.Expr) -> tuple[str, int]:
    """The text of an expression and how tightly it binds."""
    match e:
        case ast.Number(text=text):
            return text, _POSTFIX
        case ast.Boolean(value=value):
            return str(value).lower(), _POSTFIX
        case ast.Name(id=name):
            return name, _POSTFIX
        case ast.Choices(names=names):
            return " | ".join(n.id for n in names), _CONDITIONAL
        case ast.Unary(op="not", operand=operand):
            return f"not {expression(operand, _NOT)}", _NOT
        case ast.Unary(op=op, operand=operand):
            return f"{op}{expression(operand, _SIGN)}", _SIGN
        case ast.Binary(op="**", left=left, right=right):
            return f"{expression(left, _POSTFIX)} ** {expression(right, _SIGN)}", _POWER
        case ast.Binary(op=op, left=left, right=right):
            level = _LEVELS[op]
            first = level + 1 if level == _COMPARISON else level
            return f"{expression(left, first)} {op} {expression(right, level + 1)}", level
        case ast.Conditional(test=test, then=then, orelse=orelse):
            return f"{expression(then, _OR)} if {expression(test, _OR)} else {expression(orelse)}", _CONDITIONAL
        case ast.Call(func=func, axes=axes, args=args, keywords=keywords):
            over = f"[{', '.join(a.id for a in axes)}]" if axes is not None else ""
            return f"{func.id}{over}({', '.join([*map(expression, args), *map(_keyword, keywords)])})", _POSTFIX
        case ast.Rename(value=value, pairs=pairs):
            inside = ", ".join(f"{old.id} as {new.id}" for old, new in pairs)
            return f"{expression(value, _POSTFIX)}[{inside}]", _POSTFIX


def wrap(text: str, indent: str) -> list[str]:
    """A line that is too long, broken where brackets are fewest: after a comma, else before an operator or a clause."""
    out = []
    deeper = indent + 2 * INDENT
    breaks = _breaks(text)
    start, lead = 0, indent
    while len(lead) + len(text) - start > WIDTH:
        fits = [b for b in breaks if start < b[0] and b[0] - 1 - start + len(lead) <= WIDTH]
        if not fits:
            fits = [b for b in breaks if start < b[0]][:1]
        if not fits:
            break
        end = max(fits, key=lambda b: (-b[1] if b[0] - start > WIDTH // 3 else -99, b[0]))[0]
        out.append(lead + text[start:end].rstrip())
        start, lead = end, deeper
    return [*out, lead + text[start:]]


def _breaks(text: str) -> list[tuple[int, float]]:
    """Where a line may be broken (the offset of what comes next), and inside how many brackets that is; an operator is
    half a bracket deeper than a comma beside it."""
    found = []
    depth = 0
    pieces = scan(text)
    for before, piece in pairwise(pieces):
        depth += (before.text in BRACKETS) - (before.text in BRACKETS.values())
        apart = before.end < piece.start
        operator = piece.text in _LEVELS or (piece.text in _CLAUSES and not (piece.text == "as" and depth))
        if apart and (before.text in (",", ":", "->") or operator):
            found.append((piece.start, depth + 0.5 * operator))
    return found
