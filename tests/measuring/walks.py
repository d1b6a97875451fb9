"""What the peers of matrix-valued states are said to compute, token by token: each with the arguments, layouts and scales
that the peer's own documentation gives it."""

from __future__ import annotations

import torch
import torch.nn.functional as F


def gathered(q, k, v, log_decay, bonus=None, scale=None):
    """All [batch, time, heads, ...]; with a bonus the state is read before the token."""
    scale = q.shape[-1] ** -0.5 if scale is None else scale
    S, out = torch.zeros_like(k[:, 0, ..., None] * v[:, 0, :, None]), []
    decay = log_decay.exp()
    for t in range(q.shape[1]):
        added = k[:, t, ..., None] * v[:, t, :, None]
        read = S + bonus[..., None] * added if bonus is not None else S * decay[:, t] + added
        S = S * decay[:, t] + added
        out.append((scale * q[:, t, ..., None] * read).sum(-2))
    return torch.stack(out, 1), None


def chunk_gla(q, k, v, g):
    return gathered(q, k, v, g[..., None])


def chunk_simple_gla(q, k, v, g):
    return gathered(q, k, v, g[..., None, None])


def chunk_retention(q, k, v):
    decay = 1 - 2.0 ** (-5 - torch.arange(q.shape[2]))
    return gathered(q, k, v, decay.log().expand(*q.shape[:3])[..., None, None])


def chunk_linear_attn(q, k, v, normalize):
    assert not normalize
    return gathered(q, k, v, torch.zeros(*q.shape[:3], 1, 1))


def chunk_rwkv6(r, k, v, w, u, scale):
    return gathered(r, k, v, w[..., None], u, scale)


def fused_recurrent_rwkv4(w, u, k, v, state):
    """The state [batch, 3, 1, channels] holds both sums and the exponent that they are scaled by."""
    assert state.shape == (k.shape[0], 3, 1, k.shape[2]) and state.is_contiguous()
    w, (p, q, m), out = -w.exp(), state.squeeze(2).unbind(1), []
    for t in range(k.shape[1]):
        top = torch.maximum(m, u + k[:, t])
        before, now = (m - top).exp(), (u + k[:, t] - top).exp()
        out.append((before * p + now * v[:, t]) / (before * q + now))
        top = torch.maximum(m + w, k[:, t])
        before, now, m = (m + w - top).exp(), (k[:, t] - top).exp(), top
        p, q = before * p + now * v[:, t], before * q + now
    return torch.stack(out, 1), torch.stack([p, q, m], 1)


def mamba_chunk_scan_combined(x, dt, A, B, C, chunk_size, D, z, dt_bias, dt_softplus):
    """x, z [batch, time, heads, channels], dt [batch, time, heads], B, C [batch, time, 1, states], others [heads]."""
    assert chunk_size and dt_softplus and A.shape == D.shape == dt_bias.shape == x.shape[2:3]
    assert B.shape == C.shape == (*x.shape[:2], 1, B.shape[-1])
    S, out = torch.zeros(x.shape[0], *x.shape[2:], B.shape[-1]), []
    dt = F.softplus(dt + dt_bias)
    for t in range(x.shape[1]):
        step = dt[:, t, :, None]
        S = S * (step * A[:, None]).exp()[..., None] + (step * x[:, t])[..., None] * B[:, t, :, None]
        out.append(((S * C[:, t, :, None]).sum(-1) + D[:, None] * x[:, t]) * F.silu(z[:, t]))
    return torch.stack(out, 1)


def selective_state_update(state, x, dt, A, B, C, D, z, dt_bias, dt_softplus):
    """Everything of a head repeated along its channels, A along the states too, as views."""
    assert dt_softplus and x.shape == dt.shape == z.shape == state.shape[:3] and A.shape == state.shape[1:]
    assert D.shape == dt_bias.shape == state.shape[1:3] and B.shape == C.shape == (x.shape[0], 1, state.shape[3])
    assert A.stride()[1:] == (0, 0) and dt.stride(-1) == dt_bias.stride(-1) == 0
    dt = F.softplus(dt + dt_bias)
    added = (dt * x)[..., None] * B[:, :, None]
    state.mul_((dt[..., None] * A).exp()).add_(added)
    return ((state * C[:, :, None]).sum(-1) + D * x) * F.silu(z)


def mlstm_chunkwise__xl_chunk(q, k, v, i, f, eps, autocast_kernel_dtype):
    """All [batch, heads, time, ...]."""
    assert autocast_kernel_dtype == q.dtype
    C, n = torch.zeros_like(k[:, :, 0, :, None] * v[:, :, 0, None]), torch.zeros_like(k[:, :, 0])
    m, out, q = torch.zeros_like(i[..., 0]), [], q * q.shape[-1] ** -0.5
    for t in range(q.shape[2]):
        kept = F.logsigmoid(f[..., t]) + m
        m = torch.maximum(kept, i[..., t])
        old, new = (kept - m).exp()[..., None], (i[..., t] - m).exp()[..., None]
        n = old * n + new * k[:, :, t]
        C = old[..., None] * C + (new * k[:, :, t])[..., None] * v[:, :, t, None]
        weight = torch.maximum((q[:, :, t] * n).sum(-1).abs(), (-m).exp()) + eps
        out.append((q[:, :, t, :, None] * C).sum(-2) / weight[..., None])
    return torch.stack(out, 2)
