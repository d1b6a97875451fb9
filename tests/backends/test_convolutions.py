"""Which convolutions get kernels is the plan's decision, and theirs alone: whether some op has one says nothing."""

from __future__ import annotations

from types import ModuleType

import pytest
import torch

import ssmc
from ssmc.diagnostics.span import Source
from ssmc.driver import run
from ssmc.options import Options
from tests.backends.interpreter import interpret, judge

# Two convolutions and no recurrence: one on two axes with its activation, one plain without a bias.
ALONE = """edition 1

layer Alone(d_model, n = 2)
  axis H = n, P = d_model
  input u[d_model]
  linear proj(u -> x[H, P])
  conv first(x, width = 3, bias)
  y = sum[H](silu(first) * x)
  conv second(y, width = 4)
  return second + y
"""
# A dense recurrence, which no kernel serves, behind a convolution.
DENSE = """edition 1

layer Dense(d_model)
  axis E = d_model, F = E
  input u[d_model]
  linear proj(u -> x[E])
  param w[E, F] = normal(0, 0.1)
  conv first(x, width = 3, bias)
  mixed = silu(first)
  state h[E]: h = tanh(sum[F](w * prev(h)[E as F]) + mixed)
  return h
"""


def kernels(text: str, backend: str) -> tuple[dict[str, bool], list[bool], ModuleType]:
    """What the plan says of convolutions and ops, and the module."""
    done = run(Source("convolved.ssm", text), Options(backend=backend))
    assert done.plan is not None
    convs = {c.program.module: c.kernel for c in done.plan.convs}
    return convs, [p.kernel for p in done.plan.programs], ssmc.load(text, options=Options(backend=backend))


@pytest.mark.parametrize("text", [ALONE, DENSE], ids=["alone", "dense"])
@pytest.mark.parametrize("backend", ["triton", "eager"])
def test_the_plan_decides(text: str, backend: str) -> None:
    convs, ops, module = kernels(text, backend)
    assert convs and set(convs.values()) == {backend == "triton"} and not any(ops)
    stems = [n for n in vars(module) if n.endswith("_sums")]
    assert len(stems) == len(convs)
    assert all(hasattr(module, s.removesuffix("_sums") + "_triton") == (backend == "triton") for s in stems)
    assert backend == ("triton" if hasattr(module, "_piece") else "eager")


def test_what_serves_the_layer_is_its_recurrence() -> None:
    """A layer of convolutions alone is served by their kernels; a recurrence without one is not."""
    assert kernels(ALONE, "triton")[2].KERNELS
    assert not kernels(ALONE, "eager")[2].KERNELS
    assert not kernels(DENSE, "triton")[2].KERNELS


def test_kernels_without_an_op() -> None:
    cases = [{"T": 6, "conv": True}, {"cu_seqlens": [0, 5, 5, 12], "conv": True}]
    found = interpret({"alone": {"text": ALONE, "cases": cases}})["alone"]
    judge(found)
    assert {k.split()[0] for k in found} == {"alone_first", "alone_second"}


@pytest.mark.filterwarnings("ignore:.*runs on the eager backend")
def test_a_complex_activation_is_not_fused() -> None:
    """It reaches the convolution's values through complex ones, which its kernel and its adjoint have no words for."""
    text = ALONE.replace("silu(first)", "abs(complex(first, 1))")
    layer = ssmc.load(text).Alone(4).double()
    u = torch.randn(2, 5, 4, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(layer, u)


WIDE = "layer Wide(d_model, taps)\n  input u[d_model]\n  conv c(u, width = taps, bias)\n  return silu(c)\n"


def test_many_taps_are_no_kernel_s(monkeypatch: pytest.MonkeyPatch) -> None:
    """Kernels unroll their taps: of 32 one spilled 6 KB a thread, of 64 it took a minute to compile. More than they take is
    the eager formula's, which says so on a GPU, and an error where kernels are demanded."""
    module = ssmc.load(WIDE)
    u = torch.randn(2, 40, 3)
    called: list[int] = []

    def kernel(x: torch.Tensor, weight: torch.Tensor, *more: object) -> tuple[torch.Tensor, torch.Tensor]:
        called.append(weight.shape[-1])
        return x.clone(), x.new_empty(x.shape[0], weight.shape[-1] - 1, x.shape[2])

    monkeypatch.setattr(module, "_wide_c_triton", kernel)
    conv = module._ops.wide_c
    for taps in (16, 17, 300):
        child = module.Wide(3, taps).c
        want = torch.nn.functional.silu(torch.nn.functional.conv1d(
            torch.nn.functional.pad(u, (0, 0, taps - 1, 0)).transpose(1, 2), child.weight, child.bias, groups=3
        )).transpose(1, 2)  # fmt: skip
        assert torch.allclose(conv(u, child.weight, child.bias, None, None, "eager")[0], want, atol=1e-5)
        if taps == 16:
            conv(u, child.weight, child.bias, None, None, "triton")
        else:
            with pytest.raises(RuntimeError, match=f"a convolution has {taps} taps, and its kernels take 16 at most"):
                conv(u, child.weight, child.bias, None, None, "triton")
    assert called == [16]
    assert module._few_taps(torch.empty(3, 1, 16), "auto") and not module._few_taps(torch.empty(3, 1, 17), "auto")
