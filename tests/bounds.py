"""Kernels in Triton's interpreter touch no memory but that of their arguments: a GPU may fault where a CPU does not."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from triton.runtime import interpreter


@contextmanager
def bounded() -> Iterator[None]:
    """Within, a load or a store outside of the tensors that a kernel was given raises, whatever becomes of the value."""
    executor, builder = interpreter.GridExecutor, interpreter.InterpreterBuilder
    begin, load, store = executor._init_args_hst, builder.create_masked_load, builder.create_masked_store
    given: list[tuple[int, int]] = []

    def noted(self: Any, args: Any, named: Any) -> Any:
        found = begin(self, args, named)
        tensors = [getattr(v, "base", v) for v in (*found[0], *found[1].values())]
        storages = [v.untyped_storage() for v in tensors if isinstance(v, torch.Tensor)]
        given[:] = [(s.data_ptr(), s.data_ptr() + s.nbytes()) for s in storages]
        return found

    def inside(of: Callable[..., Any], mask_at: int) -> Callable[..., Any]:
        def run(self: Any, pointers: Any, *more: Any) -> Any:
            touched = pointers.data[more[mask_at].data]
            if touched.size and not any(a <= touched.min() and touched.max() < b for a, b in given):
                raise IndexError(f"{of.__name__} outside of what the kernel was given")
            return of(self, pointers, *more)

        return run

    executor._init_args_hst = noted
    builder.create_masked_load, builder.create_masked_store = inside(load, 0), inside(store, 1)
    try:
        yield
    finally:
        executor._init_args_hst = begin
        builder.create_masked_load, builder.create_masked_store = load, store
