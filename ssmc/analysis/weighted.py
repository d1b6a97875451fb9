"""Values as sums of e^x times something, so that no exponential stands by itself where it could overflow.

Some states are kept divided by e^m (see `gauge.py`). What is computed from one is then a sum of terms, each an
exponent and what it multiplies: products, sums, maxima, moduli and reductions of such are such again. A quotient of two
is not: both sides are divided by e^s, s the largest exponent that occurs, and an ordinary value results.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from fractions import Fraction

from ssmc.diagnostics.span import Span
from ssmc.ir import build as b
from ssmc.ir.expr import Node, Pointwise, Reduce, Ref, Relabel, const, refs
from ssmc.ir.layer import Layer, Time, Value

FLOOR = const(Fraction(-(10**38)))  # where a running maximum starts: finite, so that differences of it are numbers
MOST = 8  # terms


class Unscaled(Exception):
    """Why a value that depends on a scaled state cannot be written so."""


@dataclass(frozen=True, slots=True)
class Term:
    """e^log * rest; `log` None is 0."""

    log: Node | None
    rest: Node


Form = Node | tuple[Term, ...]  # an ordinary value, or a scaled one


class Weighted:
    """The forms of a layer's values when the states in `scales` are kept divided by e^(the state named there)."""

    def __init__(
        self, layer: Layer, scales: Mapping[str, Ref], unbounded: Callable[[Node], bool], names: Callable[[str], str]
    ) -> None:
        self.layer, self.scales, self.unbounded, self.names = layer, scales, unbounded, names
        self.shifts: dict[Node, Value] = {}  # the largest exponents, as values of their own
        self.cancels: dict[str, set[str]] = {}  # for each value in which scales cancel, which
        self.late: dict[str, None] = {}  # the values that are read at another token, and so are to be ordinary
        self._below: dict[Node, frozenset[Node]] = {}  # the exponents that another is no less than
        self._forms: dict[str, Form] = {}
        self._memo: dict[Node, Form] = {}
        self._splits: dict[Node, tuple[Term, ...]] = {}
        self._owner, self._span = "", Span(0, 0)

    def value(self, name: str) -> Form:
        """The form of an equation."""
        if name not in self._forms:
            v = self.layer.values[name]
            outer = self._owner, self._span
            self._owner, self._span = name, v.span
            self._forms[name] = self.form(v.node)
            self._owner, self._span = outer
        return self._forms[name]

    def touches(self, node: Node) -> bool:
        """Whether an expression reads a scaled state, directly or through equations at this token."""
        seen: set[str] = set()
        pending = [r.name for r in refs(node)]
        while pending:
            name = pending.pop()
            if name in self.scales:
                return True
            if name in self.layer.values and name not in seen:
                seen.add(name)
                pending += [r.name for r in refs(self.layer.values[name].node) if not r.offset]
        return False

    # --- forms ---

    def form(self, node: Node) -> Form:
        """The form of an expression."""
        if node not in self._memo:
            self._memo[node] = self._form(node)
        return self._memo[node]

    def _form(self, node: Node) -> Form:
        if isinstance(node, Ref):
            if node.name in self.scales:
                scale = self.scales[node.name]
                log = b.ref(scale.name, scale.axes, "real", node.offset, FLOOR if node.offset else None)
                return (Term(log, node),)
            if node.name in self.layer.values and self.touches(node):
                if node.offset:
                    self.late[node.name] = None
                    return node
                found = self.value(node.name)
                if isinstance(found, Node):
                    return node
                if {a for t in found for a in (*t.rest.axes, *(t.log.axes if t.log else ()))} != set(node.axes):
                    raise Unscaled(f"`{node.name}` is broadcast")
                return found
            return node
        forms = [self.form(c) for c in node.children]
        if all(isinstance(f, Node) for f in forms):
            same = all(f is c for f, c in zip(forms, node.children, strict=True))
            return node if same else b.remake(node, tuple(f for f in forms if isinstance(f, Node)))
        match node:
            case Pointwise():
                return self._pointwise(node, forms)
            case Reduce():
                return self._reduced(node, self.terms(forms[0]))
            case Relabel():
                return tuple(
                    Term(None if t.log is None else b.relabel(node.pairs, t.log), b.relabel(node.pairs, t.rest))
                    for t in self.terms(forms[0])
                )
        raise AssertionError(node)

    def _pointwise(self, node: Pointwise, forms: list[Form]) -> Form:
        match node.fn:
            case "neg":
                return _mapped(self.terms(forms[0]), b.neg)
            case "add":
                return _limited((*self.terms(forms[0]), *self.terms(forms[1])))
            case "sub":
                return _limited((*self.terms(forms[0]), *_mapped(self.terms(forms[1]), b.neg)))
            case "mul":
                if not any(isinstance(f, Node) for f in forms):
                    raise Unscaled("two sums of exponentials are multiplied")
                return _limited(_product(self.terms(forms[0]), self.terms(forms[1])))
            case "div":
                return self._quotient(*forms)
            case "where" if isinstance(forms[0], Node):
                c = forms[0]
                yes = _mapped(self.terms(forms[1]), lambda v: b.apply("where", c, v, b.ZERO))
                no = _mapped(self.terms(forms[2]), lambda v: b.apply("where", c, b.ZERO, v))
                return _limited((*yes, *no))
            case "abs" | "relu" | "max" | "min":  # f(e^s x) = e^s f(x)
                parts = [self.terms(f) for f in forms]
                log, sums = self.summed(*parts)
                return (Term(log, b.apply(node.fn, *sums)),)
            case "log":
                self._note(self.terms(forms[0]))
                log, (total,) = self.summed(self.terms(forms[0]))
                return b.add(log or b.ZERO, b.apply("log", total))
        raise Unscaled(f"`{node.fn}` is taken of a sum of exponentials")

    def _quotient(self, top: Form, bottom: Form) -> Form:
        below = self.terms(bottom)
        if isinstance(bottom, Node) and len(below) == 1:
            inverse = Term(None if below[0].log is None else b.neg(below[0].log), b.div(b.ONE, below[0].rest))
            if inverse.log is not None:
                return _product(self.terms(top), (inverse,))
            return _mapped(self.terms(top), lambda v: b.div(v, below[0].rest))
        self._note(self.terms(top), below)
        _, (x, y) = self.summed(self.terms(top), below)
        return b.div(x, y)

    def _reduced(self, node: Reduce, terms: tuple[Term, ...]) -> Form:
        if node.op != "sum":
            log, (body,) = self.summed(terms)
            terms = (Term(log, body),)
        out = []
        for t in terms:
            log, rest = t.log, t.rest
            if log is not None and set(log.axes) & set(node.over):
                log = self._named(_above(b.reduce("max", node.over, log)))
                rest = b.mul(b.apply("exp", self.less(t.log, log)), rest)
            total = b.reduce(node.op, node.over, rest)
            for a in node.over if node.op == "sum" else ():
                total = total if a in rest.axes else b.mul(b.size(a), total)
            out.append(Term(log, total))
        return tuple(out)

    # --- terms ---

    def terms(self, form: Form) -> tuple[Term, ...]:
        """A form as terms; of an ordinary value, the exponentials that are not bounded stand apart."""
        return self.split(form) if isinstance(form, Node) else form

    def split(self, node: Node) -> tuple[Term, ...]:
        """An ordinary value as terms, whole where it has no exponential that could overflow."""
        if node not in self._splits:
            found = self._split(node)
            apart = any(t.log is not None for t in found) and len(found) <= MOST
            self._splits[node] = found if apart else (Term(None, node),)
        return self._splits[node]

    def _split(self, node: Node) -> tuple[Term, ...]:
        match node:
            case Pointwise(fn="exp", args=(x,)) if node.dtype == "real" and self.unbounded(node):
                return (Term(x, b.ONE),)
            case Pointwise(fn="neg", args=(x,)):
                return _mapped(self.split(x), b.neg)
            case Pointwise(fn="add", args=(x, y)):
                return (*self.split(x), *self.split(y))
            case Pointwise(fn="sub", args=(x, y)):
                return (*self.split(x), *_mapped(self.split(y), b.neg))
            case Pointwise(fn="mul", args=(x, y)):
                return _product(self.split(x), self.split(y))
            case Pointwise(fn="div", args=(x, y)) if len(self.split(y)) == 1:
                (below,) = self.split(y)
                log = None if below.log is None else b.neg(below.log)
                return _product(self.split(x), (Term(log, b.div(b.ONE, below.rest)),))
            case Ref() if not node.offset and node.name in self.layer.values:
                inner = self.layer.values[node.name].node
                if set(inner.axes) == set(node.axes) and not self.touches(inner):
                    return self.split(inner)
        return (Term(None, node),)

    def summed(self, *groups: tuple[Term, ...]) -> tuple[Node | None, tuple[Node, ...]]:
        """(s, x, y, ...) such that the groups are e^s * x, e^s * y, ..., and no exponent in these is positive."""
        logs = dict.fromkeys(t.log or b.ZERO for g in groups for t in g)
        logs = dict.fromkeys(x for x in logs if not any(x in self._below.get(y, ()) for y in logs))
        largest = next(iter(logs)) if len(logs) == 1 else self._named(_above(b.apply("max", *logs)))
        self._below.setdefault(largest, frozenset(logs) - {largest})
        sums = []
        for g in groups:
            total: Node = b.ZERO
            for t in g:
                own = t.log or b.ZERO
                total = b.add(total, t.rest if own is largest else _times(self.less(own, largest), t.rest))
            sums.append(total)
        return (None if largest is b.ZERO else largest), tuple(sums)

    def less(self, log: Node | None, m: Node) -> Node:
        """log - m, the part of the exponent that moves most with the token first: near m nothing is lost."""
        match log:
            case Pointwise(fn="add", args=(x, y)):
                x, y = (x, y) if self._known(x) >= self._known(y) else (y, x)
                return b.add(b.sub(x, m), y)
        return b.neg(m) if log is None or log is b.ZERO else b.sub(log, m)

    def _note(self, *groups: tuple[Term, ...]) -> None:
        found = {r.name for g in groups for t in g for r in refs(t.log or b.ZERO)}
        for shift in [v for v in self.shifts.values() if v.name in found]:
            found |= {r.name for r in refs(shift.node)}
        self.cancels.setdefault(self._owner, set()).update(found & {s.name for s in self.scales.values()})

    def _known(self, node: Node) -> Time:
        """When an expression is known; what is new here, with the states."""
        return max((self.layer.times.get(r.name, Time.STATE) for r in refs(node)), default=Time.LITERAL)

    def _named(self, node: Node) -> Node:
        if node not in self.shifts:
            name = self.names(f"{self._owner}_shift")
            axes = self.layer.axes.regroup(node.axes, self.layer.axes.axes)
            self.shifts[node] = Value(name, axes, node, self._span, True)
        v = self.shifts[node]
        return b.ref(v.name, node.axes, "real")


def _above(largest: Node) -> Node:
    """A common exponent no less than these. It cancels, so any would do: a whole number has no slope, and the adjoint
    does not follow what cancels."""
    return b.apply("ceil", largest)


def _mapped(terms: tuple[Term, ...], f: Callable[[Node], Node]) -> tuple[Term, ...]:
    return tuple(replace(t, rest=f(t.rest)) for t in terms)


def _product(xs: tuple[Term, ...], ys: tuple[Term, ...]) -> tuple[Term, ...]:
    def log(x: Term, y: Term) -> Node | None:
        return y.log if x.log is None else x.log if y.log is None else b.add(x.log, y.log)

    return tuple(Term(log(x, y), b.mul(x.rest, y.rest)) for x in xs for y in ys)


def _limited(terms: tuple[Term, ...]) -> tuple[Term, ...]:
    if len(terms) > MOST:
        raise Unscaled(f"a sum of exponentials has more than {MOST} terms")
    return terms


def _times(log: Node, rest: Node) -> Node:
    return b.mul(b.apply("exp", log), rest)
