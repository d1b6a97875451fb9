"""The pipeline, one arrow a line. Only this file knows the order.

text --parse--> Spec --analyze--> Layer --stabilise--> Layer --partition--> Partition --plan--> Plan --emit--> text
"""

from __future__ import annotations

from dataclasses import dataclass

from ssmc.diagnostics.render import render
from ssmc.diagnostics.sink import CompileError, Diagnostic, Sink
from ssmc.diagnostics.span import Source
from ssmc.ir.layer import Layer
from ssmc.ir.plan import Plan
from ssmc.ir.regions import Partition
from ssmc.options import Options
from ssmc.syntax.ast import Spec


@dataclass(frozen=True, slots=True)
class Compilation:
    """Every level that was reached, and what was found on the way. `text` is the generated file, None after an error or
    when it was not asked for."""

    source: Source
    diagnostics: tuple[Diagnostic, ...]
    spec: Spec | None = None
    layer: Layer | None = None
    partition: Partition | None = None
    plan: Plan | None = None
    text: str | None = None

    @property
    def failed(self) -> bool:
        """Whether an error was found."""
        return any(d.severity.value == "error" for d in self.diagnostics)

    def rendered(self, color: bool = False) -> str:
        """The diagnostics as text."""
        return render(self.diagnostics, self.source, color=color)


def run(source: Source, options: Options | None = None, until: str = "text", verify: bool = False) -> Compilation:
    """Compile until a level (`spec`, `layer`, `partition`, `plan` or `text`), or until the first phase that fails.

    With `verify` the invariants of every level that was reached are checked; the tests run with it.
    """
    done = _run(source, options or Options(), until)
    if verify:
        from ssmc.ir.verify import verify as check

        check(done)
    return done


def _run(source: Source, options: Options, until: str) -> Compilation:
    from ssmc.syntax.parse import parse

    sink = Sink()
    spec = parse(source, sink)  # text -> Spec
    if spec is None or sink.failed or until == "spec":
        return Compilation(source, tuple(sink), spec)

    from ssmc.sema.analyze import analyze

    layer = analyze(spec, source, options.settings, sink)  # Spec -> Layer
    if layer is None or until == "layer":
        return Compilation(source, tuple(sink), spec, layer)

    try:
        return _finish(layer, spec, source, options, sink, until)
    except RecursionError:  # a last resort: sema bounds the depth of expressions far below what any phase can take
        sink.report(
            "SSM0226",
            "an expression nests too deep",
            spec.name.span,
            "too deep to be worked out",
            help="give parts of the equations names of their own",
        )
        return Compilation(source, tuple(sink), spec, layer)


def _finish(layer: Layer, spec: Spec, source: Source, options: Options, sink: Sink, until: str) -> Compilation:
    """From the layer to the text."""
    from ssmc.analysis.gauge import stabilise
    from ssmc.partition.partition import partition

    stable = stabilise(layer, sink)  # Layer -> Layer
    parts = partition(stable, sink)  # Layer -> Partition
    if parts is None or until == "partition":
        return Compilation(source, tuple(sink), spec, layer, parts)

    from ssmc.planning import plan

    planned = plan(parts, options, sink)  # Partition -> Plan
    if planned is None or until == "plan":
        return Compilation(source, tuple(sink), spec, layer, parts, planned)

    from ssmc.variants import with_variants

    planned = with_variants(planned, spec, options)  # what `__init__` may decide
    from ssmc.codegen.emit import emit

    return Compilation(source, tuple(sink), spec, layer, parts, planned, emit(planned))  # Plan -> text


def compile_text(source: Source, options: Options | None = None) -> str:
    """The generated file of a spec; raises CompileError with the rendered diagnostics."""
    done = run(source, options)
    if done.text is None:
        raise CompileError(done.diagnostics, done.rendered())
    return done.text
