"""Every shipped spec at a small size, with inputs that exercise what it declares."""

from __future__ import annotations

import functools
from dataclasses import dataclass, field
from pathlib import Path

import torch

import ssmc

SPECS = Path(__file__).parents[2] / "specs"


@dataclass(frozen=True)
class Small:
    """Arguments that keep every axis small and different from its neighbours; `inputs` gives the keyword inputs."""

    args: dict
    inputs: dict = field(default_factory=dict)
    decreasing: bool = True


def _resets(batch, time, g):
    return (torch.rand(batch, time, generator=g) < 0.2).double()


SMALL = {
    "dss": Small({"d_model": 3, "d_state": 4}),
    "gated_rnn": Small({"d_model": 4, "expand": 2}),
    "gla": Small({"d_model": 6, "num_heads": 2, "expand_k": 2 / 3, "gate_low_rank_dim": 4, "gate_logit_normalizer": 2}),
    "gss": Small({"d_model": 4, "d_ssm": 3, "d_state": 5, "expand": 2}),
    "hgrn": Small({"d_model": 4}),
    "leaky": Small({"d_model": 5}),
    "hgrn2": Small({"d_model": 6, "expand_ratio": 2}),
    "lightning": Small({"d_model": 6, "num_heads": 2}),
    "linear_attention": Small({"d_model": 6, "num_heads": 2, "expand_k": 2 / 3}),
    "liquid_s4": Small({"d_model": 3, "d_state": 4}),
    "lru": Small({"d_model": 3, "d_state": 5}),
    "lti": Small({"d_model": 3, "d_state": 4}),
    "mamba": Small({"d_model": 4, "d_state": 3, "dt_rank": 2}),
    "mamba2": Small({"d_model": 6, "d_state": 5, "headdim": 3, "ngroups": 2}),
    "mega_ema": Small({"d_model": 3, "ndim": 4}),
    "mingru": Small({"d_model": 5, "expansion_factor": 2}),
    "retnet": Small({"d_model": 4, "num_heads": 2}),
    # with input gates near the initial e^-10, or a small eps, gradients leave the range of fp16
    "mlstm": Small({"d_model": 6, "num_heads": 2, "qk_dim_factor": 2 / 3, "gate_soft_cap": 4.0, "norm_eps": 1e-2}),
    "rglru": Small({"d_model": 4, "lru_width": 6, "num_heads": 2}, {"reset": _resets}),
    "rwkv4": Small({"d_model": 4, "attention_size": 3, "layer_idx": 1, "num_layers": 3}),
    "rwkv4_channel": Small({"d_model": 4, "intermediate_size": 5, "layer_idx": 1, "num_layers": 3}),
    "rwkv5": Small({"d_model": 4, "head_size": 2, "layer_idx": 1, "num_layers": 3}),
    "rwkv6": Small({"d_model": 4, "head_size": 2, "mix_rank": 2, "decay_rank": 3, "layer_idx": 1, "num_layers": 3}),
    "s4d": Small({"d_model": 3, "d_state": 4}),
    "s5": Small({"d_model": 3, "d_state": 8, "blocks": 2}),
    "simple_gla": Small({"d_model": 6, "num_heads": 2, "expand_k": 2 / 3, "conv_size": 3, "norm_eps": 1e-2}),
}


@functools.cache
def module_of(spec):
    return ssmc.load(SPECS / f"{spec}.ssm")


def make(spec, dtype=torch.float64, seed=0):
    """A layer with every parameter moved a little from its initial value (zeros and ones hide mistakes)."""
    torch.manual_seed(seed)
    m = module_of(spec)
    layer = getattr(m, m.__all__[0])(**SMALL[spec].args, dtype=dtype)
    with torch.no_grad():
        for v in (*layer.parameters(), *layer.buffers()):
            v.add_(0.1 * torch.rand_like(v))
    return m, layer


def given(spec, batch, time, dtype=torch.float64, seed=1):
    """(u, keyword inputs) for a call of forward."""
    g = torch.Generator().manual_seed(seed)
    u = torch.randn(batch, time, SMALL[spec].args["d_model"], generator=g, dtype=torch.float64).to(dtype)
    return u, {k: make_input(batch, time, g).to(dtype) for k, make_input in SMALL[spec].inputs.items()}


def close(a, b, tolerance, what="", floor=1e-12):
    """Within the tolerance, relative to the largest value (at least `floor`)."""
    assert a.shape == b.shape, (what, a.shape, b.shape)
    if not a.numel():
        return
    error = (a.detach() - b.detach()).abs().max() / b.detach().abs().max().clamp_min(floor)
    assert error <= tolerance, f"{what}: {float(error):.2e} > {tolerance:.0e}"


def gradients(outputs, leaves, seed=2):
    """Gradients of a random function of the outputs with respect to named leaves; zeros where nothing depends."""
    g = torch.Generator().manual_seed(seed)
    loss = sum(
        (_real(o) * torch.randn(_real(o).shape, generator=g, dtype=_real(o).dtype)).sum()
        for o in outputs
        if o.dtype.is_floating_point or o.is_complex()
    )
    wanted = {k: v for k, v in leaves.items() if v is not None and v.requires_grad}
    found = torch.autograd.grad(loss, list(wanted.values()), allow_unused=True)
    return {k: torch.zeros_like(v) if x is None else x for (k, v), x in zip(wanted.items(), found, strict=True)}


def _real(v):
    return torch.view_as_real(v) if v.is_complex() else v
