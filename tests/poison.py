"""Memory that nobody has written to is NaN: what reads it shows.

Torch fills what is allocated without a value (`empty`, `empty_like`, `new_empty`) in its deterministic mode; the same
calls run in that mode without filling, so that nothing else differs.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

import torch

Tensors = Sequence[torch.Tensor]


@contextmanager
def memory(filled: bool) -> Iterator[None]:
    """Within, algorithms are deterministic, and new memory is NaN (the largest number in integers) if `filled`."""
    before = torch.are_deterministic_algorithms_enabled(), torch.utils.deterministic.fill_uninitialized_memory
    torch.use_deterministic_algorithms(True)
    torch.utils.deterministic.fill_uninitialized_memory = filled
    try:
        yield
    finally:
        torch.use_deterministic_algorithms(before[0])
        torch.utils.deterministic.fill_uninitialized_memory = before[1]


def reads_of_unwritten_memory(call: Callable[[], Tensors]) -> list[int]:
    """Which of the call's results are not finite in poisoned memory, or have other bits than in plain memory."""
    with memory(filled=False):
        plain = call()
    with memory(filled=True):
        assert torch.empty(3).isnan().all()
        poisoned = call()
    found = zip(plain, poisoned, strict=True)
    return [i for i, (a, b) in enumerate(found) if not torch.isfinite(_real(b)).all() or not torch.equal(a, b)]


def _real(v: torch.Tensor) -> torch.Tensor:
    return torch.view_as_real(v) if v.is_complex() else v
