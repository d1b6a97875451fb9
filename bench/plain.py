"""Layers as people write them in plain torch, to compare with: each computes what a generated layer computes, from that
layer's own parameters, by the formula its paper gives. Nothing here is tuned, and nothing is copied from anywhere."""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, nn


def convolution_layer(layer: nn.Module, u: Tensor) -> Tensor:
    """S4D: the filter as a product with a Vandermonde matrix, applied by FFT (Gu et al. 2022, arXiv:2206.11893)."""
    p = dict(layer.named_parameters())
    T, dt = u.shape[1], p["kernel.log_dt"].exp()
    A = torch.complex(-p["kernel.log_A_real"].exp(), p["kernel.A_imag"])
    dtA = A * dt[:, None]
    C = torch.view_as_complex(p["kernel.C"]) * (torch.exp(dtA) - 1) / A
    vandermonde = torch.exp(dtA[..., None] * torch.arange(T))
    K = 2 * torch.einsum("hn,hnl->hl", C, vandermonde).real
    x = u.transpose(1, 2)
    y = torch.fft.irfft(torch.fft.rfft(x, n=2 * T) * torch.fft.rfft(K, n=2 * T), n=2 * T)[..., :T]
    y = F.gelu(y + x * p["D"][:, None]).transpose(1, 2)
    value, gate = layer.output_linear(y).chunk(2, -1)
    return value * torch.sigmoid(gate)


def filtered_op(
    u: Tensor, log_dt: Tensor, log_A_real: Tensor, A_imag: Tensor, C: Tensor, D: Tensor,
    product: Callable[[Tensor, Tensor, int], Tensor] | None = None,
) -> Tensor:  # fmt: skip
    """The op of `bench/filtered.ssm` on u [batch, H, time], as above. `product(v, z, n)` is the product of v with the
    powers of exp(z), twice its real part."""
    T = u.shape[-1]
    A = torch.complex(-log_A_real.exp(), A_imag)
    dtA = A * log_dt.exp()[:, None]
    v = C * (torch.exp(dtA) - 1) / A
    if product is None:
        K = 2 * torch.einsum("hn,hnl->hl", v, torch.exp(dtA[..., None] * torch.arange(T, device=u.device))).real
    else:
        K = product(v, dtA, T)
    y = torch.fft.irfft(torch.fft.rfft(u, n=2 * T) * torch.fft.rfft(K, n=2 * T), n=2 * T)[..., :T]
    return y + u * D[:, None]


def official_filtered_op(u: Tensor, **parameters: Tensor) -> Tensor:
    """The same with the CUDA kernel of the authors of S4D in place of the product, where it is installed."""
    from extensions.kernels.vandermonde import log_vandermonde_cuda

    return filtered_op(u, **parameters, product=log_vandermonde_cuda)


def scan_layer(layer: nn.Module, u: Tensor) -> Tensor:
    """LRU: the linear recurrence by a scan of logarithmic depth over time (Orvieto et al. 2023, arXiv:2303.06349)."""
    p = dict(layer.named_parameters())
    B, C = torch.view_as_complex(p["seq.B"]), torch.view_as_complex(p["seq.C"])
    v = F.layer_norm(u, u.shape[-1:], p["normalization.scale"], p["normalization.bias"], 1e-6)
    a = torch.exp(torch.complex(-p["seq.nu_log"].exp(), p["seq.theta_log"].exp()))
    x = (v.to(B.dtype) @ B.T) * p["seq.gamma_log"].exp()
    y = (prefix(a.expand_as(x), x) @ C.T).real + p["seq.D"] * v
    s = F.gelu(y, approximate="tanh")
    return u + layer.out1(s) * torch.sigmoid(layer.out2(s))


def prefix(a: Tensor, b: Tensor) -> Tensor:
    """All states of h_t = a_t h_(t-1) + b_t along axis 1: pairs of steps are steps, half as many (Blelloch 1990)."""
    T = b.shape[1]
    if T == 1:
        return b
    even = T - T % 2
    a0, a1, b0, b1 = a[:, 0:even:2], a[:, 1:even:2], b[:, 0:even:2], b[:, 1:even:2]
    odd_states = prefix(a1 * a0, a1 * b0 + b1)
    later = b[:, 2::2] + a[:, 2::2] * odd_states[:, : (T - 1) // 2]
    even_states = torch.cat((b[:, :1], later), 1)
    pairs = torch.stack((even_states[:, : even // 2], odd_states), 2).flatten(1, 2)
    return pairs if even == T else torch.cat((pairs, even_states[:, -1:]), 1)
