"""Variants of a layer as one: where they differ, the statements stand under an `if` on the argument that decides."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from difflib import SequenceMatcher
from typing import Any

from ssmc.codegen.layer_context import LayerContext
from ssmc.ir.layer import LayerArg

MERGED = ("sizes", "owned", "children", "initial", "forward")
Values = tuple[bool | str, ...]


def merge_variants(flags: Sequence[LayerArg], variants: Mapping[Values, LayerContext]) -> LayerContext:
    """The first variant's context with the statements of all of them."""
    first = next(iter(variants.values()))
    merged: dict[str, Any] = {
        name: tuple(_merge(flags, {values: getattr(c, name) for values, c in variants.items()})) for name in MERGED
    }
    axes = dict(pair for c in variants.values() for pair in c.positive)
    shared = tuple(pair for pair in axes.items() if all(pair in c.positive for c in variants.values()))
    return replace(first, **merged, positive=shared)


def as_lines(context: LayerContext) -> LayerContext:
    """The context with statements of several lines as lines."""
    split: dict[str, Any] = {
        name: tuple(line for s in getattr(context, name) for line in s.split("\n")) for name in MERGED
    }
    return replace(context, **split)


def _merge(flags: Sequence[LayerArg], variants: Mapping[Values, Sequence[str]]) -> list[str]:
    if not flags:
        return list(next(iter(variants.values())))
    flag, rest = flags[0], flags[1:]
    order = list(dict.fromkeys(v[0] for v in variants))
    branches = {x: _merge(rest, {v[1:]: s for v, s in variants.items() if v[0] == x}) for x in order}
    if len(order) == 2:
        return _weave(flag, order[0], branches[order[0]], branches[order[1]])
    if all(b == branches[order[0]] for b in branches.values()):
        return branches[order[0]]
    head = [
        "\n".join(_block(f"{'if' if i == 0 else 'elif'} {_test(flag, x)}:", branches[x])) for i, x in enumerate(order)
    ]
    return ["\n".join(head)]


def _weave(flag: LayerArg, value: bool | str, yes: Sequence[str], no: Sequence[str]) -> list[str]:
    """Statements that both have once, the others under the test."""
    out: list[str] = []
    for tag, i, j, k, m in SequenceMatcher(None, yes, no, autojunk=False).get_opcodes():
        if tag == "equal":
            out += yes[i:j]
            continue
        lines: list[str] = []
        if j > i:
            lines += _block(f"if {_test(flag, value)}:", yes[i:j])
        if m > k:
            lines += _block("else:" if j > i else f"if not {_test(flag, value, inner=True)}:", no[k:m])
        out.append("\n".join(lines))
    return out


def _block(head: str, statements: Sequence[str]) -> list[str]:
    return [head, *(f"    {line}" for s in statements for line in s.split("\n"))] if statements else [head, "    pass"]


def _test(flag: LayerArg, value: bool | str, inner: bool = False) -> str:
    if isinstance(value, bool):
        return f"self.{flag.name}" if value else f"(not self.{flag.name})" if inner else f"not self.{flag.name}"
    return f'(self.{flag.name} == "{value}")' if inner else f'self.{flag.name} == "{value}"'
