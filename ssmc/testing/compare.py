"""How far two results are apart, relative to the largest value, and how far they may be."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch

Tensors = Sequence[torch.Tensor | None]
DOUBLE, SINGLE, SINGLE_GRADIENT = 1e-10, 2e-5, 1e-4
TO_DOUBLE = 2.0**-22  # of what rounding does to the same equations in float32, where digits are often lost entirely
_FLOOR = 1e-6


@dataclass(frozen=True)
class Outcome:
    """The worst of some comparisons: what was compared, the error and what was allowed."""

    what: str
    error: float
    tolerance: float
    compared: int = 1
    loosened: bool = False

    @property
    def failed(self) -> bool:
        """Whether the error is too large; a NaN is."""
        return not self.error <= self.tolerance


def compare(names: Sequence[str], got: Tensors, wanted: Tensors, tolerance: float, floor: float = _FLOOR) -> Outcome:
    """Compare tensors where the wanted ones are finite. A missing gradient is zero. One that is smaller than `floor`
    times the largest of all is compared relative to that."""
    finite = [w.abs()[torch.isfinite(w)] for w in wanted if w is not None and w.numel()]
    largest = max((float(v.max()) for v in finite if v.numel()), default=0.0)
    worst = Outcome("nothing", 0.0, tolerance, 0)
    for name, g, w in zip(names, got, wanted, strict=True):
        found = _error(g, w, largest * floor)
        if found is not None and (worst.compared == 0 or not found <= worst.error):
            worst = Outcome(name, found, tolerance)
    return worst


def _error(got: torch.Tensor | None, wanted: torch.Tensor | None, floor: float) -> float | None:
    """The largest difference over the largest wanted value: infinite for NaN and shapes; None if nothing counts."""
    if got is None and wanted is None:
        return None
    if got is None or wanted is None:
        other = got if got is not None else wanted
        assert other is not None
        got = torch.zeros_like(other) if got is None else got
        wanted = torch.zeros_like(other) if wanted is None else wanted
    if got.shape != wanted.shape:
        return math.inf
    kind = torch.complex128 if wanted.is_complex() or got.is_complex() else torch.float64
    got, wanted = got.detach().cpu().to(kind), wanted.detach().cpu().to(kind)
    counts = torch.isfinite(wanted)
    if not bool(counts.any()):
        return None
    got, wanted = got[counts], wanted[counts]
    if not bool(torch.isfinite(got).all()):
        return math.inf
    size = max(float(wanted.abs().max()), floor)
    return float((got - wanted).abs().max()) / (size or 1.0)


def where_finite(wanted: Tensors, rough: Tensors) -> list[torch.Tensor | None]:
    """The wanted tensors, NaN where the token loop leaves the range of a narrower dtype: nothing to compare there."""
    pairs = zip(wanted, rough, strict=True)
    return [w if w is None or r is None else torch.where(torch.isfinite(r), w, math.nan) for w, r in pairs]


def allow_for_conditioning(outcome: Outcome, moved: Sequence[float], factor: float = 20.0) -> Outcome:
    """An outcome that failed, judged by how far the token loop itself is off: when its operands move by a rounding
    error, and when it computes in the same precision. What the equations lose as written is no fault of the code."""
    known = max((m for m in moved if math.isfinite(m)), default=0.0)
    tolerance = max(outcome.tolerance, factor * known)
    if not outcome.failed or not math.isfinite(outcome.error) or tolerance == outcome.tolerance:
        return outcome
    return Outcome(outcome.what, outcome.error, tolerance, outcome.compared, True)
