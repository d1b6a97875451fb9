"""What is true of every expression at every level: axes and types follow from the children, references are bound."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from ssmc.ir.expr import Arg, Const, Draw, Index, Node, Pointwise, Position, Reduce, Ref, Relabel, Size, walk
from ssmc.ir.functions import FUNCTIONS
from ssmc.ir.layer import Time

Signature = tuple[tuple[str, ...], str]  # atoms and type
TRUTHS = {"and", "or", "not"}


class InternalError(Exception):
    """An invariant of the compiler does not hold; the message says which, and of what value."""


def demand(holds: bool, what: str, broken: str) -> None:
    """`what` is the value that breaks the invariant, `broken` the invariant in words."""
    if not holds:
        raise InternalError(f"{what}: {broken}")


def once(names: Iterable[str], where: str) -> None:
    """No name is bound twice."""
    seen: set[str] = set()
    for name in names:
        demand(name not in seen, f"`{name}`", f"a name is bound once {where}")
        seen.add(name)


def check_node(root: Node, what: str, draws: bool = False, position: bool = True, complex_ok: bool = True) -> None:
    """Axes and types of every node below the root are what its children imply; only what the level allows occurs."""
    for n in walk(root):
        demand(len(set(n.axes)) == len(n.axes), what, f"no axis occurs twice in {n.axes}")
        demand(n.dtype in ("real", "bool", "complex"), what, f"`{n.dtype}` is a type")
        demand(complex_ok or n.dtype != "complex", what, "complex values are pairs below the plan")
        demand(draws or not isinstance(n, Draw), what, "random draws occur in initial values only")
        demand(
            position or not isinstance(n, Position), what, "the position is read as the value `t` from the partition on"
        )
        axes, dtype = _implied(n, what)
        demand(n.axes == axes, what, f"a {_kind(n)} has the axes {axes} its arguments imply, not {n.axes}")
        demand(n.dtype == dtype, what, f"a {_kind(n)} is {dtype} as its arguments imply, not {n.dtype}")


def _kind(n: Node) -> str:
    return f"`{n.fn}`" if isinstance(n, Pointwise) else type(n).__name__.lower()


def _implied(n: Node, what: str) -> Signature:
    match n:
        case Const():
            return (), "bool" if isinstance(n.value, bool) else "real"
        case Arg() | Draw():
            return n.axes if isinstance(n, Draw) else (), n.dtype
        case Size() | Position():
            return (), "real"
        case Index():
            return (n.axis,), "real"
        case Ref():
            demand(n.offset in (-1, 0, 1), what, f"`{n.name}` is read at this token or a neighbour, not at {n.offset}")
            demand(n.offset != 0 or n.init is None, what, f"`{n.name}` at this token has no start")
            if n.init is not None:
                demand(set(n.init.axes) <= set(n.axes), what, f"the start of `{n.name}` has no other axes than it")
                demand(
                    n.init.dtype != "complex" or n.dtype == "complex", what, f"the start of `{n.name}` is of its type"
                )
            return n.axes, n.dtype
        case Pointwise():
            return _pointwise(n, what)
        case Reduce():
            demand(n.op in ("sum", "max", "min"), what, f"`{n.op}` is a reduction")
            demand(n.op == "sum" or n.body.dtype != "complex", what, "complex values are not ordered")
            demand(
                bool(n.over) and set(n.over) <= set(n.body.axes),
                what,
                f"a reduction over {n.over} removes axes its body has",
            )
            return tuple(a for a in n.body.axes if a not in n.over), n.body.dtype
        case Relabel():
            old = [o for o, _ in n.pairs]
            demand(bool(old) and set(old) <= set(n.body.axes), what, f"a renaming of {old} renames axes its body has")
            names = dict(n.pairs)
            return tuple(names.get(a, a) for a in n.body.axes), n.body.dtype
    raise InternalError(f"{what}: {type(n).__name__} is no node")


def _pointwise(n: Pointwise, what: str) -> Signature:
    demand(n.fn in FUNCTIONS, what, f"`{n.fn}` is in the table of functions")
    f, kinds = FUNCTIONS[n.fn], [a.dtype for a in n.args]
    enough = len(n.args) >= 2 if f.arity < 0 else len(n.args) == f.arity
    demand(enough, what, f"`{n.fn}` has {f.arity} arguments, not {len(n.args)}")
    demand(f.complex_ok or "complex" not in kinds, what, f"`{n.fn}` takes no complex arguments")
    if n.fn in TRUTHS:
        demand(set(kinds) == {"bool"}, what, f"`{n.fn}` takes conditions, not {kinds}")
    if n.fn == "where":
        demand(kinds[0] == "bool", what, f"`where` chooses by a condition, not by a {kinds[0]} value")
    axes = tuple(dict.fromkeys(a for c in n.args for a in c.axes))
    if f.result != "same":
        return axes, f.result
    if n.fn == "where" and kinds[1:] == ["bool", "bool"]:
        return axes, "bool"
    return axes, "complex" if "complex" in kinds else "real"


def check_refs(root: Node, what: str, bound: Mapping[str, Signature]) -> None:
    """Every reference is to a value there is, on the axes and of the type it has."""
    for n in walk(root):
        if isinstance(n, Ref):
            demand(n.name in bound, what, f"`{n.name}`, which it reads, is bound")
            axes, dtype = bound[n.name]
            demand(n.axes == axes, what, f"`{n.name}` is read on the axes {axes} it has, not on {n.axes}")
            demand(n.dtype == dtype, what, f"`{n.name}` is read as the {dtype} value it is, not as {n.dtype}")


def time_of(root: Node, times: Mapping[str, Time]) -> Time:
    """When an expression is known: with the latest of its references; one to another token not before tokens are."""
    found = Time.LITERAL
    for n in walk(root):
        if isinstance(n, Ref):
            found = max(found, times[n.name], Time.TOKEN if n.offset else Time.LITERAL)
        elif isinstance(n, Position):
            found = max(found, Time.TOKEN)
    return found
