"""Decoding: a step is forward of one token, and in place it overwrites the state by operators of its own."""

from pathlib import Path

import pytest
import torch

import ssmc
from tests.harness import layer_of
from tests.specs.layers import SMALL, close, given, make
from tests.tolerances import FP64_EAGER

VARIANTS = Path(__file__).parent / "variants"
TIME, ROWS = 9, 3
# A convolution on two axes, two recurrences (one of them with an unknown start), a delayed value, the position.
EVERYTHING = """edition 1

layer Everything(d_model, n = 2)
  axis H = n, P = d_model, E = H * P
  input u[d_model]
  input gate[P] = 1
  param first[P] = 0.3
  linear proj(u -> x[H, P], k[P])
  conv taps(x, width = 3, bias)
  mixed = silu(taps) + where(start, 0.5, 0)
  state s[H, P]: s = sigmoid(mixed) * prev(s) + prev(k, 0.2)
  state r[P]: r = 0.5 * prev(r, first) + sum[H](s) * gate
  return r + k
"""


def shipped(name):
    _, layer = make(name)
    return layer, *given(name, ROWS, TIME)


def written(text):
    torch.manual_seed(0)
    layer = layer_of(ssmc.load(text))(8).double()
    with torch.no_grad():
        for p in layer.parameters():
            p.add_(0.05 * torch.randn_like(p))
    return layer, torch.randn(ROWS, TIME, 8, dtype=torch.float64), {}


def everything():
    layer, u, _ = written(EVERYTHING)
    return layer, u, {"gate": torch.rand_like(u)}


LAYERS = {name: (shipped, name) for name in SMALL}
LAYERS |= {p.stem: (written, p) for p in VARIANTS.glob("*.ssm") if p.stem not in ("ahead", "bidir")}
LAYERS["everything"] = (everything,)
every_layer = pytest.mark.parametrize("name", sorted(LAYERS))


def case(name):
    """The layer, its input, its other inputs."""
    make_case, *args = LAYERS[name]
    return make_case(*args)


def at(inputs, t):
    return {k: v[:, t] for k, v in inputs.items()}


def same(a, b):
    """States: positions are counted, the rest is close."""
    for x, y in zip(a, b, strict=True):
        assert torch.equal(x, y) if x.dtype == torch.int64 else True
        close(x, y, FP64_EAGER)


@every_layer
def test_step_is_forward(name):
    layer, u, inputs = case(name)
    y, last = layer(u, **inputs, return_state=True)
    state, outs = layer.init_state(ROWS), []
    for t in range(TIME):
        before = state
        out, state = layer.step(u[:, t], state, **at(inputs, t))
        assert state is not before
        outs.append(out)
    close(torch.stack(outs, 1), y, FP64_EAGER)
    same(state, last)


@every_layer
def test_step_in_place_is_step(name):
    """Token by token what the other step gives, in the memory of the first state."""
    layer, u, inputs = case(name)
    with torch.no_grad():
        state = layer.init_state(ROWS)
        live = state.clone()
        places = [v.data_ptr() for v in live]
        for t in range(TIME):
            want, state = layer.step(u[:, t], state, **at(inputs, t))
            got, again = layer.step(u[:, t], live, **at(inputs, t), inplace=True)
            assert again is live
            close(got, want, FP64_EAGER)
            same(live, state)
    assert [v.data_ptr() for v in live] == places


@every_layer
def test_state_in_a_larger_cache(name):
    """States that are views of other memory are overwritten there, and nothing beside them."""
    layer, u, inputs = case(name)
    with torch.no_grad():
        start = layer.init_state(ROWS)
        caches = [torch.stack([v, v + 7], -1) for v in start]
        live = type(start)(*(c[..., 0] for c in caches))
        want, state = layer.step(u[:, 0], start.clone(), **at(inputs, 0))
        got, _ = layer.step(u[:, 0], live, **at(inputs, 0), inplace=True)
        close(got, want, FP64_EAGER)
        same(live, state)
        assert all(torch.equal(c[..., 1], v + 7) for c, v in zip(caches, start, strict=True))


@every_layer
def test_in_place_is_not_differentiable(name):
    """As torch's `out=`: refused before anything is overwritten."""
    layer, u, inputs = case(name)
    one = at(inputs, 0)
    with torch.no_grad():
        state = layer.init_state(ROWS)
        kept = state.clone()
    if any(p.requires_grad for p in layer.parameters()):
        with pytest.raises(RuntimeError, match="automatic differentiation"):
            layer.step(u[:, 0], state, **one, inplace=True)
    layer.requires_grad_(False)
    with pytest.raises(RuntimeError, match="automatic differentiation"):
        layer.step(u[:, 0].clone().requires_grad_(), state, **one, inplace=True)
    wanted = type(state)(*(v if v.dtype == torch.int64 else v.requires_grad_() for v in state.clone()))
    with pytest.raises(RuntimeError, match="automatic differentiation"):
        layer.step(u[:, 0], wanted, **one, inplace=True)
    assert all(torch.equal(a, b) for a, b in zip(state, kept, strict=True))
    layer.step(u[:, 0], state, **one, inplace=True)
    assert not torch.equal(state[0], kept[0])


def step_calls(layer, u, inputs):
    """The operators that a step in place calls, with their arguments."""
    calls = []

    class Spy(torch.utils._python_dispatch.TorchDispatchMode):
        def __torch_dispatch__(self, func, types, args=(), kwargs=None):
            if func.namespace.startswith("ssmc"):
                copies = [v.clone() if isinstance(v, torch.Tensor) else v for v in args]
                calls.append((func, copies))
            return func(*args, **(kwargs or {}))

    with torch.no_grad(), Spy():
        layer.step(u[:, 0], layer.init_state(ROWS), **at(inputs, 0), inplace=True)
    return calls


@every_layer
def test_one_operator_a_recurrence_and_convolution(name):
    layer, u, inputs = case(name)
    calls = step_calls(layer, u, inputs)
    module = __import__("sys").modules[type(layer).__module__]
    convs = sum(isinstance(c, torch.nn.Conv1d) for c in layer.children())
    assert len(calls) == len(module.OPS) + convs
    for func, args in calls:
        assert func._schema.name.endswith("_step") and func._schema.is_mutable
        torch.library.opcheck(func, tuple(args))


@every_layer
def test_step_compiles_without_a_break(name):
    layer, u, inputs = case(name)
    one = at(inputs, 0)
    torch._dynamo.reset()
    step = torch.compile(layer.step, fullgraph=True, backend="aot_eager")
    with torch.no_grad():
        want, state = layer.step(u[:, 0], layer.init_state(ROWS), **one)
        got, new = step(u[:, 0], layer.init_state(ROWS), **one)
        live = layer.init_state(ROWS)
        in_place, _ = step(u[:, 0], live, **one, inplace=True)
    close(got, want, FP64_EAGER)
    close(in_place, want, FP64_EAGER)
    same(new, state)
    same(live, state)


def test_an_op_in_place_wants_one_token_and_a_state():
    m, _ = make("leaky")
    u, rate = torch.randn(2, 2, 3), torch.zeros(3)
    operands = dict(zip([n for n, (role, _) in m.OPS["leaky_op"].items() if role != "state"], (u, rate), strict=True))
    h = torch.zeros(2, 3)
    with pytest.raises(ValueError, match="one token"):
        m.leaky_op(**operands, initial_state=h, inplace=True)
    name = next(iter(operands))
    with pytest.raises(ValueError, match="state before it"):
        m.leaky_op(**{**operands, name: u[:, :1]}, inplace=True)
    y, last = m.leaky_op(**{**operands, name: u[:, :1]}, initial_state=h, inplace=True, return_state=True)
    assert last is h and y.shape == (2, 1, 3) and h.abs().min() > 0
