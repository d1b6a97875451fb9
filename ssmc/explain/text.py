"""The explanation in words: a page that teaches what the compiler made of the equations, section by section."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from textwrap import wrap
from typing import Any

from ssmc.explain.op_text import op_lines

WIDTH = 110
_KNOWN = {
    "literal": "fixed by the spec",
    "parameter": "known before any token",
    "sequence": "known for a whole sequence",
    "token": "depend on the token (selective)",
    "state": "depend on the state",
}


def text(x: dict[str, Any]) -> str:
    """The whole page."""
    blocks: list[Iterable[str]] = [
        _head(x),
        _arguments(x),
        _axes(x),
        _values(x),
        _regions(x),
        *(_narrow(op_lines(r)) for r in x["recurrences"]),
        _parameters(x),
        _state(x),
        _work(x),
    ]
    shown = ["\n".join(block) for block in blocks]
    return "\n\n".join(s for s in shown if s) + "\n"


def _head(x: dict[str, Any]) -> Iterator[str]:
    yield f"layer {x['layer']}"
    yield from (f"  {line}".rstrip() for line in x["doc"].split("\n") if x["doc"])


def _arguments(x: dict[str, Any]) -> Iterator[str]:
    if not x["arguments"]:
        return
    yield "Arguments"
    rows = []
    for a in x["arguments"]:
        if a["fixed"] is not None:
            said = f"{_plain(a['fixed'])}, fixed when compiling"
        elif a["example"]:
            said = f"required; {_plain(a['value'])} below, as an example (--set {a['name']}=... takes another)"
        else:
            said = str(a["default"]) + (f" = {_plain(a['value'])}" if str(a["default"]) != _plain(a["value"]) else "")
        rows.append((a["name"], a["kind"], said))
    yield from table(rows)


def _axes(x: dict[str, Any]) -> Iterator[str]:
    yield "Axes"
    rows = []
    for a in x["axes"]:
        order = f"ordered, {a['factors'][0]} slow" if a["factors"] else ""
        size = "" if a["size"] == a["name"] else f"= {a['size']}"
        rows.append((a["name"], size, f"= {a['value']}" if a["value"] is not None else "(not whole here)", order))
    yield from table(rows)


def _values(x: dict[str, Any]) -> Iterator[str]:
    yield "Values, by when they are known"
    for known, said in _KNOWN.items():
        names = [typed(v) for v in x["values"] if v["known"] == known]
        if names:
            yield from wrapped(f"{said}: ", ", ".join(names))


def _regions(x: dict[str, Any]) -> Iterator[str]:
    yield "Regions, in order of evaluation, with the FLOPs of one token"
    rows = []
    for i, r in enumerate(x["regions"], 1):
        shown = f"{', '.join(r['reads'])} -> {', '.join(r['writes'])}"
        if r["equation"]:
            shown = r["equation"] if r["kind"] != "conv" else f"{shown}, fused {r['equation']}"
        rows.append((f"{i}.", f"{r['kind']} {r['name']}", shown, big(r["flops_value"])))
    yield from table(rows, widest=64)


def _parameters(x: dict[str, Any]) -> Iterator[str]:
    p = x["parameters"]
    if not p["state_dict"]:
        return
    yield from wrapped("Parameters: ", f"{big(p['count_value'])} = {p['count']}", "")
    rows = []
    for e in p["state_dict"]:
        shape = ", ".join(str(s) if v is None else str(v) for s, v in zip(e["shape"], e["shape_value"], strict=True))
        tags = "" if e["trainable"] else "fixed"
        tags = tags or ("" if e["weight_decay"] else "no weight decay")
        initial = f"= {e['initial']}" if e["initial"] else "as torch does"
        rows.append((e["key"], f"[{shape}]", initial, tags))
    yield from table(rows, widest=60)


def _state(x: dict[str, Any]) -> Iterator[str]:
    s = x["state"]
    if s is None:
        yield "State: none; the layer looks at later tokens, so it has no `step` and cannot be continued"
    elif not s["fields"]:
        yield "State: none; a token's output depends on that token alone"
    else:
        yield from wrapped("State of one sequence: ", f"{big(s['count_value'])} numbers = {s['count']}", "")
        yield from table([(f["name"], f["what"], f"{big(f['count_value'])} = {f['count']}") for f in s["fields"]])


def _work(x: dict[str, Any]) -> Iterator[str]:
    w = x["work_per_token"]
    yield "Work of one token, forward"
    yield from wrapped("FLOPs: ", f"{big(w['flops_value'])} = {w['flops']}")
    if w["special_functions"] != "0":
        special = f"{big(w['special_functions_value'])} = {w['special_functions']}"
        yield from wrapped("exponentials and the like: ", special)


# --- shared by the sections ---


def typed(v: dict[str, Any]) -> str:
    """`h[E, N]`."""
    axes = f"[{', '.join(v['axes'])}]" if v["axes"] else ""
    return f"{v['name']}{axes}"


def big(n: int | None) -> str:
    """A count with its thousands apart."""
    return "?" if n is None else f"{n:,}"


def wrapped(head: str, body: str, indent: str = "  ") -> Iterator[str]:
    """A line, continued further in if it is long."""
    after = indent + "    "
    yield from wrap(head + body, WIDTH, initial_indent=indent, subsequent_indent=after, break_long_words=False)


def _narrow(lines: Iterable[str]) -> Iterator[str]:
    """Lines, the long ones continued further in."""
    for line in lines:
        indent = line[: len(line) - len(line.lstrip())]
        yield from wrapped("", line.lstrip(), indent)


def table(rows: Sequence[tuple[str, ...]], indent: str = "  ", widest: int = 48) -> Iterator[str]:
    """Rows in columns; a cell that is wider than `widest` pushes the rest of its row."""
    widths = [
        max((len(r[i]) for r in rows if len(r[i]) <= widest), default=0) for i in range(max(map(len, rows), default=0))
    ]
    for r in rows:
        yield (indent + "  ".join(f"{c:{w}}" for c, w in zip(r, widths, strict=True) if w or c)).rstrip()


def _plain(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)
