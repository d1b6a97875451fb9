"""Diagnostics are data: built where the fault is found, collected in a sink, rendered in one other place."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from enum import Enum

from ssmc.diagnostics.codes import CODES
from ssmc.diagnostics.span import Span


class Severity(Enum):
    """How much a diagnostic weighs: an error stops the driver after its phase."""

    ERROR = "error"
    WARNING = "warning"
    NOTE = "note"


@dataclass(frozen=True, slots=True)
class Label:
    """A place and what stands there."""

    span: Span
    text: str


@dataclass(frozen=True, slots=True)
class Edit:
    """A replacement of source text that the help proposes; applied, it makes the spec compile."""

    span: Span
    text: str


@dataclass(frozen=True, slots=True)
class Diagnostic:
    """One finding. `message` stands alone; `primary` says what is here, `notes` why, `help` what to write."""

    code: str
    severity: Severity
    message: str
    primary: Label
    secondary: tuple[Label, ...] = ()
    notes: tuple[str, ...] = ()
    help: str | None = None
    edit: Edit | None = None


@dataclass(slots=True)
class Sink:
    """Collects what a phase finds. Reporting the same code at the same place twice keeps the first."""

    items: list[Diagnostic] = field(default_factory=list)

    def report(
        self,
        code: str,
        message: str,
        span: Span,
        label: str = "",
        *,
        secondary: tuple[Label, ...] = (),
        notes: tuple[str, ...] = (),
        help: str | None = None,
        edit: Edit | None = None,
    ) -> None:
        """Add a diagnostic; its severity is the code's."""
        severity = Severity(CODES[code].severity)
        if any(d.code == code and d.primary.span == span for d in self.items):
            return
        self.items.append(Diagnostic(code, severity, message, Label(span, label), secondary, notes, help, edit))

    @property
    def failed(self) -> bool:
        """True once an error was reported."""
        return any(d.severity is Severity.ERROR for d in self.items)

    def __iter__(self) -> Iterator[Diagnostic]:
        return iter(sorted(self.items, key=lambda d: (d.primary.span.start, d.code)))


class CompileError(Exception):
    """A spec was refused. `diagnostics` holds every finding, `text` the rendering."""

    def __init__(self, diagnostics: tuple[Diagnostic, ...], text: str) -> None:
        super().__init__(text)
        self.diagnostics = diagnostics
        self.text = text
