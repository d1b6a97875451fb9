"""The verdicts on stability as diagnostics. Only a discretization that breaks a decaying equation is an error."""

from __future__ import annotations

from fractions import Fraction

from ssmc.analysis.facts import Facts
from ssmc.analysis.stability import Verdict, holds, judge
from ssmc.diagnostics.sink import Edit, Label, Sink
from ssmc.discretize import Rule, rules
from ssmc.ir.expr import Node, Ref, const, refs
from ssmc.ir.layer import Continuous, Layer, State
from ssmc.ir.pretty import number, pretty

EXACT = "zoh"  # the rule proposed instead of an unstable one


def report(layer: Layer, sink: Sink) -> dict[str, tuple[Verdict, ...]]:
    """Judge every state, report what a user should know, and return the verdicts by state."""
    facts = Facts(layer)
    found: dict[str, tuple[Verdict, ...]] = {}
    for name, state in layer.states.items():
        found[name] = judge(layer, state, facts)
        by_name = {v.property: v for v in found[name]}
        contractive = by_name["contractive"]
        if contractive.verdict == "refuted":
            _refuted(layer, state, contractive, by_name.get("continuous"), facts, sink)
        elif contractive.verdict == "undecided" and not holds(by_name["bounded"]) and not state.allow_unstable:
            sink.report(
                "SSM0301", f"the stability of `{name}` is undecided", state.span, "may grow, or may not",
                notes=(contractive.because,),
                help="if it is meant so, write `allow unstable` before the colon",
            )  # fmt: skip
    return found


def _refuted(layer: Layer, state: State, v: Verdict, continuous: Verdict | None, facts: Facts, sink: Sink) -> None:
    where = _at(v)
    if state.allow_unstable:
        sink.report("SSM0305", f"`{state.name}` can grow, as allowed", state.span, "`allow unstable`", notes=(where,))
    elif state.continuous is not None and continuous is not None and holds(continuous):
        _broken(layer, state, state.continuous, v, facts, sink)
    else:
        sink.report(
            "SSM0303", f"a step of `{state.name}` can grow", state.span,
            "can multiply its previous value by more than 1",
            notes=(where,),
            help="keep the factor within 1, as `sigmoid(...)` or `exp(-softplus(...))` do, or write `allow unstable`",
        )  # fmt: skip


def _broken(layer: Layer, state: State, c: Continuous, v: Verdict, facts: Facts, sink: Sink) -> None:
    """The equation decays and its discretization does not."""
    rule = rules()[c.rule]
    ranged = [n for n in v.witness or {} if n in layer.params and layer.params[n].range is not None]
    unranged = [n for n in v.witness or {} if n not in ranged]
    bounds = [f"`{n}`" for n in sorted(ranged, key=lambda n: layer.params[n].span.start)]
    if unranged:
        message = f"`{c.rule}` is unstable, for nothing bounds " + " and ".join(f"`{n}`" for n in sorted(unranged))
    else:
        message = f"`{c.rule}` is unstable" + (" for the declared ranges of " + " and ".join(bounds) if bounds else "")
    rotating = {r.name for r in refs(facts.inline(c.coefficient))}
    what = {n: "eigenvalues" if n in rotating else "steps" for n in ranged}
    labels = tuple(Label(layer.params[n].span, f"{what[n]} reach {number((v.witness or {})[n])}") for n in ranged)
    pole = "the pole" if rule.keywords else f"the pole {pretty(rule.transition(c.coefficient, c.step))}"
    sink.report(
        "SSM0302", message, c.methods_span, f"{pole} leaves the unit disk",
        secondary=labels,
        notes=(f"{rule.condition}; {_at(v, 'the pole')}",),
        help=_help(layer, c, rule, v, facts),
        edit=_edit(layer, c),
    )  # fmt: skip


def _help(layer: Layer, c: Continuous, rule: Rule, v: Verdict, facts: Facts) -> str:
    if rule.preserves:
        given = any(r.name in layer.inputs for r in refs(facts.inline(c.step)))  # a time, which keeps its meaning
        how = f"max({pretty(c.step)}, 0)" if given else f"softplus({pretty(c.step)})"
        return f"keep the step positive, as `{how}` does"
    exact = rules()[EXACT]
    pole = pretty(exact.transition(c.coefficient, c.step))
    text = f"use `{exact.name}`, whose pole {pole} is inside for every {pretty(c.coefficient)} < 0"
    limit = _longest_step(layer, c, rule, v, facts)
    return text if limit is None else f"{text}, or bound {pretty(c.step)} by {number(limit)}"


def _longest_step(layer: Layer, c: Continuous, rule: Rule, v: Verdict, facts: Facts) -> Fraction | None:
    """2/|A| for forward Euler, if both the coefficient and the step are parameters with ranges."""
    a = facts.inline(c.coefficient)
    if rule.keywords or not isinstance(a, Ref) or a.dtype == "complex":
        return None
    if [rule.transition(const(x), const(1)) for x in (1, -1)] != [const(2), const(0)]:
        return None
    worst = (v.witness or {}).get(a.name)
    ranged = a.name in layer.params and layer.params[a.name].range is not None
    step: Node = facts.inline(c.step)
    return 2 / abs(worst) if worst and ranged and isinstance(step, Ref) and step.name in layer.params else None


def _edit(layer: Layer, c: Continuous) -> Edit | None:
    """The whole clause by the exact rule, where one method stands for everything."""
    text = layer.source.text[c.methods_span.start : c.methods_span.end]
    alone = text.strip() == c.rule != EXACT
    return Edit(c.methods_span, EXACT) if alone else None


def _at(v: Verdict, what: str = "the factor") -> str:
    values = ", ".join(f"{n} = {number(x)}" for n, x in sorted((v.witness or {}).items()))
    reached = "larger than 1" if v.value is None else number(v.value)
    return f"at {values} {what} is {reached}" if values else f"{what} is {reached}"
