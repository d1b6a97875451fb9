"""What the syntax tests share: reading a text, trees without spans, and the catalogue form of broken specs."""

from __future__ import annotations

import re
from dataclasses import fields, is_dataclass
from typing import Any

import pytest

from ssmc.diagnostics.render import render
from ssmc.diagnostics.sink import Edit, Sink
from ssmc.diagnostics.span import Source
from ssmc.syntax import ast
from ssmc.syntax.parse import parse

FRAME = "layer M(d_model, N = 4, gate = false)\n  input u[d_model]\n{}  return u\n"

KITCHEN_SINK = """\
# Every statement there is.
edition 1

layer Sink(d_model, d_state = 16, gate = false, rate: float, disc = zoh | bilinear)
  axis E = 2 * d_model, N = d_state
  input u[d_model]
  input reset = 0
  param A[E, N] complex = complex(-0.5, index(N)) in [-1, 1] no_decay fixed as "mixer.A"
  linear in_proj(u -> x_in[E], z[E], bias = false) as "mixer.in_proj"
  linear mix(u, x_in -> [E])
  conv conv1d(x_in, width = 4, bias) as "mixer.conv"
  conv conv2(x_in, z -> a[E], b[E], width = 4, bias = true)
  def g(x) = where(x >= 0, x + 0.5, sigmoid(x))
  p, q = bilinear(A, 1, softplus(z))
  state h[E, N]: h' = A * h + conv1d by zoh(A), gbt(conv1d, alpha = 0.3), step softplus(z)
  state s[E] allow unstable: s = max(g(z) + prev(s), a - -b // 2 % 3)
  y[E] = sum[N](p * h[N as M, E as F]) if gate and not rate < 0.5 or disc == zoh else -z ** -2.5e-3
  if gate:
    v = y * silu(z)
    if disc == zoh:
      w = 1
  elif disc == bilinear:
    v = y
  else:
    v = (y + z) * (y - (z - y))
  linear out_proj(v -> [d_model])
  return out_proj
"""


def read(text: str) -> ast.Spec:
    """The tree of a right text."""
    sink = Sink()
    source = Source("test.ssm", text)
    spec = parse(source, sink)
    assert not sink.items, render(sink, source)
    assert spec is not None
    return spec


def refuse(text: str) -> tuple[Sink, str]:
    """The findings in a wrong text, and their rendering."""
    sink = Sink()
    source = Source("test.ssm", text)
    assert parse(source, sink) is None
    assert sink.items
    return sink, render(sink, source)


def bare(node: Any) -> Any:
    """A tree as nested tuples without spans and comments."""
    if is_dataclass(node):
        kept = [getattr(node, f.name) for f in fields(node) if f.name not in ("span", "comments")]
        return (type(node).__name__, *map(bare, kept))
    return tuple(map(bare, node)) if isinstance(node, tuple) else node


def apply(text: str, edits: list[Edit]) -> str:
    """The text after all edits."""
    for edit in sorted(edits, key=lambda e: e.span.start, reverse=True):
        text = text[: edit.span.start] + edit.text + text[edit.span.end :]
    return text


def cases(catalogue: str) -> list[Any]:
    """The broken texts of a catalogue, each line behind a `>`, with the renderings that follow them."""
    blocks = re.findall(r"((?:^>.*\n)+)((?:^[^>\n].*\n|\n)*)", catalogue.strip("\n") + "\n", re.MULTILINE)
    texts = ["\n".join(row[2:] for row in text.splitlines()) for text, _ in blocks]
    return [pytest.param(t, shown.strip("\n"), id=t) for t, (_, shown) in zip(texts, blocks, strict=True)]


def check(text: str, rendering: str, *, in_layer: bool = True) -> None:
    """The rendering is exact, and the proposed edits mend the text."""
    whole = FRAME.format("".join(f"  {line}\n" for line in text.split("\n"))) if in_layer else text + "\n"
    sink, shown = refuse(whole)
    assert shown == rendering
    edits = [d.edit for d in sink if d.edit is not None]
    if len(edits) == len(sink.items):
        read(apply(whole, edits))
