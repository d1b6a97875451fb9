"""One typed expression DAG, from the spec's equations down to the printed kernel.

Nodes are frozen and hash-consed: equal expressions are the same object, so identity is equality, sharing is visible and
every memo is a dictionary on nodes. A node carries the axes its value has (atoms, see `ir/axes.py`) and its type; the
span is that of the first place the expression was written and never part of identity.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, fields
from fractions import Fraction
from typing import Any, TypeVar
from weakref import WeakValueDictionary

from ssmc.diagnostics.span import Span

NOWHERE = Span(0, 0)

_interned: WeakValueDictionary[tuple[Any, ...], Any] = WeakValueDictionary()
N = TypeVar("N", bound="Node")


@dataclass(frozen=True, eq=False)
class Node:
    """A value at every index of its `axes`; `dtype` is `real`, `complex` or `bool`."""

    axes: tuple[str, ...]
    dtype: str
    span: Span

    @property
    def children(self) -> tuple[Node, ...]:
        """The nodes this one is computed from."""
        return ()


def intern(node: N) -> N:
    """The one node equal to this one; every constructor below passes through here."""
    key = (type(node), *((type(v), v) for f in fields(node) if f.name != "span" for v in (getattr(node, f.name),)))
    found: N = _interned.setdefault(key, node)
    return found


@dataclass(frozen=True, eq=False)
class Const(Node):
    """An exact number, or a truth value."""

    value: Fraction | bool


@dataclass(frozen=True, eq=False)
class Arg(Node):
    """A layer argument, known when the layer is constructed."""

    name: str


@dataclass(frozen=True, eq=False)
class Size(Node):
    """The size of an axis."""

    axis: str


@dataclass(frozen=True, eq=False)
class Index(Node):
    """0, 1, 2, ... along an axis."""

    axis: str


@dataclass(frozen=True, eq=False)
class Position(Node):
    """The token's 0-based position in its sequence (`t`)."""


@dataclass(frozen=True, eq=False)
class Ref(Node):
    """A named value at this token (offset 0), the previous (-1) or the next (+1).

    `init` is what an offset reference reads beyond the sequence's edge (None: zero).
    """

    name: str
    offset: int
    init: Node | None

    @property
    def children(self) -> tuple[Node, ...]:
        """See `Node.children`."""
        return () if self.init is None else (self.init,)


@dataclass(frozen=True, eq=False)
class Pointwise(Node):
    """A function of `ir/functions.py` applied at every index, arguments broadcast by axis name."""

    fn: str
    args: tuple[Node, ...]

    @property
    def children(self) -> tuple[Node, ...]:
        """See `Node.children`."""
        return self.args


@dataclass(frozen=True, eq=False)
class Reduce(Node):
    """`sum`, `max` or `min` of the body over axes, which the result no longer has."""

    op: str
    over: tuple[str, ...]
    body: Node

    @property
    def children(self) -> tuple[Node, ...]:
        """See `Node.children`."""
        return (self.body,)


@dataclass(frozen=True, eq=False)
class Relabel(Node):
    """The body with axes renamed: `pairs` holds (old, new)."""

    pairs: tuple[tuple[str, str], ...]
    body: Node

    @property
    def children(self) -> tuple[Node, ...]:
        """See `Node.children`."""
        return (self.body,)


@dataclass(frozen=True, eq=False)
class Draw(Node):
    """An initialiser that is not a formula: a random draw, or a table of the HiPPO theory, whose measure is `word` (or
    the layer argument of that name). Two draws written apart are two draws (`uid`)."""

    kind: str
    args: tuple[Node, ...]
    uid: int
    word: str

    @property
    def children(self) -> tuple[Node, ...]:
        """See `Node.children`."""
        return self.args


# --- constructors ---------------------------------------------------------------------------------------------------


def const(value: int | Fraction | bool, span: Span = NOWHERE) -> Const:
    """An exact constant."""
    if isinstance(value, bool):
        return intern(Const((), "bool", span, value))
    return intern(Const((), "real", span, Fraction(value)))


def rebuild(node: Node, children: tuple[Node, ...], make: Callable[[Node, tuple[Node, ...]], Node]) -> Node:
    """The node with other children; itself if nothing changed."""
    return node if all(a is b for a, b in zip(node.children, children, strict=True)) else make(node, children)


# --- traversal ------------------------------------------------------------------------------------------------------


def walk(*roots: Node) -> Iterator[Node]:
    """Every node below the roots once, children before parents, in a fixed order."""
    seen: set[Node] = set()
    stack: list[tuple[Node, bool]] = [(r, False) for r in reversed(roots)]
    while stack:
        node, done = stack.pop()
        if done:
            yield node
        elif node not in seen:
            seen.add(node)
            stack.append((node, True))
            stack.extend((c, False) for c in reversed(node.children))


def refs(*roots: Node) -> list[Ref]:
    """The references below the roots, each once, in the order they are met."""
    return [n for n in walk(*roots) if isinstance(n, Ref)]


def fold(root: Node, step: Callable[[Node, tuple[Any, ...]], Any], memo: dict[Node, Any] | None = None) -> Any:
    """Bottom-up evaluation: `step(node, results of its children)`, once a node."""
    memo = {} if memo is None else memo
    for node in walk(root):
        if node not in memo:
            memo[node] = step(node, tuple(memo[c] for c in node.children))
    return memo[root]
