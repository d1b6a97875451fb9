"""From `h' = ...` to a discrete update: each term of the right side by the rule that the `by` clause gives it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ssmc.diagnostics.sink import Label
from ssmc.diagnostics.span import Span
from ssmc.diagnostics.suggest import did_you_mean
from ssmc.discretize import Rule, rules
from ssmc.ir import build as b
from ssmc.ir import linear
from ssmc.ir.expr import Node, Reduce, Ref, Relabel, walk
from ssmc.ir.layer import Continuous
from ssmc.sema import growth
from ssmc.sema.context import VALUE, Context, Refused
from ssmc.syntax import ast

if TYPE_CHECKING:
    from ssmc.sema.values import Resolver


def summands(e: ast.Expr) -> list[ast.Expr]:
    """The written summands of an expression."""
    if isinstance(e, ast.Binary) and e.op in "+-":
        return summands(e.left) + summands(e.right)
    return [e]


def _rule(r: Resolver, name: ast.Name) -> Rule:
    rule = rules().get(name.id)
    if rule is None:
        near = did_you_mean(name.id, rules())
        r.sink.report(
            "SSM0207",
            f"there is no discretization `{name.id}`",
            name.span,
            "not a method",
            notes=("the methods are " + ", ".join(f"`{n}`" for n in rules()),),
            help=f"did you mean `{near}`?" if near else None,
        )
        raise Refused
    return rule


def _keywords(r: Resolver, rule: Rule, given: tuple[ast.Keyword, ...], at: ast.Name) -> tuple[Node, ...]:
    values = {k.name.id: k for k in given}
    for k in given:
        if k.name.id not in rule.keywords:
            takes = ", ".join(f"`{n} =`" for n in rule.keywords) or "none"
            r.sink.report(
                "SSM0207",
                f"`{rule.name}` takes no `{k.name.id} =`",
                k.span,
                "unexpected",
                notes=(f"its values with names: {takes}",),
            )
            raise Refused
    out = []
    for name in rule.keywords:
        if name not in values:
            r.sink.report(
                "SSM0207",
                f"`{rule.name}` needs `{name} =`",
                at.span,
                "not given",
                help=f"write `{name} = 0.5` in its brackets, or the method `bilinear`",
            )
            raise Refused
        node = r.lower(values[name].value, VALUE)
        r.check_timeless(node, values[name].value, f"`{name}`")
        out.append(node)
    return tuple(out)


def discretize_call(r: Resolver, call: ast.Call) -> tuple[Node, Node]:
    """`a_bar, b_bar = zoh(A, B, dt)`."""
    rule = _rule(r, call.func)
    if len(call.args) != 3 or call.axes is not None:
        r.sink.report(
            "SSM0204",
            f"`{rule.name}` takes A, B and the step, not {len(call.args)} arguments",
            call.span,
            "called here",
            help=f"write `{rule.name}(A, B, dt)`",
        )
        raise Refused
    a, f, dt = (r.lower(x, VALUE) for x in call.args)
    for node, written in zip((a, f, dt), call.args, strict=True):
        check_number(r, node, written, real=node is dt)
    extra = _keywords(r, rule, call.keywords, call.func)
    return rule.transition(a, dt, *extra), b.mul(rule.scale(a, dt, *extra), f)


def discretize_state(r: Resolver, d: ast.State, own: Ref) -> tuple[Node, Continuous]:
    """The discrete update of `h' = rate`, and where it came from."""
    name = own.name
    rate = r.lower(d.value, Context("value", own=name, continuous=True))
    check_number(r, rate, d.value)
    growth.check_node(r, rate, d.value.span)
    assert d.step is not None
    dt = r.lower(d.step, Context("value", own=name))
    check_number(r, dt, d.step, real=True)
    whole = d.methods[0].span.to(d.methods[-1].span)
    previous = b.ref(name, own.axes, own.dtype, -1)
    split = linear.affine(rate, own)
    methods = [(m, _rule(r, m.name)) for m in d.methods]
    _check_methods(r, methods)
    if split is None:
        return _nonlinear(r, d, own, previous, rate, dt, methods)
    coefficient, inputs = split
    claims = {id(m): _claimed(r, m) for m, _ in methods}
    transition_term = [t for t in linear.terms(rate) if linear.contains(t, own)]
    places = _places(r, d)
    used: set[int] = set()

    def choose(term_nodes: list[Node], what: str) -> tuple[ast.Method, Rule]:
        names = {n.name for t in term_nodes for n in walk(t) if isinstance(n, Ref)} - {name}
        fits = [(m, rule) for m, rule in methods if claims[id(m)] & names] or [
            (m, rule) for m, rule in methods if not m.terms
        ]
        if len(fits) > 1 and term_nodes is transition_term:
            fits = [(m, rule) for m, rule in fits if not claims[id(m)] & _names(inputs)] or fits
        if len(fits) == 1:
            used.add(id(fits[0][0]))
            return fits[0]
        span = next((places[t] for t in term_nodes if t in places), d.value.span)
        named = next((n for n in sorted(names) if not any(n in c for c in claims.values())), None)
        r.sink.report(
            "SSM0208",
            f"{'no' if not fits else 'more than one'} method is given for {what}",
            span,
            "discretized by which method?",
            secondary=tuple(Label(m.span, "this method") for m, _ in fits) or (Label(whole, "the methods"),),
            help=f"add a method that names a value of the term, such as `{methods[0][1].name}({named})`"
            if not fits and named
            else "give one method for everything, or name the terms apart, such as `zoh(A), euler(B)`",
        )
        raise Refused

    method, rule = choose(transition_term, "the term with the state") if transition_term else methods[0]
    used.add(id(method))
    keywords = _keywords(r, rule, method.keywords, method.name)
    update: Node = b.mul(rule.transition(coefficient, dt, *keywords), previous)
    chosen: list[tuple[Node, str]] = []
    for term in inputs:
        m, term_rule = choose([term], "this term")
        scale = term_rule.scale(coefficient, dt, *_keywords(r, term_rule, m.keywords, m.name))
        update = b.add(update, b.mul(scale, term))
        chosen.append((term, term_rule.name))
    for m, _ in methods:
        if id(m) not in used:
            r.sink.report(
                "SSM0208",
                f"the method `{m.name.id}` treats no term",
                m.span,
                "no term of the equation has these values",
                secondary=(Label(d.value.span, "the terms"),),
                help="remove it, or name a value of the term that it treats",
            )
            raise Refused
    return update, Continuous(rate, coefficient, rule.name, tuple(chosen), dt, whole)


def _names(nodes: list[Node]) -> set[str]:
    return {n.name for t in nodes for n in walk(t) if isinstance(n, Ref)}


def _claimed(r: Resolver, m: ast.Method) -> set[str]:
    for t in m.terms:
        if t.id not in r.scope.names:
            r.scope.unknown(t)
            raise Refused
    return {t.id for t in m.terms}


def _check_methods(r: Resolver, methods: list[tuple[ast.Method, Rule]]) -> None:
    """At most one method is for all terms, and a value is named once."""
    seen: dict[str, ast.Name] = {}
    for m, _ in methods:
        for t in m.terms:
            if t.id in seen:
                r.sink.report(
                    "SSM0208",
                    f"`{t.id}` is named in two methods",
                    t.span,
                    "again here",
                    secondary=(Label(seen[t.id].span, "first here"),),
                    help="name each value in one method",
                )
                raise Refused
            seen[t.id] = t


def _places(r: Resolver, d: ast.State) -> dict[Node, Span]:
    """Where each term is written. Equal terms are one node, so this is asked of the tree, not of the node."""
    out: dict[Node, Span] = {}
    for part in summands(d.value):
        for term in linear.terms(r.lower(part, Context("value", own=d.updated.id, continuous=True))):
            out.setdefault(term, part.span)
            out.setdefault(b.neg(term), part.span)
    return out


def check_number(r: Resolver, node: Node, written: ast.Expr, *, real: bool = False) -> None:
    """Refuse a condition, and where `real` is asked for, a complex value."""
    if node.dtype == "bool":
        r.sink.report(
            "SSM0228",
            "a condition stands where a number is needed",
            written.span,
            "true or false",
            help="write `where(condition, 1, 0)`",
        )
        raise Refused
    if real and node.dtype == "complex":
        r.sink.report(
            "SSM0206",
            "a step is real",
            written.span,
            "this is complex",
            help="take `re(...)` or `abs(...)` of it first",
        )
        raise Refused


def _nonlinear(
    r: Resolver, d: ast.State, own: Ref, previous: Node, rate: Node, dt: Node, methods: list[tuple[ast.Method, Rule]]
) -> tuple[Node, Continuous]:
    method, rule = methods[0]
    if len(methods) > 1 or not rule.nonlinear:
        named = methods[-1][1].name if rule.nonlinear else rule.name
        dense = any(own in walk(n) for n in walk(rate) if isinstance(n, Reduce | Relabel))
        note = f"it meets `{own.name}` at other indices: a matrix, where the methods take a number for each entry"
        r.sink.report(
            "SSM0223",
            f"`{named}` needs a right side that is linear in `{own.name}`",
            methods[-1][0].span if rule.nonlinear else method.span,
            "cannot treat this equation",
            secondary=(Label(d.value.span, f"not of the form a * {own.name} + b"),),
            notes=(note,) if dense else (),
            help="use `euler` for the whole equation, or write the discrete update with `prev(...)`",
        )
        raise Refused
    at_previous = b.substitute(rate, lambda n: previous if n is own else None)
    update = b.add(previous, b.mul(dt, at_previous))
    return update, Continuous(rate, rate, rule.name, (), dt, method.span)
