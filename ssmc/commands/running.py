"""What commands that run the generated file share: what must be installed, and a spec compiled as far as its text."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from ssmc.commands.console import FAILED, OK, UsageError, exit_code, show

if TYPE_CHECKING:
    from ssmc.diagnostics.span import Source
    from ssmc.driver import Compilation
    from ssmc.options import Options


@contextmanager
def needed(by: str, install: str = "'ssmc[run]'") -> Iterator[None]:
    """Within this, a module that cannot be imported is a UsageError: who needs it, and what is to be installed."""
    try:
        yield
    except ImportError as missing:
        raise UsageError(f"{by} needs {missing.name}: pip install {install}") from None


def compiled(source: Source, asked: Options) -> tuple[Compilation, int]:
    """A spec compiled, its diagnostics shown, and the exit code, which is OK only if there is a text."""
    from ssmc.driver import run

    done = run(source, asked)
    show(done.diagnostics, source)
    return done, exit_code(done.diagnostics) or (FAILED if done.text is None else OK)
