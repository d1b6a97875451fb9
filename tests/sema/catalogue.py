"""The catalogue of mistakes: each case is a change to a spec of `bases.py`, like a patch, and what the compiler says.

    @ leaky                                         the base; `@ leaky --set gate=true` compiles with settings
    - state h[d_model]: h = a * prev(h) + u         lines that are taken out, each found once
    + state h[d_model]: h = a * h + u               lines that take the first one's place (or stand before `return`)
    error[SSM0209]: ...                             the full rendering

`python tests/sema/catalogue.py` writes the renderings anew; read the difference before it is committed.
"""

from __future__ import annotations

import itertools
import re
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from bases import BASES

from ssmc.diagnostics.sink import Edit
from ssmc.diagnostics.span import Source
from ssmc.driver import Compilation, run
from ssmc.options import Options

HERE = Path(__file__).parent
FILES = sorted(HERE.glob("mistakes_*.txt"))


@dataclass(frozen=True)
class Case:
    """One mistake: where it stands in which file, and what is expected."""

    file: str
    head: str
    change: tuple[str, ...]
    shown: str

    @property
    def id(self) -> str:
        """The case's name in a test report: its base and the lines it puts in."""
        return " ".join([self.head, *(c for c in self.change if c.startswith("+"))])[:100]

    def text(self) -> str:
        """The broken spec."""
        lines = BASES[self.head.split(" --")[0].removeprefix("@").strip()].splitlines()
        at, indent, before = max(len(lines) - 1, 0), "  " if lines else "", "+"
        for c in self.change:
            sign, text = c[0], c[2:]
            if sign == "-":
                found = [n for n, line in enumerate(lines) if line.strip() == text.strip()]
                assert len(found) == 1, f"{self.id}: `{text}` stands {len(found)} times in the base"
                if before == "+" or found[0] < at:
                    at = found[0]
                    indent = lines[at][: len(lines[at]) - len(lines[at].lstrip())]
                del lines[found[0]]
            else:
                lines.insert(at, indent + text)
                at += 1
            before = sign
        return "\n".join(lines) + "\n"

    def options(self) -> Options:
        """How it is compiled: `--set name=value` and `--mode name` of the head."""
        words = self.head.split()
        given = dict(w.split("=") for a, w in itertools.pairwise(words) if a == "--set")
        mode = next((w for a, w in itertools.pairwise(words) if a == "--mode"), "auto")
        return Options({k: _setting(v) for k, v in given.items()}, mode)

    def compile(self, text: str | None = None) -> Compilation:
        """The compilation of the broken spec, or of another text in its stead."""
        until = "plan" if self.file == "mistakes_in_recurrences.txt" else "partition"
        return run(Source("test.ssm", self.text() if text is None else text), self.options(), until=until)


def _setting(text: str) -> int | float | bool | str:
    if text in ("true", "false"):
        return text == "true"
    try:
        return int(text) if re.fullmatch(r"-?\d+", text) else float(text)
    except ValueError:
        return text


def read(path: Path) -> list[Case]:
    """The cases of one file of the catalogue."""
    cases = []
    for block in re.split(r"^(?=@)", path.read_text(), flags=re.MULTILINE)[1:]:
        head, *rest = block.rstrip("\n").split("\n")
        change = [r for r in rest if r[:2] in ("- ", "+ ")]
        shown = "\n".join(r for r in rest[len(change) :])
        cases.append(Case(path.name, head, tuple(change), shown.strip("\n")))
    return cases


def apply(text: str, edits: Sequence[Edit]) -> str:
    """The text after all edits."""
    for edit in sorted(edits, key=lambda e: e.span.start, reverse=True):
        text = text[: edit.span.start] + edit.text + text[edit.span.end :]
    return text


def _preface(path: Path) -> str:
    return re.split(r"^(?=@)", path.read_text(), maxsplit=1, flags=re.MULTILINE)[0]


def main(paths: Sequence[Path]) -> None:
    """Write the renderings anew."""
    for path in paths:
        blocks = ["\n".join([c.head, *c.change, c.compile().rendered()]) for c in read(path)]
        path.write_text(_preface(path) + "\n\n".join(blocks) + "\n")


if __name__ == "__main__":
    main([Path(a) for a in sys.argv[1:]] or FILES)
