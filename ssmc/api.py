"""The library: `compile_source` gives the generated text, `load` a module with the layer, from a spec or a file."""

from __future__ import annotations

import hashlib
import importlib.util
import os
import sys
import tempfile
from pathlib import Path
from types import ModuleType

from ssmc.diagnostics.span import Source
from ssmc.driver import compile_text
from ssmc.options import Options


def compile_source(
    spec: str, *, name: str = "<string>", options: Options | None = None, **settings: int | float | bool | str
) -> str:
    """The generated Python file of a spec.

    Args:
        spec: the text of the spec.
        name: the name it is shown under in diagnostics and in the file.
        options: how to compile; `settings` are added to its settings.
        **settings: layer arguments fixed when compiling (`bidirectional=True`).

    Raises:
        CompileError: the spec was refused; the message is the rendered diagnostics.
    """
    base = options or Options()
    merged = Options({**base.settings, **settings}, base.mode, base.backend)
    return compile_text(Source(name, spec), merged)


def load(
    spec: str | os.PathLike[str], *, options: Options | None = None, **settings: int | float | bool | str
) -> ModuleType:
    """The generated file as an imported module (Triton reads kernels from files, so it is written to a temporary one).

    Args:
        spec: the path of a spec, or its text (anything with a newline).
        options: how to compile.
        **settings: layer arguments fixed when compiling.

    Raises:
        CompileError: the spec was refused. FileNotFoundError: there is no such file.
    """
    if isinstance(spec, str) and "\n" in spec:
        text, name = spec, "<string>"
    else:
        text, name = Path(spec).read_text(encoding="utf-8"), str(spec)
    generated = compile_source(text, name=name, options=options, **settings)
    digest = hashlib.sha256(generated.encode()).hexdigest()[:16]
    module_name = f"ssmc_layer_{digest}"
    if module_name in sys.modules:
        return sys.modules[module_name]
    folder = Path(tempfile.mkdtemp(prefix="ssmc_"))
    path = folder / f"{module_name}.py"
    path.write_text(generated, encoding="utf-8")
    found = importlib.util.spec_from_file_location(module_name, path)
    assert found is not None and found.loader is not None
    module = importlib.util.module_from_spec(found)
    sys.modules[module_name] = module
    found.loader.exec_module(module)
    return module
