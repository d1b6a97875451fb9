"""A recognised mistake as a value: the rules that name mistakes return it, `parse` reports it."""

from __future__ import annotations

from dataclasses import dataclass

from ssmc.diagnostics.sink import Edit, Label, Sink
from ssmc.diagnostics.span import Span


@dataclass(frozen=True, slots=True)
class Finding:
    """What a diagnostic says, before it is one."""

    code: str
    message: str
    span: Span
    label: str
    secondary: tuple[Label, ...] = ()
    notes: tuple[str, ...] = ()
    help: str | None = None
    edit: Edit | None = None

    def report(self, sink: Sink) -> None:
        """Put it into the sink."""
        sink.report(
            self.code,
            self.message,
            self.span,
            self.label,
            secondary=self.secondary,
            notes=self.notes,
            help=self.help,
            edit=self.edit,
        )


def instead(code: str, message: str, span: Span, right: str, *, label: str = "", note: str | None = None) -> Finding:
    """A mistake that is mended by writing something else in its place."""
    notes = () if note is None else (note,)
    return Finding(code, message, span, label, (), notes, f"write `{right.strip()}`", Edit(span, right))


def insert(offset: int, text: str) -> Edit:
    """The edit that writes `text` before a character."""
    return Edit(Span(offset, offset), text)
