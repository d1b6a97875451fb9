"""What a call of a layer refuses, in words that name the tensor, and what it takes that torch alone would not."""

import copy

import pytest
import torch

from tests.specs.layers import close, given, make

pytestmark = pytest.mark.filterwarnings("ignore:.*runs on the eager backend")


@pytest.mark.parametrize(
    ("cu_seqlens", "says"),
    [
        (torch.tensor([0.0, 7.0]), "int32 or int64, not .* torch.float32"),
        (torch.tensor([0]), r"\[sequences \+ 1\]"),
        (torch.tensor([[0, 7]]), r"\[sequences \+ 1\]"),
        (torch.tensor([0, 5]), "rises from 0 to the number of tokens, 7; it is .0, 5."),
        (torch.tensor([0, 9]), "rises from 0"),
        (torch.tensor([0, 4, 2, 7]), "rises from 0"),
        (torch.tensor([1, 7]), "rises from 0"),
    ],
)
@pytest.mark.parametrize("spec", ("mamba", "s4d"))
def test_packing(spec, cu_seqlens, says):
    _, layer = make(spec)
    u, more = given(spec, 1, 7)
    with pytest.raises(ValueError, match=says):
        layer(u, cu_seqlens=cu_seqlens, **more)


@pytest.mark.parametrize("spec", ("mamba", "s4d"))
def test_inputs_are_tensors_of_real_numbers(spec):
    _, layer = make(spec)
    u, _ = given(spec, 1, 7)
    with pytest.raises(TypeError, match=r"`u` is a tensor of real numbers, not torch.complex128"):
        layer(u * 1j)
    with pytest.raises(TypeError, match=r"`u` is a tensor of real numbers, not ndarray"):
        layer(u.numpy())
    with pytest.raises(TypeError, match=r"`cu_seqlens` is a tensor, not list"):
        layer(u, cu_seqlens=[0, 7])


@pytest.mark.parametrize("spec", ("mamba", "rglru"))
def test_a_state_has_a_row_for_each_sequence(spec):
    _, layer = make(spec)
    u, more = given(spec, 2, 3)
    with pytest.raises(ValueError, match=r"State with 2 rows, one a sequence; found \[3, 3"):
        layer(u, layer.init_state(3), **more)
    with pytest.raises(ValueError, match="State with 2 rows, one a sequence; found Tensor"):
        layer(u, layer.init_state(2)[0], **more)


@pytest.mark.parametrize("dtype", (torch.bfloat16, torch.float16))
@pytest.mark.parametrize("spec", ("s4d", "s5", "mamba", "rglru", "rwkv4"))
def test_a_halved_layer_runs_and_keeps_the_types_of_its_state(spec, dtype):
    layer = copy.deepcopy(make(spec, torch.float32)[1]).to(dtype)
    u, more = given(spec, 2, 3, dtype)
    y, last = layer(u, return_state=True, **more)
    assert y.dtype == dtype and torch.isfinite(y.float()).all()
    state = layer.init_state(2)
    for t in range(2):
        y, after = layer.step(u[:, t], state, **{k: v[:, t] for k, v in more.items()})
        assert y.dtype == dtype
        assert [v.dtype for v in after] == [v.dtype for v in state] == [v.dtype for v in last]
        state = after


@pytest.mark.parametrize("spec", ("mamba", "s4d"))
def test_forward_mode_is_refused_and_has_a_way_round(spec):
    _, layer = make(spec)
    layer.requires_grad_(False)
    u, more = given(spec, 1, 4)
    way = torch.randn_like(u)
    with pytest.raises(NotImplementedError, match="forward-mode"):
        torch.func.jvp(lambda v: layer(v, **more), (u,), (way,))
    slope = torch.autograd.functional.jvp(lambda v: layer(v, **more), u, way)[1]
    step = 1e-6 * way
    close(slope, (layer(u + step, **more) - layer(u - step, **more)) / 2e-6, 1e-6, spec)
