"""The eager backend in memory poisoned with NaN: forward, backward, packed and in steps, to the last bit."""

import pytest
import torch

from tests.poison import reads_of_unwritten_memory
from tests.specs.layers import SMALL, given, gradients, make

every_spec = pytest.mark.parametrize("spec", SMALL)
DTYPES = (torch.float32, torch.float64)


def passes(spec, dtype, time, bounds=None):
    """A call that runs a layer forward and backward, from a state on; its outputs, last states and gradients."""
    _, layer = make(spec, dtype)
    rows = 2 if bounds is None else 1
    u, inputs = given(spec, rows, time, dtype)
    u.requires_grad_()
    before, more = given(spec, rows if bounds is None else len(bounds) - 1, 3, dtype, seed=5)
    with torch.no_grad():
        _, state = layer(before, **more, return_state=True)
    cu = None if bounds is None else torch.tensor(bounds)

    def call():
        y, last = layer(u, state, **inputs, cu_seqlens=cu, return_state=True)
        grads = gradients([y, *last], {"u": u, **dict(layer.named_parameters())})
        return [y.detach(), *(v.detach() for v in last), *grads.values()]

    return call


@every_spec
@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("time", [1, 17, 67])
def test_forward_and_backward(spec, dtype, time):
    assert reads_of_unwritten_memory(passes(spec, dtype, time)) == []


@every_spec
@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_packed(spec, dtype):
    assert reads_of_unwritten_memory(passes(spec, dtype, 17, (0, 0, 4, 4, 11, 17))) == []


@every_spec
@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_steps_in_place(spec, dtype):
    _, layer = make(spec, dtype)
    u, inputs = given(spec, 2, 4, dtype)

    @torch.no_grad()
    def call():
        state, outs = layer.init_state(2), []
        for t in range(4):
            y, _ = layer.step(u[:, t], state, **{k: v[:, t] for k, v in inputs.items()}, inplace=True)
            outs.append(y)
        return [*outs, *state]

    assert reads_of_unwritten_memory(call) == []


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_a_read_of_unwritten_memory_is_seen(dtype, monkeypatch):
    """Sums over time that do not begin at zero."""
    m, _ = make("mamba", dtype)
    monkeypatch.setattr(m, "_zeros", lambda like, dtype, *shape: like.new_empty(shape, dtype=dtype))
    assert reads_of_unwritten_memory(passes("mamba", dtype, 17)) != []
