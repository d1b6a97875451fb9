"""Random specs through the kernel generator: in Triton's interpreter, against the token loop in float64."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, Phase, given, settings

from tests.backends.interpreter import Found, interpret, judge
from tests.specs.random_specs import SIZES, Spec, specs

HOW_MANY = 5
CASES = [{"T": 11, "states": True, "step": True}, {"T": 7, "rows": 1, "pieces": 2}]
BACK = [{k: v for k, v in case.items() if k != "step"} for case in CASES]


def drawn() -> list[Spec]:
    """The first specs, always the same, whose recurrences all have kernels and are of other classes than those before."""
    found: dict[tuple[object, ...], Spec] = {}

    @settings(
        max_examples=200, deadline=None, derandomize=True, database=None, phases=(Phase.generate,),
        suppress_health_check=list(HealthCheck),
    )  # fmt: skip
    @given(specs())
    def collect(spec: Spec) -> None:
        letters = sorted(spec.classes.values())
        if "X" not in letters and len(found) < HOW_MANY:
            found.setdefault((*letters, spec.ahead), spec)

    collect()
    assert len(found) == HOW_MANY
    return list(found.values())


def job(spec: Spec) -> dict[str, object]:
    first, *others = spec.inputs
    return {
        "text": spec.text,
        "arguments": [SIZES["E"], SIZES["N"]],
        "inner": [SIZES[a] for a in spec.inputs[first]],
        "inputs": {n: [SIZES[a] for a in spec.inputs[n]] for n in others},
        "floor": 1e-3,
        "cases": BACK if spec.ahead else CASES,
    }


@pytest.fixture(scope="module")
def jobs() -> dict[str, dict[str, object]]:
    return {str(i): job(spec) for i, spec in enumerate(drawn())}


@pytest.fixture(scope="module")
def found(jobs: dict[str, dict[str, object]]) -> Found:
    return interpret(jobs)


@pytest.mark.parametrize("name", [str(i) for i in range(HOW_MANY)])
def test_kernels_of_a_random_spec(name: str, found: Found, jobs: dict[str, dict[str, object]]) -> None:
    try:
        judge(found[name])
    except AssertionError as error:
        raise AssertionError(f"{error}\n\n{jobs[name]['text']}") from None
