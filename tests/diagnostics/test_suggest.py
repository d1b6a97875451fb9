"""One suggestion or none."""

from __future__ import annotations

import pytest

from ssmc.diagnostics.suggest import did_you_mean

KEYWORDS = ["axis", "input", "param", "linear", "conv", "state", "def", "if", "return"]


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("lienar", "linear"),
        ("Linear", "linear"),
        ("parm", "param"),
        ("prams", "param"),
        ("stat", "state"),
        ("retrun", "return"),
        ("axes", "axis"),
        ("linear", None),
        ("softplus", None),
        ("x", None),
        ("", None),
        ("y" * 5000, None),
    ],
)
def test_nearest(name: str, expected: str | None) -> None:
    assert did_you_mean(name, KEYWORDS) == expected


def test_ties_do_not_depend_on_order() -> None:
    assert did_you_mean("ab", ["ac", "aa"]) == did_you_mean("ab", ["aa", "ac"]) == "aa"
    assert did_you_mean("a", []) is None
