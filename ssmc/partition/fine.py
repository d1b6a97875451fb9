"""Results of recurrences that stay in float32 between ops, whatever the activations are.

Log scales: a running maximum of 15 is 15 +- 0.03 in 16 bits, and what is multiplied by its exponential is 3 % wrong.

What decides: a normaliser is held against a bound, `max(abs(n), 1)`, and rounded first it takes the other side for one
token in thousands, whose whole gradient is lost then. Such a result stays fine where it is narrow, of fewer axes than
something else of the op that reads it, so that nobody notices its bytes; a wide one is an activation like others.

Either stays so with what is made of it pointwise, unless a module or the layer's caller takes any of it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace

from ssmc.ir.expr import Const, Node, Pointwise, Ref, refs, walk
from ssmc.ir.regions import Definition, Partition, Recurrence

EXPONENTIALS = ("exp", "expm1")
JUMPS = ("floor", "ceil", "round", "floordiv", "mod")
COMPARISONS = ("max", "min", "lt", "le", "gt", "ge", "eq", "ne", "clip")
_SIGN_KEPT = ("mul", "div", "neg", "abs", "square")  # of a rounded value they are as small as of the exact one

Asks = Callable[[Pointwise, set[str]], bool]


def with_fine(p: Partition) -> Partition:
    """The partition with what stays `fine`, and its recurrences with such results and operands that are `wide`."""
    found: set[str] = set()
    for r in p.recurrences.values():
        for name in r.results:
            made = _made_of(name, p) if r.definitions[name].dtype == "real" else None
            if made is not None and (_is_asked(made, p, _exponential) or _decides(name, made, r, p)):
                found |= made
    marked = {n: _marked(r, found) for n, r in p.recurrences.items()}
    return replace(p, recurrences=marked, fine=tuple(sorted(found)))


def _made_of(name: str, p: Partition) -> set[str] | None:
    """A value and all that is made of it pointwise; None, if any of it goes elsewhere than into an op."""
    found, pending = {name}, [name]
    while pending:
        own = pending.pop()
        if own == p.layer.result:
            return None
        for region in p.regions:
            if own not in region.reads or region.kind == "op":
                continue
            if region.kind not in ("pointwise", "delay"):
                return None
            pending += [w for w in region.writes if w not in found]
            found |= set(region.writes)
    return found


def _decides(name: str, made: set[str], r: Recurrence, p: Partition) -> bool:
    """Whether a narrow result is compared with something, in ops or on the way to them."""
    axes = {*r.definitions[name].axes}
    readers = [x for x in p.recurrences.values() if made & {o.name for o in x.operands}]
    beside = [{*o.axes} for x in readers for o in x.operands if o.streams]
    beside += [{*x.definitions[n].axes} for x in readers for n in x.results]
    return any(axes < b for b in beside) and _is_asked(made, p, _compared)


def _is_asked(names: set[str], p: Partition, asks: Asks) -> bool:
    """Whether something that is made of these is taken the exponential of, or compared."""
    outside = [p.definitions[n] for n in sorted(names) if n in p.definitions]
    inside = [r.definitions.values() for r in p.recurrences.values() if names & {o.name for o in r.operands}]
    return any(_asked(group, names, asks) for group in [outside, *inside])


def _asked(definitions: Iterable[Definition], names: set[str], asks: Asks) -> bool:
    reached = set(names)
    for d in definitions:
        if any(isinstance(n, Pointwise) and asks(n, reached) for n in walk(d.node)):
            return True
        if _reads(d.node, reached):
            reached.add(d.name)
    return False


def _exponential(node: Pointwise, names: set[str]) -> bool:
    return node.fn in EXPONENTIALS and _reads(node, names)


def _compared(node: Pointwise, names: set[str]) -> bool:
    """Whether rounding these first may turn the outcome: no rounding changes on which side of zero a product is."""
    if node.fn in JUMPS:
        return _reads(node, names)
    if node.fn not in COMPARISONS or not _reads(node, names):
        return False
    others = [a for a in node.args if not _keeps_sign(a, names)]
    return len(others) < len(node.args) - 1 or any(not (isinstance(a, Const) and a.value == 0) for a in others)


def _keeps_sign(node: Node, names: set[str]) -> bool:
    """Whether a value is one of these times something that does not depend on them."""
    if isinstance(node, Pointwise) and node.fn in _SIGN_KEPT:
        return any(_keeps_sign(a, names) for a in node.args)
    return isinstance(node, Ref) and node.name in names


def _reads(node: Node, names: set[str]) -> bool:
    return any(r.name in names for r in refs(node))


def _marked(r: Recurrence, fine: set[str]) -> Recurrence:
    """Its fine operands do not decide on the dtype of its results, unless no other does."""
    r = replace(r, fine=tuple(n for n in r.results if n in fine))
    if all(o.name in fine for o in r.operands if o.streams):
        return r
    return replace(r, operands=tuple(replace(o, wide=True) if o.name in fine else o for o in r.operands))
