"""ssmc: a compiler for state-space layers. Equations in, one self-contained torch and Triton file out."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"
__all__ = ["CompileError", "Options", "compile_source", "load"]

if TYPE_CHECKING:
    from ssmc.api import compile_source, load
    from ssmc.diagnostics.sink import CompileError
    from ssmc.options import Options

_HOME = {
    "compile_source": "ssmc.api",
    "load": "ssmc.api",
    "Options": "ssmc.options",
    "CompileError": "ssmc.diagnostics.sink",
}


def __getattr__(name: str) -> Any:
    """Import on first use: `import ssmc` alone costs nothing."""
    if name in _HOME:
        from importlib import import_module

        return getattr(import_module(_HOME[name]), name)
    raise AttributeError(f"module 'ssmc' has no attribute {name!r}")
