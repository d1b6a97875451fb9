"""One recurrence in words."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

_VERDICTS = {"proven": "proven", "assumed": "proven if", "refuted": "refuted", "undecided": "undecided"}
_PROPERTY = {"continuous": "the equation decays", "contractive": "no step grows",
             "exponentially stable": "steps shrink by a factor", "bounded": "stays bounded"}  # fmt: skip


def op_lines(r: dict[str, Any]) -> Iterator[str]:
    """The section of a recurrence."""
    yield f"Recurrence {r['name']} (line {r['line']}): {', '.join(r['states'])}"
    for part in (_equations(r), _class(r), _op(r), _adjoint(r), _modes(r), _stability(r)):
        yield from (f"  {line}" for line in part)


def _equations(r: dict[str, Any]) -> Iterator[str]:
    c = r["continuous"]
    if c is not None:
        rules = [f"{c['coefficient']} by {c['rule']}", *(f"{t['term']} by {t['rule']}" for t in c["terms"])]
        yield f"{c['rate']}, discretized: {', '.join(rules)}, step {c['step']}"
    e = r["equations"]
    for key, said in (
        ("before_time", "Computed once, before time starts"),
        ("prologue", "Fused before the update (prologue)"),
        ("update", "The update, " + ("from the last token to the first" if r["reverse"] else "token by token")),
        ("epilogue", "Fused after the update (epilogue)"),
    ):
        if e[key]:
            yield said
            yield from (f"  {line}" for line in e[key])


def _class(r: dict[str, Any]) -> Iterator[str]:
    c, k = r["class"], r["coefficient"]
    yield f"Class {c['letter']}: {c['title']}"
    yield from (f"  {reason}" for reason in c["reasons"])
    for g in r["gauges"]:
        yield f"Class N on top: `{g['scale']}` is a gauge of {', '.join(g['states'])}"
        yield from (f"  {line}" for line in g["lines"] if g["here"])
    if k is None:
        return
    for a, b in zip(k["a"], k["b"], strict=True):
        yield f"  {r['name']} is {a} times prev({r['name']}), plus {b}"
    if k["selective"]:
        yield f"  selective: the coefficient depends on the token, through {', '.join(k['through'])}"
    else:
        yield "  time-invariant: the coefficient is the same at every token"
    if r["filter"] is not None:
        yield from _filter(r["filter"])
    if r["outer_products"] is not None:
        yield from _outer(r["outer_products"])
    elif r["not_outer_products"] is not None:
        yield f"  no chunks of matrix products: {r['not_outer_products']}"


def _outer(o: dict[str, Any]) -> Iterator[str]:
    along = f"keys {', '.join(o['keys'])}, values {', '.join(o['values'])}, heads {', '.join(o['heads']) or 'none'}"
    yield f"Gathers outer products, along {along}"
    yield f"  log decay {o['log_decay']}; key {o['key']}; value {o['value']}"
    for name, query in o["queries"].items():
        yield f"  {name} is read by the query {query}"


def _filter(f: dict[str, Any]) -> Iterator[str]:
    yield "Filter in closed form, for lags l = 0, 1, ..."
    yield from (f"  {line}" for line in f["closed_form"])
    poles = f["poles"] if f["log_poles"] is None else f"exp({f['log_poles']})"
    yield f"  poles {poles}; where they may lie stands under Stability"


def _op(r: dict[str, Any]) -> Iterator[str]:
    yield "Operands of its op, and why the walk back from the state ends there"
    width = max((len(_shape(o)) for o in r["operands"]), default=0)
    yield from (f"  {_shape(o):{width}}  {o['why']}" for o in r["operands"])
    yield "Results"
    yield from (f"  {_shape(o)}  {o['why']}" for o in r["results"])
    for o in r["left_outside"]:
        yield f"  {o['name']} stays outside: {o['why']}"
    if r["channels"]:
        summed = f"; sums over {', '.join(r['summed_inside'])}" if r["summed_inside"] else ""
        yield f"Independent along {', '.join(r['channels'])}{summed}"


def _shape(o: dict[str, Any]) -> str:
    return f"{o['name']}[{', '.join(o['axes'])}]" if o["axes"] else o["name"]


def _adjoint(r: dict[str, Any]) -> Iterator[str]:
    a = r["adjoint"]
    order = "from the first token to the last" if r["reverse"] else "from the last token to the first"
    yield f"Adjoint, {order}; given {', '.join(a['given'])}, dv is the gradient of v"
    for line in a["where"]:
        yield f"  where {line}"
    yield from (f"  {line}" for line in a["each_token"])
    if a["summed_over_tokens"]:
        yield "  summed over the tokens:"
        yield from (f"    {line}" for line in a["summed_over_tokens"])
    if a["afterwards"]:
        yield "  then, once:"
        yield from (f"    {line}" for line in a["afterwards"])


def _modes(r: dict[str, Any]) -> Iterator[str]:
    yield "Modes, for T tokens, M numbers of state, P pieces or chunks of C tokens"
    for m in r["modes"]:
        if not m["allowed"]:
            yield f"  {m['name']:12} refused: {m['reason']}"
            continue
        yield f"  {m['name']:12} {m['reason']}"
        timed = f"; about {m['estimate_us']:g} us" if m["estimate_us"] is not None else ""
        yield f"  {'':12} FLOPs {m['flops']}; bytes {m['bytes']}; depth {m['depth']}{timed}"
    c = r["crossover"]
    if c is None:
        return
    parts = []
    for this, after in zip(c["ranges"], [*c["ranges"][1:], None], strict=True):
        end = "on" if after is None else f"to {after['from'] - 1:,}"
        parts.append(f"{this['mode']} from length {this['from']:,} {end}")
    yield f"  by estimate for an H100, batch {c['batch']} and the arguments above: {', '.join(parts)}"
    if c["chosen"]:
        yield f"  at length {c['length']:,}: {c['chosen']}"
    w = r["work_per_token"]
    for way in ("forward", "backward"):
        special = w[way]["special_functions"]
        others = "" if special == "0" else f", and {special} exponentials and the like"
        yield f"  {way}, FLOPs a token: {w[way]['flops']}{others}"
    if not r["kernel"]:
        yield "  evaluated by the eager backend only"


def _stability(r: dict[str, Any]) -> Iterator[str]:
    if not r["stability"]:
        return
    yield "Stability"
    for v in r["stability"]:
        said = _PROPERTY.get(v["property"], v["property"])
        line = f"  {v['property']} ({said}): {_VERDICTS[v['verdict']]}"
        if v["assumptions"]:
            line += f" {', '.join(v['assumptions'])}"
        if v["witness"]:
            line += " at " + ", ".join(f"{n} = {value}" for n, value in v["witness"].items())
        yield f"{line}; {v['because']}"
