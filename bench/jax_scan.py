"""The complex scan as JAX users write it, `jax.lax.associative_scan` under `jax.jit`, as a function of torch tensors.

Tensors are handed over where they lie (DLPack), which also makes each side's queue wait for the other's. What JAX
allocates torch does not see, so that its peak of memory says nothing. Needs jax with CUDA.
"""

from __future__ import annotations

import os

os.environ.setdefault("XLA_PYTHON_CLIENT_PREALLOCATE", "false")  # the GPU is shared with torch

import jax
import torch
from torch import Tensor


def _step_after(first: tuple[jax.Array, jax.Array], then: tuple[jax.Array, jax.Array]) -> tuple[jax.Array, jax.Array]:
    return first[0] * then[0], then[0] * first[1] + then[1]


@jax.jit
def _states(forget: jax.Array, inputs: jax.Array) -> jax.Array:
    return jax.lax.associative_scan(_step_after, (forget, inputs), axis=1)[1]


@jax.jit
def _gradients(forget: jax.Array, inputs: jax.Array, cotangent: jax.Array) -> tuple[jax.Array, jax.Array]:
    """Torch's: JAX's are their conjugates."""
    d_forget, d_inputs = jax.vjp(_states, forget, inputs)[1](cotangent.conj())
    return d_forget.conj(), d_inputs.conj()


def _given(v: Tensor) -> jax.Array:
    return jax.dlpack.from_dlpack(v.detach().resolve_conj().contiguous())


class _Scan(torch.autograd.Function):
    @staticmethod
    def forward(ctx, forget: Tensor, inputs: Tensor) -> Tensor:
        ctx.save_for_backward(forget, inputs)
        return torch.from_dlpack(_states(_given(forget), _given(inputs)))

    @staticmethod
    def backward(ctx, g: Tensor) -> tuple[Tensor, Tensor]:
        found = _gradients(*map(_given, (*ctx.saved_tensors, g)))
        return torch.from_dlpack(found[0]), torch.from_dlpack(found[1])


def scan(forget: Tensor, inputs: Tensor) -> Tensor:
    """All states of h_t = forget_t h_(t-1) + inputs_t, complex, [batch, time, channels]."""
    return _Scan.apply(forget, inputs)
