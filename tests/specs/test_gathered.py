"""Matrix-valued states that gather outer products: chunks of matrix products against the token loop and the walk."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import pytest
import torch

import ssmc
from ssmc.options import Options
from tests.harness import capture, compare, error, flags, layer_of, random_states
from tests.tolerances import FP64_EAGER, GRADIENT

ROOT = Path(__file__).parents[2]
NAMES = {"ssd": "O1", "decays": "O1", "linattn": "O2", "squares": "O1"}
pytestmark = pytest.mark.filterwarnings("ignore:.*runs on the eager backend")
every_name = pytest.mark.parametrize("name", sorted(NAMES))
every_mode = pytest.mark.parametrize("mode", ("recurrent", "scan"))


@cache
def module(name: str, mode: str):
    return ssmc.load(ROOT / f"tests/specs/variants/{name}.ssm", options=Options(mode=mode))


def made(name: str, mode: str, d_model: int = 8):
    torch.manual_seed(0)
    m = module(name, mode)
    layer = layer_of(m)(d_model).double()
    with torch.no_grad():
        for p in layer.parameters():
            p.add_(0.05 * torch.randn_like(p))
    return m, layer


def calls(name: str, mode: str, T: int, d_model: int = 8):
    m, layer = made(name, mode, d_model)
    return capture(m, layer, torch.randn(2, T, d_model, dtype=torch.float64))


@every_name
def test_class(name: str) -> None:
    assert module(name, "auto").PLAN["S"]["class"] == NAMES[name]


@every_name
@every_mode
@pytest.mark.parametrize("T", (1, 3, 16, 17, 64, 65, 150))
def test_op_is_the_token_loop(name: str, mode: str, T: int) -> None:
    for call in calls(name, mode, T):
        for states in (None, random_states(call, 2, torch.float64, "cpu")):
            found = compare(call, torch.float64, states, "eager")
            assert max(found.values()) < FP64_EAGER, found


@every_name
@every_mode
def test_splits_steps_and_packing(name: str, mode: str) -> None:
    _, layer = made(name, mode)
    u = torch.randn(2, 70, 8, dtype=torch.float64)
    want = layer(u)
    for cut in (0, 1, 33, 69, 70):
        first, middle = layer(u[:, :cut], return_state=True)
        second, last = layer(u[:, cut:], middle, return_state=True)
        assert error(torch.cat([first, second], 1), want, False) < FP64_EAGER
    state = layer.init_state(2, dtype=torch.float64)
    for t in range(70):
        y, state = layer.step(u[:, t], state)
        assert error(y, want[:, t], False) < FP64_EAGER
    assert all(error(a, b, False) < FP64_EAGER for a, b in zip(state, last, strict=True))
    parts = [layer(u[:1, a:b]) for a, b in ((0, 40), (40, 70))]
    assert error(layer(u[:1], cu_seqlens=torch.tensor([0, 40, 40, 70])), torch.cat(parts, 1), False) < FP64_EAGER


EXTREME = """
layer Extreme(heads, dk, dv, by_key = false)
  axis H = heads, K = dk, V = dv
  input q[H, K]
  input k[H, K]
  input v[H, V]
  if by_key:
    input z[H, K]
    d = exp(z)
  else:
    input z[H]
    d = exp(z)
  state S[H, K, V]: S = d * prev(S) + k * v
  return sum[K](q * S) + sum[K](tanh(q) * prev(S))
"""


@pytest.mark.parametrize("by_key", (False, True))
@pytest.mark.parametrize("dtype", (torch.float64, torch.float32), ids=str)
def test_extreme_decays(by_key: bool, dtype: torch.dtype) -> None:
    """Log decays from 0 to -1e4, and decays of exactly 0, in one sequence: no digits are lost to their neighbours."""
    m = ssmc.load(EXTREME, options=Options(settings={"by_key": by_key}, mode="scan"))
    torch.manual_seed(0)
    levels = torch.tensor([0.0, -1e-8, -0.1, -5.0, -50.0, -1e4, -float("inf")])
    T, H, K, V = 100, 2, 3, 4
    z = levels[torch.randint(0, 7, (1, T, H, K) if by_key else (1, T, H))]
    given = [torch.randn(1, T, H, n) for n in (K, K, V)] + [z]
    op, reference = m.extreme_op, m.extreme_reference
    names = [n for n, (role, _) in m.OPS["extreme_op"].items() if role == "token"]
    by_name = dict(zip(("q", "k", "v", "z"), given, strict=True))
    wide = {n: by_name[n].double().requires_grad_() for n in names}
    low = {n: by_name[n].to(dtype).requires_grad_() for n in names}
    want, got = reference(**wide), op(**low)
    limit = FP64_EAGER if dtype == torch.float64 else 2e-5
    assert error(got, want, False) < limit
    w = torch.randn_like(want)
    for a, b in zip(
        torch.autograd.grad((got * w).sum(), list(low.values())),
        torch.autograd.grad((want * w).sum(), list(wide.values())),
        strict=True,
    ):
        assert torch.isfinite(a).all()
        assert error(a, torch.nan_to_num(b), False) < GRADIENT[dtype]


@pytest.mark.parametrize("name", ("decays", "linattn"))
def test_what_torch_asks_of_an_operator(name: str) -> None:
    m, layer = made(name, "scan", 4)
    call = capture(m, layer, torch.randn(1, 18, 4, dtype=torch.float64))[0]
    op = getattr(getattr(torch.ops, m.NAMESPACE), call.op.removesuffix("_op")).default
    operands = [v.clone().requires_grad_() for v in call.operands.values()]
    state = random_states(call, 1, torch.float64, "cpu").requires_grad_()
    for start in (state, None):
        torch.library.opcheck(op, (*operands, start, None, *call.numbers.values(), *flags(op), "eager"))

    def short(*values):
        return getattr(m, call.op)(*values, **call.numbers)

    few = [
        v.detach()[:, :3].requires_grad_() if k in call.tokens() else v
        for k, v in zip(call.operands, operands, strict=True)
    ]
    assert torch.autograd.gradcheck(short, few, atol=1e-6)
    assert torch.autograd.gradgradcheck(short, few, atol=1e-5)


BOUNDED = """
layer Bounded(layers, place, keys, values)
  axis L = layers, K = keys, V = values
  input q[K]
  input f[K]
  input v[V]
  param gamma[L, K] = 0
  bound = sum[L](where(index(L) < place, softmax[L](gamma), 0))
  decay = bound + (1 - bound) * sigmoid(f)
  state S[K, V]: S = decay * prev(S) + (1 - decay) * v
  return sum[K](q * S)
"""


@pytest.mark.parametrize("place", (0, 2))
@pytest.mark.parametrize("dtype", (torch.float64, torch.float32), ids=str)
def test_decays_with_a_lower_bound(place: int, dtype: torch.dtype) -> None:
    """A decay b + (1 - b) * sigmoid is positive, so that it has a logarithm, also where it or 1 - it underflows."""
    m = ssmc.load(BOUNDED, options=Options(mode="scan"))
    assert m.PLAN["S"]["class"] == "O2"
    torch.manual_seed(place)
    layer = m.Bounded(3, place, 4, 5, dtype=torch.float64)
    with torch.no_grad():
        layer.gamma.normal_()
    levels = torch.tensor([0.0, 1e-3, 5.0, -5.0, 40.0, -40.0, 300.0, -300.0])
    given = {"q": torch.randn(1, 90, 4), "f": levels[torch.randint(0, 8, (1, 90, 4))], "v": torch.randn(1, 90, 5)}
    wide = {n: x.double() for n, x in given.items()}
    (call,) = capture(m, layer, wide.pop("q"), **wide)
    found = compare(call, dtype, None, "eager")
    assert found.pop("d f") < (1e-9 if dtype == torch.float64 else 1e-4), found
    if not place:  # a bound of exactly 0: where the decay underflows, its logarithm has no slope
        del found["d bound"]
    limit = FP64_EAGER if dtype == torch.float64 else GRADIENT[dtype]
    assert max(found.values()) < limit, found
