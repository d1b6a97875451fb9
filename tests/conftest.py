"""The whole suite: every compilation checks the invariants of its levels. Golden files are rewritten on purpose only,
and never by a machine that judges them."""

from __future__ import annotations

import os
from functools import partial

import pytest
from hypothesis import HealthCheck, settings

from ssmc import driver

if "PYTEST_XDIST_WORKER" in os.environ:  # a worker a core: threads beside it would wait for each other
    os.environ.setdefault("OMP_NUM_THREADS", "1")

driver.run = partial(driver.run, verify=True)  # before any test module imports it

# what is slow is no input: hypothesis reads every generated module that a worker has loaded, once
settings.register_profile("suite", suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("suite")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--update-golden", action="store_true", help="rewrite golden files instead of comparing with them")


def pytest_configure(config: pytest.Config) -> None:
    if config.getoption("--update-golden") and os.environ.get("CI", "").lower() in ("1", "true"):
        raise pytest.UsageError("--update-golden is refused in CI")
