"""Time-invariant recurrences in every mode: convolution, scan and walk agree with the token loop and with each other.

Results, last states and every gradient; splits; coefficients on the edge; long sequences in float32; what torch asks of
an operator.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path

import pytest
import torch

import ssmc
from ssmc.options import Options
from tests.harness import Call, capture, compare, error, layer_of, random_states
from tests.tolerances import FP64_EAGER

ROOT = Path(__file__).parents[2]
MODES = ("recurrent", "scan", "convolution")
FILES = {p.stem: p for p in (*ROOT.glob("specs/*.ssm"), *(ROOT / "tests/specs/variants").glob("*.ssm"))}
pytestmark = pytest.mark.filterwarnings("ignore:.*runs on the eager backend")


@cache
def module(name: str, mode: str):
    return ssmc.load(FILES[name], options=Options(mode=mode))


def filtered() -> list[str]:
    """The specs all of whose recurrences have a filter."""
    found = []
    for name in sorted(FILES):
        plan = [v for v in module(name, "auto").PLAN.values() if isinstance(v, dict)]
        if plan and all("convolution" in v["modes"] for v in plan):
            found.append(name)
    return found


FILTERED = filtered()
every_mode = pytest.mark.parametrize("mode", MODES)
every_name = pytest.mark.parametrize("name", FILTERED)


def test_the_list_is_what_it_should_be() -> None:
    assert {"leaky", "s4dr", "s5", "learned", "late", "driven", "ahead", "modal"} <= set(FILTERED)
    assert not {"mamba", "hgrn", "rglru", "liquid_s4", "ssd", "linattn"} & set(FILTERED)


def made(name: str, mode: str, d_model: int = 8):
    torch.manual_seed(0)
    m = module(name, mode)
    layer = layer_of(m)(d_model).double()
    with torch.no_grad():
        for p in layer.parameters():
            p.add_(0.05 * torch.randn_like(p))
    return m, layer


def calls(name: str, mode: str, T: int) -> list[Call]:
    m, layer = made(name, mode)
    return capture(m, layer, torch.randn(2, T, 8, dtype=torch.float64))


@every_name
@every_mode
@pytest.mark.parametrize("T", (1, 2, 16, 37, 150))
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
    if hasattr(layer, "step"):
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


EDGE = """
layer Edge(d_model)
  input u[d_model]
  param a[d_model] = 0.5
  param th[d_model] = 0
  state h[d_model] allow unstable: h = complex(a, th) * prev(h) + u
  return re(h) + 0.5 * im(h)
"""


@every_mode
@pytest.mark.parametrize(
    "a", ((0.0, 0.0), (-1.0, 0.0), (1.0, 0.0), (0.0, 1.0), (1e-30, 0.0), (-0.5, 0.5), (1 - 1e-9, 0.0))
)
def test_coefficients_on_the_edge(mode: str, a: tuple[float, float]) -> None:
    """Zero, on the circle, tiny, almost one: the powers of a are taken without a logarithm or a division."""
    m = ssmc.load(EDGE, options=Options(mode=mode))
    layer = layer_of(m)(3).double()
    with torch.no_grad():
        layer.a.fill_(a[0])
        layer.th.fill_(a[1])
    for call in capture(m, layer, torch.randn(2, 50, 3, dtype=torch.float64)):
        for states in (None, random_states(call, 2, torch.float64, "cpu")):
            found = compare(call, torch.float64, states, "eager")
            assert max(found.values()) < FP64_EAGER, found


@pytest.mark.parametrize("mode", ("scan", "convolution"))
@pytest.mark.parametrize("name", ("s4dr", "late", "modal"))
def test_long_sequences_in_float32(name: str, mode: str) -> None:
    """16,384 tokens in float32 against float64, relative to the largest value."""
    m, layer = made(name, mode)
    call = capture(m, layer, torch.randn(1, 4, 8, dtype=torch.float64))[0]
    long = {
        k: torch.randn(1, 16384, *v.shape[2:], dtype=v.dtype) if k in call.tokens() else v
        for k, v in call.operands.items()
    }
    op = getattr(m, call.op)
    want = op(**long, **call.numbers)
    narrow = {k: v.to(torch.complex64 if v.is_complex() else torch.float32) for k, v in long.items()}
    got = op(**narrow, **call.numbers)
    assert error(got, want, False) < 1e-4


@every_mode
@pytest.mark.parametrize("T", (9, 60))
def test_autocast_changes_nothing(mode: str, T: int) -> None:
    """Matrix products inside an op are its own business."""
    for call in calls("late", mode, T):
        narrow = {k: v.float().requires_grad_() for k, v in call.operands.items()}
        found = []
        for enabled in (False, True):
            with torch.autocast("cpu", dtype=torch.bfloat16, enabled=enabled):
                y = getattr(call.module, call.op)(**narrow, **call.numbers)
                found.append([y, *torch.autograd.grad(y.square().sum(), list(narrow.values()))])
        assert all(torch.equal(a, b) for a, b in zip(*found, strict=True))


@every_mode
@pytest.mark.parametrize("name", ("s4dr", "late"))
def test_what_torch_asks_of_an_operator(name: str, mode: str) -> None:
    m, layer = made(name, mode, 3)
    call = capture(m, layer, torch.randn(1, 18, 3, dtype=torch.float64))[0]
    stem = call.op.removesuffix("_op")
    op = getattr(getattr(torch.ops, m.NAMESPACE), stem).default
    operands = [v.clone().requires_grad_(v.is_floating_point() or v.is_complex()) for v in call.operands.values()]
    state = random_states(call, 1, torch.float64, "cpu")
    for last, start in ((True, state.clone().requires_grad_()), (False, None)):
        torch.library.opcheck(op, (*operands, start, None, *call.numbers.values(), last, "eager"))

    def short(*values):
        return getattr(m, call.op)(*values, **call.numbers)

    few = [
        v.detach()[:, :5].requires_grad_() if k in call.tokens() else v
        for k, v in zip(call.operands, operands, strict=True)
    ]
    assert torch.autograd.gradcheck(short, few, atol=1e-6)
    assert torch.autograd.gradgradcheck(short, few, atol=1e-5)
