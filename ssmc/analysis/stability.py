"""What can be said about the growth of each state: contractive, exponentially stable, bounded.

A verdict is `proven`, `assumed` (proven under the listed assumptions), `refuted` (with a witness that was checked by
interval arithmetic) or `undecided`. There is no false `proven`: every proof is a bound that holds for all values.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from fractions import Fraction

from ssmc.analysis.bounds import Prover
from ssmc.analysis.facts import Facts, Known
from ssmc.analysis.interval import TOP, Interval, between
from ssmc.analysis.steps import step_size
from ssmc.analysis.transition import Transition, transition
from ssmc.analysis.witness import Witness, diverging, growing
from ssmc.diagnostics.span import Span
from ssmc.discretize import rules
from ssmc.ir import build as b
from ssmc.ir.expr import NOWHERE, Index, Node, Reduce, Ref, Size, refs, walk
from ssmc.ir.layer import Layer, State

LIMIT = 8  # what an assumption takes inputs and free parameters to be at most
BOXES = (1, 2, 16, 256)
LEVELS = ("plain", "ranges", "arguments", "defaults")  # what is taken for granted: the last takes both
WITH_RANGES, WITH_ARGUMENTS = ("ranges", "defaults", "moderate"), ("arguments", "defaults", "moderate")


@dataclass(frozen=True, slots=True)
class Verdict:
    """One property of a state and what was found; `witness` names leaves and their exact values."""

    property: str
    verdict: str
    because: str
    assumptions: tuple[str, ...] = ()
    witness: dict[str, Fraction] | None = None
    span: Span = NOWHERE
    value: Fraction | None = None


def holds(v: Verdict) -> bool:
    """Whether it was proven, with assumptions or without."""
    return v.verdict in ("proven", "assumed")


def judge(layer: Layer, state: State, facts: Facts | None = None) -> tuple[Verdict, ...]:
    """The verdicts on a state, `continuous` first if it came from an equation h' = ..."""
    if any(r.name == state.name and r.offset > 0 for r in refs(state.update)):
        layer = _mirrored(layer)
        state, facts = layer.states[state.name], Facts(layer)
    facts = facts or Facts(layer)
    t = transition(facts, state)
    found = _Judgement(facts, state, t)
    verdicts = [*found.continuous(), found.contractive(), found.exponential(), found.bounded()]
    return tuple(replace(v, span=state.span) for v in verdicts)


def _mirrored(layer: Layer) -> Layer:
    """The layer with time running backwards: what reads `next` then reads `prev`."""

    def turn(n: Node) -> Node | None:
        return b.ref(n.name, n.axes, n.dtype, -n.offset, n.init) if isinstance(n, Ref) and n.offset else None

    values = {k: replace(v, node=b.substitute(v.node, turn)) for k, v in layer.values.items()}
    states = {k: replace(v, update=b.substitute(v.update, turn)) for k, v in layer.states.items()}
    return replace(layer, values=values, states=states)


class _Judgement:
    def __init__(self, facts: Facts, state: State, t: Transition) -> None:
        self.facts, self.state, self.t = facts, state, t
        self._provers: dict[tuple[str, tuple[Node, ...]], Prover] = {}

    # --- facts ---

    def prover(self, level: str, *roots: Node) -> Prover:
        """What bounds rest on: nothing, `ranges` of trained parameters, `arguments` at their defaults, both
        (`defaults`), and `moderate` leaves as well."""
        key = (level, roots)
        if key not in self._provers:
            known = self.facts.known(roots, ranges=level in WITH_RANGES, defaults=level in WITH_ARGUMENTS)
            for n in self.free(roots, known) if level == "moderate" else ():
                known[n] = known.get(n, TOP).meet(between(-LIMIT, LIMIT))
            self._provers[key] = Prover(known)
        return self._provers[key]

    def free(self, roots: tuple[Node, ...], known: Known) -> list[Node]:
        """The leaves nothing is known of."""
        out: list[Node] = []
        for r in refs(*roots):
            if r in self.t.previous or (r.offset == 0 and self.facts.definition(r.name) is not None):
                continue
            out += [r] if r.dtype != "complex" else [b.apply("re", r), b.apply("im", r)]
        return [n for n in out if n not in known or not known[n].finite]

    def assumptions(self, level: str, *roots: Node) -> tuple[str, ...]:
        """The assumptions of a level that concern these expressions, as text."""
        found: list[str] = []
        if level == "plain":
            return ()
        for r in refs(*roots):
            p = self.facts.layer.params.get(r.name)
            ranged = p is not None and p.range is not None and p.trainable and r.dtype != "complex"
            if ranged and level in WITH_RANGES:
                found.append(f"`{r.name}` in {self.prover(level, *roots).real(r)}")
        if level == "moderate":
            known = self.facts.known(roots, ranges=True, defaults=True)
            names = dict.fromkeys(_name(n) for n in self.free(roots, known))
            found += [f"|{n}| <= {LIMIT}" for n in names]
        if level in WITH_ARGUMENTS:
            used = set(walk(*roots))
            sized = any(isinstance(n, Index | Size | Reduce) for n in used)
            for a in self.facts.layer.args:
                free = a.default is not None and a.fixed is None and a.kind in ("int", "float")
                if free and (sized or b.arg(a.name, "real") in used):
                    found.append(f"{a.name} at its default")
        return tuple(dict.fromkeys(found))

    def step(self, prover: Prover) -> Interval | None:
        """Bounds of the squared size of one step."""
        return step_size(self.facts, self.state, self.t, prover)

    def roots(self) -> tuple[Node, ...]:
        """The expressions a step's size depends on."""
        t = self.t
        if t.kind == "linear":
            return (t.coefficient,)
        return (t.update, *(self.facts.inline(self.facts.layer.states[n].update) for n in t.partners))

    # --- properties ---

    def continuous(self) -> list[Verdict]:
        """Whether the equation h' = a*h + ... decays by itself."""
        c = self.state.continuous
        if c is None:
            return []
        a = self.facts.inline(c.coefficient)
        if self.nonlinear_rate():
            return [Verdict("continuous", "undecided", "the equation is not linear in the state")]
        real = b.apply("re", a) if a.dtype == "complex" else a
        for level in LEVELS:
            found = self.prover(level, real).real(real)
            if found.negative:
                return [self.proof("continuous", level, f"re(A) is in {found}", real)]
        return [Verdict("continuous", "undecided", f"re(A) is only known to be in {found}")]

    def nonlinear_rate(self) -> bool:
        """Whether the continuous equation is not linear in its state."""
        c = self.state.continuous
        return c is not None and any(n.name == self.state.name and n.offset == 0 for n in refs(c.coefficient))

    def proof(self, name: str, level: str, because: str, *roots: Node) -> Verdict:
        listed = self.assumptions(level, *roots)
        return Verdict(name, "assumed" if listed else "proven", because, listed)

    def contractive(self) -> Verdict:
        """Every step at most 1."""
        for level in LEVELS:
            found = self.step(self.prover(level, *self.roots()))
            if found is not None and found.hi <= 1:
                return self.proof("contractive", level, f"{_what(self.t)} squared is in {found}", *self.roots())
        by_rule = self.by_rule()
        if by_rule is not None:
            return by_rule
        witness = self.witness(Fraction(1), strict=True)
        if witness is not None:
            return _refuted("contractive", witness, "a step can be larger than 1")
        return Verdict("contractive", "undecided", _open(self.t))

    def by_rule(self) -> Verdict | None:
        """A rule that keeps every decaying equation decaying."""
        c = self.state.continuous
        if c is None or self.nonlinear_rate() or self.t.kind != "linear":
            return None
        rule = rules().get(c.rule)
        decays = self.continuous()[0]
        if rule is None or not rule.preserves or not holds(decays):
            return None
        step = self.facts.inline(c.step)
        for level in LEVELS:
            if self.prover(level, step).real(step).lo >= 0:
                proof = self.proof("contractive", level, rule.condition, step)
                listed = tuple(dict.fromkeys((*decays.assumptions, *proof.assumptions)))
                return replace(proof, assumptions=listed, verdict="assumed" if listed else "proven")
        return None

    def exponential(self) -> Verdict:
        """Every step below 1 by a margin that does not depend on the values."""
        name = "exponentially stable"
        for level in (*LEVELS, "moderate"):
            if level == "moderate":
                witness = None if self.below_one() else self.witness(Fraction(1), strict=False)
                if witness is not None:
                    return _refuted(name, witness, "a step can be as large as 1")
            found = self.step(self.prover(level, *self.roots()))
            if found is not None and found.hi < 1:
                because = f"{_what(self.t)} squared is at most {_below_one(found)}"
                return self.proof(name, level, because, *self.roots())
        return Verdict(name, "undecided", _open(self.t))

    def bounded(self) -> Verdict:
        """The state stays in a bounded set if the inputs do."""
        t, update = self.t, self.t.update
        for level in LEVELS:
            reach = self.prover(level, update).modulus_squared(update)
            if reach.finite:
                return self.proof("bounded", level, f"the update's square is at most {reach.hi}", update)
            for box in BOXES if self.state.dtype == "real" and t.kind in ("linear", "nonlinear") else ():
                known = dict(self.prover(level, update).known)
                known |= {r: between(-box, box) for r in t.previous}
                inside = Prover(known)
                starts = [self.facts.inline(r.init) for r in t.previous if r.init is not None]
                if all(inside.real(n).within(between(-box, box)) for n in (update, *starts)):
                    return self.proof("bounded", level, f"[-{box}, {box}] is never left", update)
        if t.kind == "linear" and t.previous and not self.below_one():
            at = diverging(self.facts, t)
            if at is not None:
                return _refuted("bounded", at, "constant inputs make it grow without bound")
        if t.kind in ("linear", "nonlinear"):
            return self.bounded_by_decay()
        return Verdict("bounded", "undecided", _open(t))

    def bounded_by_decay(self) -> Verdict:
        prover = self.prover("moderate", self.t.update)
        found = self.step(prover)
        at_zero = b.substitute(self.t.update, lambda n: b.ZERO if n in self.t.previous else None)
        if found is not None and found.hi < 1 and Prover(prover.known).modulus_squared(at_zero).finite:
            because = "steps shrink by a fixed factor and the input is bounded"
            return self.proof("bounded", "moderate", because, self.t.update)
        return Verdict("bounded", "undecided", _open(self.t))

    def below_one(self) -> bool:
        """Whether no step is as large as 1, though it may come close."""
        found = self.step(self.prover("defaults", *self.roots()))
        return found is not None and (found.hi < 1 or (found.hi == 1 and found.hi_open))

    def witness(self, over: Fraction, strict: bool) -> Witness | None:
        return growing(self.facts, self.t, over, strict) if self.t.kind == "linear" else None


def _name(n: Node) -> str:
    match n:
        case Ref():
            return f"`{n.name}`" if n.offset == 0 else f"`prev({n.name})`"
    inner = n.children[0]
    return _name(inner)


def _what(t: Transition) -> str:
    names = {"linear": "the coefficient", "nonlinear": "the slope of the update", "rank_one": "the 2-norm of a step"}
    return names.get(t.kind, "the 2-norm of the coupled step")


def _below_one(found: Interval) -> str:
    return str(float(found.hi)) if float(found.hi) < 1 else "a number just below 1"


def _open(t: Transition) -> str:
    return {
        "dense": "the state is met under a sum, at another index, at an earlier token or through a module",
        "coupled": "the states feed one another",
        "rank_one": "the rank-one term could not be bounded",
        "nonlinear": "the slope of the update could not be bounded by 1",
    }.get(t.kind, "the coefficient could not be bounded by 1")


def _refuted(name: str, witness: Witness, because: str) -> Verdict:
    return Verdict(name, "refuted", because, (), witness.values, value=witness.reached)
