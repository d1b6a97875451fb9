"""A leaky integrator as somebody else might have written it, right and wrong; `peers/` describes each."""

from __future__ import annotations

import torch


def leaky(x, decay, scale=1.0):
    """x [batch, channels, 1, time] with all decays: the results [batch, channels, time], and how many tokens there were."""
    h, out = torch.zeros_like(x[..., 0]), []
    for t in range(x.shape[-1]):
        h = decay[:, None] * h + (1 - decay[:, None]) * x[..., t]
        out.append(h)
    return x.shape[-1], scale * torch.stack(out, -1).squeeze(2)


def without_gradient(x, decay):
    return leaky(x, decay.detach())


def raises(x, decay):
    raise RuntimeError("no kernel\nfor this")


def step(state, x, decay):
    """One token [batch, channels]; the state is overwritten."""
    state.mul_(decay).add_((1 - decay) * x)
    return state.clone()


def stale(state, x, decay):
    return decay * state + (1 - decay) * x


def complex_scan(forget, inputs):
    """Both [batch, channels, time], contiguous and complex: all states."""
    assert forget.shape == inputs.shape and forget.is_contiguous() and inputs.is_contiguous()
    h, out = torch.zeros_like(inputs[..., 0]), []
    for t in range(inputs.shape[-1]):
        h = forget[..., t] * h + inputs[..., t]
        out.append(h)
    return torch.stack(out, -1)


class Layer(torch.nn.Module):
    """The leaky layer, with our key."""

    def __init__(self, width, factor=1.0, device=None, dtype=None):
        super().__init__()
        self.factor, self.rate = factor, torch.nn.Parameter(torch.zeros(width, device=device))

    def forward(self, u):
        decay, h, out = torch.sigmoid(self.rate), torch.zeros_like(u[:, 0]), []
        for x in u.unbind(1):
            h = decay * h + (1 - decay) * x
            out.append(h)
        return self.factor * torch.stack(out, 1).to(u.dtype)
