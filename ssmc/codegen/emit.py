"""Program -> text: the contexts are built and the templates filled."""

from __future__ import annotations

import hashlib
import re
import shlex
from dataclasses import dataclass, replace
from functools import cache, partial
from pprint import pformat

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from ssmc import __version__
from ssmc.backends.triton.limits import TESTED
from ssmc.backends.triton.triton_op import triton_ops
from ssmc.codegen.conv_op import conv_op
from ssmc.codegen.eager_op import eager_op
from ssmc.codegen.filter_op import filter_op
from ssmc.codegen.gathered_op import gathered_op
from ssmc.codegen.layer_context import LayerContext, layer_context
from ssmc.codegen.layer_text import LayerText
from ssmc.codegen.meetings import meetings
from ssmc.codegen.merge import as_lines, merge_variants
from ssmc.codegen.names import class_name, distinct, snake
from ssmc.codegen.op_text import OpText, base_name
from ssmc.codegen.operator_op import operator_op
from ssmc.codegen.reference_op import reference_op
from ssmc.ir.build import ZERO
from ssmc.ir.expr import Draw, walk
from ssmc.ir.layer import Layer
from ssmc.ir.plan import Plan
from ssmc.resources import template_dir
from ssmc.sema.words import SPECTRAL


@dataclass(frozen=True, slots=True)
class FileContext:
    """The head of the file: provenance, plan and tables, as text."""

    version: str
    spec: str
    digest: str
    command: str
    header: tuple[str, ...]
    layer: str
    contents: str
    exports: str
    namespace: str
    plan: str
    ops: str
    tested: str
    kernels: str
    tunes: bool
    tuned: tuple[str, ...]


@cache
def environment() -> Environment:
    """The template environment; a missing hole is an error."""
    return Environment(
        loader=FileSystemLoader(str(template_dir())),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        autoescape=False,
    )


def emit(plan: Plan) -> str:
    """The generated file."""
    layer = replace(plan.partition.layer, name=class_name(plan.partition.layer.name))
    partition = replace(plan.partition, layer=layer)
    plan = replace(plan, partition=partition)
    stem = snake(layer.name)
    several = len(plan.programs) > 1
    wishes = [f"{stem}_{p.program.recurrence.name}" if several else stem for p in plan.programs]
    stems = distinct([*wishes, *(f"{stem}_{c.program.module}" for c in plan.convs)], _fixed_names())
    meets = partial(
        meetings,
        convs=frozenset(c.program.module for c in plan.convs if c.kernel),
        ops=frozenset(p.program.recurrence.name for p in plan.programs if p.kernel and p.program.walked),
    )
    beside = {m.beside for p in (partition, *(v.partition for v in plan.variants)) for m in meets(p).values()} - {""}
    ops = []
    for planned, own in zip(plan.programs, stems, strict=False):
        given = (layer, planned.program, own, f"{own}_op", f"{own}_reference", planned.classified.title)
        ops.append(OpText(*given, planned.kernel, frozenset(beside)))
    eager = [eager_op(o) for o in ops]
    filtered = [f for o in ops if (f := filter_op(o, plan.mode)) is not None]
    gathered = [g for o in ops if (g := gathered_op(o, plan.mode)) is not None]
    references = [reference_op(o) for o in ops]
    conv_stems = stems[len(ops) :]
    convs = [conv_op(c, own) for c, own in zip(plan.convs, conv_stems, strict=True)]
    conv_stem = list(zip(plan.convs, conv_stems, strict=True))
    kernels, fresh, chunks, conv_kernels, shared = triton_ops(ops, conv_stem, plan.mode)
    filtered = [replace(f, fresh=any(x.stem == f.stem for x in fresh)) for f in filtered]
    chunked = {c.op.stem for c in chunks}
    kept = {k.stem: tuple((name, room) for name, room, _ in k.launch.starts) for k in kernels if k.launch.starts}
    kept |= {c.op.stem: c.launch.kept for c in chunks if c.launch.kept}
    operators = [
        operator_op(o, p.equations, o.stem in chunked, kept.get(o.stem, ()))
        for o, p in zip(ops, plan.programs, strict=True)
    ]
    stem_of = {c.module: c.stem for c in convs}
    text = LayerText(partition, ops, stem_of, meets(partition))
    context = layer_context(text, plan.flags)
    if plan.flags:
        texts = {v.values: LayerText(v.partition, ops, stem_of, meets(v.partition)) for v in plan.variants}
        others = {values: layer_context(t, plan.flags) for values, t in texts.items()}
        context = merge_variants(plan.flags, others, text.arg_names)
    context = as_lines(context)
    uses = {
        "uses_conv": bool(layer.convs),
        "uses_linear": any(" = _linear(" in line for line in context.forward),
        "uses_meeting": any(" = _conv_meeting(" in line for line in context.forward),
        "uses_split": any(" = _split(" in line for line in context.forward),
        "uses_previous": any(d.offset < 0 for d in partition.delays.values()),
        "uses_following": any(d.offset > 0 for d in partition.delays.values()),
        "uses_position": partition.uses_position,
    }
    holes = {
        "file": _file(plan, ops, context),
        "operators": operators,
        "references": references,
        "eager": eager,
        "filtered": filtered,
        "gathered": gathered,
        "by_key": any(p.program.outer is not None and p.program.outer.by_key for p in plan.programs),
        "flat": bool(filtered or gathered),
        "filter_kernels": [f for f in filtered if f.kernel],
        "chunk_kernels": any(f.kernel and f.n_streams == f.n_reads == 1 for f in filtered),
        "triton": kernels,
        "fresh": fresh,
        "triton_convs": conv_kernels,
        "chunks": chunks,
        "chunks_by_key": any(c.op.by_key for c in chunks),
        "chunks_by_head": any(not c.op.by_key for c in chunks),
        "keeps": bool(kept),
        "shared": shared,
        "convs": convs,
        "layer": _Layer(context, uses),
        "scan": any(p.program.linear for p in plan.programs),
        "walk": any(not p.program.linear for p in plan.programs),
        "measures": _measures(layer),
        "helpers": set(),
    }
    template = environment().get_template("module.py.jinja")
    while True:  # a helper may call another
        body = template.render(holes)
        called = {h for h in HELPERS if f"{h}(" in body}
        if called == holes["helpers"]:
            return _tidy(body)
        holes["helpers"] = called


HELPERS = (
    *("_softplus", "_inv_softplus", "_phi1", "_phi1_slope", "_sqrt_clip", "_uniform", "_normal", "_cartesian"),
    *("_layer_norm", "_rms_norm", "_re_im", "_from_re_im"),
    *(f"_{name}" for name in SPECTRAL),
    *("_hippo_spectrum", "_hippo_matrices"),
)


@cache
def _fixed_names() -> tuple[str, ...]:
    """The functions that templates name themselves."""
    texts = [p.read_text(encoding="utf-8") for p in sorted(template_dir().rglob("*.jinja"))]
    return tuple(n for text in texts for n in re.findall(r"^def (\w+)\(", text, re.MULTILINE))


def _measures(layer: Layer) -> set[str]:
    """The words of the HiPPO theory that the initial values use, or may use, where an argument decides."""
    choices = {a.name: a.choices for a in layer.args}
    starts = [*(p.init for p in layer.params.values()), *(m.weight_init or ZERO for m in layer.children)]
    starts += [m.bias_init or ZERO for m in layer.children]
    words = {n.word for n in walk(*starts) if isinstance(n, Draw) and n.word}
    return {w for word in words for w in choices.get(word, (word,))}


class _Layer:
    """The layer's context with what its helpers are needed for."""

    def __init__(self, context: LayerContext, uses: dict[str, bool]) -> None:
        self._context = context
        for name, value in uses.items():
            setattr(self, name, value)

    def __getattr__(self, name: str) -> object:
        return getattr(self._context, name)


def _file(plan: Plan, ops: list[OpText], context: LayerContext) -> FileContext:
    layer = plan.partition.layer
    digest = hashlib.sha256(layer.source.text.encode()).hexdigest()
    settings = "".join(
        f" --set {a.name}={_setting(a.fixed)}"
        for a in layer.args
        if a.fixed is not None and plan.settings.get(a.name) is not None
    )
    settings += "" if plan.mode == "auto" else f" --mode {plan.mode}"
    settings += "" if plan.backend == "triton" else f" --backend {plan.backend}"
    tunes = "".join(f" --tune {shlex.quote(shape)}" for shape in plan.tuned_for)
    tuned = tuple(
        f"{(t.device, t.op, t.what, t.rows, t.length, t.lanes, t.inner)!r}: _Config{t.config!r}," for t in plan.tuned
    )
    spec = base_name(layer.source)
    given = "-" if spec.startswith("<") else shlex.quote(spec)
    table = {
        o.op: {
            o.names(x.name): (("token" if x.token else "parameter"), tuple(x.axes)) for x in o.r.operands
        } | {o.names(c.of): ("state", tuple(c.axes)) for c in o.r.carried}
        for o in ops
    }  # fmt: skip
    exports = [
        layer.name,
        *([f"{layer.name}State"] if context.has_state else []),
        *(o.op for o in ops),
        *(o.reference_name for o in ops),
    ]
    summary = {
        "spec": spec,
        "sha256": digest,
        "ssmc": __version__,
        **{p.program.recurrence.name: p.summary() for p in plan.programs},
    }
    stamp = hashlib.sha256("".join((digest, settings, __version__, *tuned)).encode()).hexdigest()[:12]
    return FileContext(
        version=__version__,
        spec=spec,
        digest=digest[:12],
        command=f"ssmc compile {given}{settings}{tunes} -o {snake(layer.name)}_layer.py",
        header=tuple(f"{line}".rstrip() for line in plan.header()),
        layer=layer.name,
        contents=", ".join(f"`{e}`" for e in exports),
        exports=", ".join(f'"{e}"' for e in (*exports, "PLAN", "OPS", "TESTED")),
        namespace=f"ssmc_{stamp}",
        plan=pformat(summary, width=110, sort_dicts=False),
        ops=pformat(table, width=110, sort_dicts=False),
        tested=repr(TESTED if plan.kernels else ()),
        kernels=str(plan.kernels),
        tunes=bool(tunes),
        tuned=tuned,
    )


def _setting(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _tidy(text: str) -> str:
    """No trailing blanks, at most two blank lines in a row, one newline at the end."""
    lines = [line.rstrip() for line in text.split("\n")]
    out: list[str] = []
    for line in lines:
        if line or len(out) < 2 or out[-1] or out[-2]:
            out.append(line)
    return "\n".join(out).strip("\n") + "\n"
