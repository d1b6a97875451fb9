"""The one name a writer probably meant, or none: a wrong suggestion costs more than a missing one."""

from __future__ import annotations

from collections.abc import Iterable


def did_you_mean(name: str, candidates: Iterable[str]) -> str | None:
    """The candidate nearest to `name`, if it is near: about one slip in three letters, letter case for free."""
    allowed = max(1, (len(name) + 1) // 3)
    best = min(((_distance(name, c), c) for c in candidates if c != name), default=None)
    if best is None or best[0] > allowed or best[0] >= max(len(name), len(best[1])):
        return None
    return best[1]


def _distance(a: str, b: str) -> float:
    """Insertions, deletions, substitutions and swaps of neighbours between two words; a change of case is a half."""
    if abs(len(a) - len(b)) > 4 or len(a) > 64:
        return float("inf")
    before: list[float] = []
    row = [float(j) for j in range(len(b) + 1)]
    for i, x in enumerate(a, 1):
        above, row = row, [float(i)]
        for j, y in enumerate(b, 1):
            change = 0.0 if x == y else 0.5 if x.lower() == y.lower() else 1.0
            cost = min(above[j] + 1, row[j - 1] + 1, above[j - 1] + change)
            if i > 1 and j > 1 and x == b[j - 2] and a[i - 2] == y:
                cost = min(cost, before[j - 2] + 1)
            row.append(cost)
        before = above
    return row[-1]
