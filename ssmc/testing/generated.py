"""A generated file as a module of its own, with its layer, its ops and their references."""

from __future__ import annotations

import hashlib
import importlib.util
import inspect
import itertools
import re
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

from ssmc.codegen.names import snake
from ssmc.ir.plan import Plan

_NAMESPACE = re.compile(r'^NAMESPACE = "(\w+)"$', re.MULTILINE)
_CALL = ("self", "state", "return_state", "cu_seqlens")
_CONTROLS = ("initial_state", "return_state", "cu_seqlens", "backend", "inplace")
_serial = itertools.count()


@dataclass(frozen=True)
class Op:
    """One op of the file: its operands with their roles (`token`, `parameter`, `state`), and its reference."""

    name: str
    reference: str
    roles: dict[str, str]

    @property
    def tokens(self) -> list[str]:
        """Operands that stream in."""
        return [n for n, role in self.roles.items() if role == "token"]

    @property
    def operands(self) -> list[str]:
        """All operands."""
        return [n for n, role in self.roles.items() if role != "state"]

    def numbers(self, given: Mapping[str, Any]) -> dict[str, Any]:
        """What a call gives beside tensors and what it asks of the op."""
        return {k: v for k, v in given.items() if k not in self.roles and k not in _CONTROLS}


@dataclass(frozen=True)
class Generated:
    """The module and the plan it was generated from."""

    module: ModuleType
    plan: Plan
    ops: tuple[Op, ...]

    @property
    def layer(self) -> Any:
        """The layer's class."""
        return getattr(self.module, self.plan.partition.layer.name)

    @property
    def inputs(self) -> dict[str, str]:
        """What `forward` calls each input of the spec; the first comes first."""
        own = [n for n in inspect.signature(self.layer.forward).parameters if n not in _CALL]
        return dict(zip(self.plan.partition.layer.inputs, own, strict=True))

    @property
    def continues(self) -> bool:
        """Whether the layer has a state that can be carried over."""
        return hasattr(self.layer, "init_state")

    @contextmanager
    def instead(self, make: Callable[[Op], Callable[..., Any]]) -> Iterator[None]:
        """Within this the layer calls something else in place of its ops."""
        originals = {op.name: getattr(self.module, op.name) for op in self.ops}
        replaced = {op.name: make(op) for op in self.ops}
        vars(self.module).update(replaced)
        try:
            yield
        finally:
            vars(self.module).update(originals)


def load(text: str, plan: Plan) -> Generated:
    """The file as a module. Its operators get a namespace of their own, so that no other file's are found there."""
    digest = hashlib.sha256(text.encode()).hexdigest()[:12]
    name = f"ssmc_tested_{digest}_{next(_serial)}"
    text = _NAMESPACE.sub(rf'NAMESPACE = "\1_{name}"', text, count=1)
    folder = Path(tempfile.mkdtemp(prefix="ssmc_test_"))
    path = folder / f"{name}.py"
    path.write_text(text, encoding="utf-8")
    found = importlib.util.spec_from_file_location(name, path)
    assert found is not None and found.loader is not None
    module = importlib.util.module_from_spec(found)
    sys.modules[name] = module
    found.loader.exec_module(module)
    stem = snake(plan.partition.layer.name)
    assert all(n.startswith(stem) and n.endswith("_op") for n in module.OPS)
    ops = [
        Op(n, n.removesuffix("_op") + "_reference", {k: role for k, (role, _) in table.items()})
        for n, table in module.OPS.items()
    ]
    return Generated(module, plan, tuple(ops))
