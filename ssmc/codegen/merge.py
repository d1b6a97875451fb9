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


def merge_variants(
    flags: Sequence[LayerArg], variants: Mapping[Values, LayerContext], names: Mapping[str, str]
) -> LayerContext:
    """The first variant's context with the statements of all of them; `names` are the arguments' attributes."""
    flags = [replace(f, name=names[f.name]) for f in flags]
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
    return _weave_words(flag, branches)


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


def _weave_words(flag: LayerArg, branches: Mapping[bool | str, Sequence[str]]) -> list[str]:
    """Statements that all branches have once, what stands between them under the word it is for."""
    shared: list[str] = list(next(iter(branches.values())))
    for b in branches.values():
        blocks = SequenceMatcher(None, shared, b, autojunk=False).get_matching_blocks()
        shared = [s for m in blocks for s in shared[m.a : m.a + m.size]]
    out: list[str] = []
    left = {word: list(b) for word, b in branches.items()}
    for statement in (*shared, None):
        own: dict[tuple[str, ...], list[bool | str]] = {}
        for word, rest in left.items():
            end = len(rest) if statement is None else rest.index(statement)
            own.setdefault(tuple(rest[:end]), []).append(word)
            left[word] = rest[end + 1 :]
        tests = [(words, statements) for statements, words in own.items() if statements]
        lines: list[str] = []
        for i, (words, statements) in enumerate(tests):
            last = i and i == len(tests) - 1 and len(own) == len(tests)
            lines += _block("else:" if last else f"{'elif' if i else 'if'} {_any(flag, words)}:", statements)
        out += ["\n".join(lines)] if lines else []
        out += [statement] if statement is not None else []
    return out


def _any(flag: LayerArg, words: Sequence[bool | str]) -> str:
    if len(words) == 1:
        return _test(flag, words[0])
    return f"self.{flag.name} in ({', '.join(f'{chr(34)}{w}{chr(34)}' for w in words)})"


def _block(head: str, statements: Sequence[str]) -> list[str]:
    return [head, *(f"    {line}" for s in statements for line in s.split("\n"))] if statements else [head, "    pass"]


def _test(flag: LayerArg, value: bool | str, inner: bool = False) -> str:
    if isinstance(value, bool):
        return f"self.{flag.name}" if value else f"(not self.{flag.name})" if inner else f"not self.{flag.name}"
    return f'(self.{flag.name} == "{value}")' if inner else f'self.{flag.name} == "{value}"'
