"""Parameters: axes, initial value, range and tags, and the state_dict keys of everything the layer owns."""

from __future__ import annotations

import re
from collections.abc import Mapping

from ssmc.diagnostics.sink import Edit, Label, Sink
from ssmc.diagnostics.span import Span
from ssmc.ir import build as b
from ssmc.ir.expr import Const, Node, refs
from ssmc.ir.keys import default_key, usable
from ssmc.ir.layer import Conv, Linear, Param
from ssmc.sema.context import SIZE, Refused
from ssmc.sema.initial import lower_init
from ssmc.sema.values import Resolver
from ssmc.syntax import ast
from ssmc.syntax.unparse import expression

_PART = re.compile(r"[A-Za-z_][A-Za-z0-9_]*\Z")


def declare_param(r: Resolver, d: ast.Param) -> Param:
    """A `param`; without an initial value it starts at zero."""
    assert d.target.name is not None
    name = d.target.name.id
    axes, dtype = r.signature(name, d.span)
    init = lower_init(r, d.init, axes, b.ZERO, f"`{name}`", d.target.span) or b.ZERO
    if init.dtype == "bool" or (init.dtype == "complex" and dtype == "real"):
        place = d.init.span if d.init else d.span
        shown = "complex" if init.dtype == "complex" else "true or false"
        r.sink.report(
            "SSM0206" if init.dtype == "complex" else "SSM0228",
            f"the initial value of `{name}` is {shown}, the parameter is real",
            place,
            shown,
            secondary=(Label(d.target.span, "declared real"),),
            help="declare it complex" if init.dtype == "complex" else "write 1 for true and 0 for false",
            edit=Edit(Span(d.target.span.end, d.target.span.end), " complex") if init.dtype == "complex" else None,
        )
        raise Refused
    _check_tags(r, d)
    return Param(
        name,
        axes,
        dtype,
        init,
        _range(r, d, init),
        "no_decay" not in _tags(d),
        "fixed" not in _tags(d),
        d.alias or default_key(name, r.scope.names),
        d.span,
    )


def _tags(d: ast.Param) -> set[str]:
    return {t.id for t in d.tags}


def _check_tags(r: Resolver, d: ast.Param) -> None:
    for i, t in enumerate(d.tags):
        first = next((x for x in d.tags[:i] if x.id == t.id), None)
        if first is not None:
            r.sink.report(
                "SSM0224",
                f"`{t.id}` is written twice",
                t.span,
                "again here",
                secondary=(Label(first.span, "first here"),),
                help="remove it",
                edit=Edit(Span(d.tags[i - 1].span.end, t.span.end), ""),
            )
            raise Refused


def _range(r: Resolver, d: ast.Param, init: Node) -> tuple[Node, Node] | None:
    """The declared range: real bounds in order, with the initial value inside, as far as is known."""
    if d.range is None:
        return None
    low, high = (r.lower(e, SIZE) for e in d.range)
    both = d.range[0].span.to(d.range[1].span)
    if d.complex:
        r.sink.report(
            "SSM0224",
            "a complex parameter has no range",
            both,
            "complex numbers have no order",
            secondary=(Label(d.target.span, "declared complex"),),
            help="bound two real parameters, and write `complex(a, b)` in the equations",
        )
        raise Refused
    for node, written in zip((low, high), d.range, strict=True):
        if node.dtype != "real":
            r.sink.report("SSM0228", "a bound is a number", written.span, "true or false")
            raise Refused
    a, z = _number(low), _number(high)
    if a is not None and z is not None and a > z:
        swapped = f"{expression(d.range[1])}, {expression(d.range[0])}"
        r.sink.report(
            "SSM0224",
            "the bounds of a range are reversed",
            both,
            "the first is above the second",
            help=f"write `[{swapped}]`",
            edit=Edit(both, swapped),
        )
        raise Refused
    start = _number(init)
    if d.init is not None and start is not None and ((a is not None and start < a) or (z is not None and start > z)):
        r.sink.report(
            "SSM0224",
            f"the initial value of `{d.target.name.id if d.target.name else ''}` is outside its range",
            d.init.span,
            "outside",
            secondary=(Label(both, "the range"),),
            help="widen the range, or start inside it",
        )
        raise Refused
    return low, high


def _number(node: Node) -> float | None:
    if isinstance(node, Const) and not isinstance(node.value, bool):
        return float(node.value)
    if node is b.apply("inf"):
        return float("inf")
    return float("-inf") if node is b.neg(b.apply("inf")) else None


def check_initial_circles(r: Resolver, params: Mapping[str, Param]) -> None:
    """An initial value may name other parameters, but not through a circle."""
    reads = {p.name: [x.name for x in refs(p.init) if x.name in params] for p in params.values()}
    pending = dict(reads)
    while ready := [n for n, rs in pending.items() if not any(x in pending for x in rs)]:
        for n in ready:
            del pending[n]
    seen: set[str] = set()
    for name in pending:
        path = [name]
        while path[-1] not in path[:-1] and path[-1] not in seen:
            path.append(next(x for x in reads[path[-1]] if x in pending))
        seen.update(path)
        if path[-1] not in path[:-1]:
            continue
        circle = path[path.index(path[-1]) :]
        r.sink.report(
            "SSM0213",
            f"the initial value of `{circle[0]}` depends on itself",
            params[circle[0]].span,
            "in a circle",
            secondary=tuple(Label(params[n].span, "through this") for n in circle[1:-1]),
            notes=("the circle is " + " -> ".join(circle),),
            help="give one of them a value that names no other parameter",
        )


Owned = Param | Linear | Conv


def check_keys(sink: Sink, owned: list[tuple[Owned, ast.Param | ast.Module]], source: str) -> None:
    """Keys of the state_dict are dotted names, each used once, none inside another."""
    first: dict[str, Span] = {}
    for item, d in owned:
        name = d.target.name if isinstance(d, ast.Param) else d.name
        assert name is not None
        place = name.span
        if d.alias is not None:
            start = source.rfind('"', d.span.start, d.span.end - 1)
            place = Span(start, d.span.end) if start >= 0 else d.span
            parts = d.alias.split(".")
            bad = next((p for p in parts if not _PART.match(p)), None)
            used = next((p for p in parts if not usable(p)), None) if bad is None else None
            if bad is not None or used is not None:
                fixed = ".".join(x for x in (re.sub(r"\W+", "_", p).strip("_") for p in parts) if x)
                good = bad is not None and all(usable(p) for p in fixed.split("."))
                what = (
                    f"`{used}` is a word of Python or of every module"
                    if used
                    else f'"{bad}" is not a name'
                    if bad
                    else "a name is missing"
                )
                sink.report(
                    "SSM0218",
                    f'"{d.alias}" is not a key of a state_dict',
                    place,
                    what,
                    notes=('a key is made of names with dots between, such as "mixer.A_log"',),
                    help=f'write "{fixed}"' if good else None,
                    edit=Edit(place, f'"{fixed}"') if good else None,
                )
                continue
        for other, there in first.items():
            if other == item.key or other.startswith(item.key + ".") or item.key.startswith(other + "."):
                same = other == item.key
                sink.report(
                    "SSM0218",
                    f'the key "{item.key}" is used twice'
                    if same
                    else f'the key "{item.key}" and the key "{other}" hold each other',
                    place,
                    "used again here" if same else "one of them",
                    secondary=(Label(there, "first used here" if same else "the other"),),
                    notes=() if same else ("what stands before a dot is a module, and cannot be a parameter too",),
                    help="give one of them another key with `as`",
                )
                break
        first[item.key] = place
