"""The generated reference against token loops written by hand, which share no front end with it."""

import math

import numpy as np
import pytest
import torch

from tests.harness import random_states
from tests.specs import reference_numpy
from tests.specs.layers import close
from tests.specs.test_matrix import calls

LOOPS = {
    "leaky": reference_numpy.leaky,
    "mamba": reference_numpy.selective_scan,
    "mingru": reference_numpy.min_gru,
    "gated_rnn": reference_numpy.gated_rnn,
    "liquid_s4": reference_numpy.liquid,
    "s4d": reference_numpy.diagonal,
    "lru": reference_numpy.ring,
}


def gelu(x):
    return x * 0.5 * (1 + np.vectorize(math.erf)(x / math.sqrt(2)))


@pytest.mark.parametrize("spec", LOOPS)
def test_reference_is_the_hand_written_loop(spec):
    (call,) = calls(spec, 2, 7)
    states = random_states(call, 2, torch.float64, "cpu")
    y, last = call.reference(**call.operands, **call.numbers, initial_state=states, return_state=True)
    tokens = set(call.tokens())
    order = list(LOOPS[spec].__code__.co_varnames[: LOOPS[spec].__code__.co_argcount])[:-1]
    assert set(order) == set(call.operands)
    for row in range(2):
        arrays = [(v[row] if k in tokens else v).detach().numpy() for k, v in ((k, call.operands[k]) for k in order)]
        want, end = LOOPS[spec](*arrays, states[row].numpy().copy())
        if spec in ("liquid_s4", "s4d"):
            want = gelu(want)
        close(y[row], torch.tensor(want), 1e-12, "output")
        close(last[row], torch.tensor(end), 1e-12, "state")
