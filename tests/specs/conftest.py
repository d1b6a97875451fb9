"""One compilation a spec and session; one thread, since the machines that run this have few cores."""

import functools
import warnings
from pathlib import Path

import pytest
import torch

import ssmc

SPECS = Path(__file__).parents[2] / "specs"


@pytest.fixture(autouse=True)
def one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*runs on the eager backend.*")
        yield
    torch.set_num_threads(before)


@pytest.fixture(scope="session")
def load():
    """`load(name or text, **settings)`: the module of a shipped spec or of a text; `ssmc.load` keeps what it made."""

    @functools.cache
    def of(spec, **settings):
        return ssmc.load(spec if "\n" in spec else SPECS / f"{spec}.ssm", **settings)

    return of
