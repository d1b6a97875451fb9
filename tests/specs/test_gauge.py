"""Sums of exponentials that the compiler stabilises: exponents far beyond what a number holds, against log space."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import pytest
import torch

import ssmc
from tests.harness import capture, compare, error, layer_of, random_states
from tests.tolerances import FP64_EAGER

ROOT = Path(__file__).parents[2]
WITH_GAUGE = {"rwkv4": "specs", "ratio": "tests/specs/variants", "softly": "tests/specs/variants"}
LIMIT = {torch.float64: FP64_EAGER, torch.float32: 2e-5}
pytestmark = pytest.mark.filterwarnings("ignore:.*runs on the eager backend")
every_name = pytest.mark.parametrize("name", WITH_GAUGE)
every_dtype = pytest.mark.parametrize("dtype", LIMIT, ids=str)


@cache
def module(name: str):
    return ssmc.load(ROOT / WITH_GAUGE[name] / f"{name}.ssm")


def made(name: str):
    torch.manual_seed(0)
    m = module(name)
    return m, layer_of(m)(8).double()


def test_plan_says_so() -> None:
    assert module("rwkv4").PLAN["p"]["gauge"] == {"log_scale": ("p", "q")}
    assert list(module("rwkv4").OPS) == ["rwkv4_op"]
    assert module("rwkv4").RWKV4State._fields == ("p", "q", "log_scale", "u_prev")
    assert module("ratio").PLAN["S"]["class"] == "O1"
    assert module("softly").PLAN["S"]["class"] == "O2"


@every_name
@pytest.mark.parametrize("T", (1, 2, 33))
def test_ops_are_the_token_loop(name: str, T: int) -> None:
    m, layer = made(name)
    for call in capture(m, layer, 3 * torch.randn(2, T, 8, dtype=torch.float64)):
        for states in (None, random_states(call, 2, torch.float64, "cpu")):
            found = compare(call, torch.float64, states, "eager", floor=1e-2)
            assert max(found.values()) < FP64_EAGER, found


@every_name
def test_splits_steps_and_packing(name: str) -> None:
    _, layer = made(name)
    u = 20 * torch.randn(2, 20, 8, dtype=torch.float64)
    want = layer(u)
    for cut in (0, 1, 13, 20):
        first, middle = layer(u[:, :cut], return_state=True)
        second, last = layer(u[:, cut:], middle, return_state=True)
        assert error(torch.cat([first, second], 1), want, False) < FP64_EAGER
    state = layer.init_state(2, dtype=torch.float64)
    for t in range(20):
        y, state = layer.step(u[:, t], state)
        assert error(y, want[:, t], False) < FP64_EAGER
    assert all(error(a, b, False) < FP64_EAGER for a, b in zip(state, last, strict=True))
    parts = [layer(u[:1, a:b]) for a, b in ((0, 12), (12, 20))]
    assert error(layer(u[:1], cu_seqlens=torch.tensor([0, 12, 12, 20])), torch.cat(parts, 1), False) < FP64_EAGER


@every_name
def test_any_scale_gives_the_same(name: str) -> None:
    m, layer = made(name)
    u = torch.randn(2, 12, 8, dtype=torch.float64)
    want, middle = layer(u, return_state=True)
    want = layer(u, middle)
    shift = torch.randn_like(middle.log_scale)

    def scaled(v: torch.Tensor) -> torch.Tensor:
        return v * torch.exp(-shift).reshape(*shift.shape, *(1,) * (v.ndim - shift.ndim))

    (states,) = {n for p in m.PLAN.values() if isinstance(p, dict) for n in p.get("gauge", {}).values()}
    moved = middle._replace(log_scale=middle.log_scale + shift, **{n: scaled(getattr(middle, n)) for n in states})
    assert error(layer(u, moved), want, False) < FP64_EAGER


def gradients(result: torch.Tensor, leaves: list[torch.Tensor]) -> list[torch.Tensor]:
    w = torch.randn(result.shape, generator=torch.Generator().manual_seed(5), dtype=torch.float64)
    return list(torch.autograd.grad((result.double() * w).sum(), leaves))


def weighted_means(k, v, r, time_decay, time_first):
    """The same by a softmax over the past, which is stable: [batch, token, earlier token, channel]."""
    T = k.shape[1]
    t = torch.arange(T)
    past = (t[:, None] - t - 1)[..., None] * -torch.exp(time_decay) + k[:, None]
    logs = torch.where((t[:, None] == t)[..., None], (time_first + k)[:, None], past)
    logs = torch.where((t[:, None] < t)[..., None], -float("inf"), logs)
    return torch.sigmoid(r) * (torch.softmax(logs, 2) * v[:, None]).sum(2)


@every_dtype
@pytest.mark.parametrize("size", (1.0, 1e2, 1e4))
def test_extreme_keys(size: float, dtype: torch.dtype) -> None:
    g = torch.Generator().manual_seed(3)
    k, v, r = (torch.randn(2, 50, 6, generator=g) for _ in range(3))
    k = k * size * torch.tensor([1.0, 1.0, 1e-2, 1e-4, 1.0, 0.0])
    k[:, 7] = size
    k[:, 20:30] = -size
    named = {"k": k, "v": v, "r": r, "time_decay": torch.randn(6, generator=g), "time_first": torch.randn(6, generator=g)}
    low = {n: x.to(dtype).requires_grad_() for n, x in named.items()}
    high = {n: x.double().requires_grad_() for n, x in named.items()}
    got, want = module("rwkv4").rwkv4_op(**low), weighted_means(**high)
    assert error(got, want, False) < LIMIT[dtype]
    found, wanted = gradients(got, list(low.values())), gradients(want, list(high.values()))
    for n, a, b in zip(named, found, wanted, strict=True):
        assert error(a, b, False) < (1e-8 if dtype == torch.float64 else 1e-4), n


def remembered(q, k, v, i, f):
    """Both sums as they are written: float64 holds e^500."""
    S, n, out = 0, 0, []
    for t in range(q.shape[1]):
        keep, add = torch.sigmoid(f[:, t]), torch.exp(i[:, t])
        S = keep[..., None, None] * S + add[..., None, None] * k[:, t, :, :, None] * v[:, t, :, None]
        n = keep[..., None] * n + add[..., None] * k[:, t]
        read, weight = torch.einsum("bhk,bhkv->bhv", q[:, t], S), (q[:, t] * n).sum(-1)
        out.append(read / weight.abs().clamp_min(1)[..., None])
    return torch.stack(out, 1).flatten(2)


@every_dtype
def test_extreme_gates(dtype: torch.dtype) -> None:
    m = module("ratio")
    torch.manual_seed(1)
    layer = layer_of(m)(8).to(dtype)
    with torch.no_grad():
        layer.gates.weight[:2] *= 150
        layer.out_proj.weight.copy_(torch.eye(8, 10))
    u = torch.randn(2, 70, 8, dtype=dtype, requires_grad=True)
    wide = u.detach().double().requires_grad_()

    def project(name: str, *shape: int) -> torch.Tensor:
        return (wide @ getattr(layer, name).weight.double().T).reshape(2, 70, *shape)

    i, f = project("gates", 2, 2).unbind(2)
    assert 200 < i.abs().max() < 600
    want = remembered(project("q_proj", 2, 4), project("k_proj", 2, 4), project("v_proj", 2, 5), i, f)[..., :8]
    got = layer(u)
    if dtype == torch.float64:
        assert error(got, want, False) < FP64_EAGER
        (a,), (b,) = gradients(got, [u]), gradients(want, [wide])
        assert error(a, b, False) < 1e-8
    else:  # the gates themselves have no more digits than this
        assert error(got, want, False) < 1e-2
        assert torch.isfinite(gradients(got, [u])[0]).all()
