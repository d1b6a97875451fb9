"""Normalisations and real parts of complex products outside ops: torch's kernels in the text, the token loop's numbers."""

from __future__ import annotations

import pytest

pytest.importorskip("torch")

import torch
import torch.nn.functional as F

import ssmc

HEAD = """
layer Normed(d_model, heads = 2, eps = 0.1)
  axis H = heads, V = d_model / heads, E = H * V
  input u[E]
  param a[E] = uniform(0.1, 0.9)
  param w[V] = uniform(0.5, 2)
  param v[H] = uniform(0.5, 2)
  param s[V] = normal(0, 1)
  param p[H, V] = normal(0, 1)
  state h[E]: h = a * prev(h) + u
  linear lin(h -> x[H, V])
"""


def _split(u: torch.Tensor) -> torch.Tensor:
    return u.unflatten(-1, (2, -1))


def _layer(x: torch.Tensor, dims: tuple[int, ...], eps: float = 0.1) -> torch.Tensor:
    x = x - x.mean(dims, keepdim=True)
    return x * torch.rsqrt(x.square().mean(dims, keepdim=True) + eps)


def _rms(x: torch.Tensor, dims: tuple[int, ...], eps: float = 0.1) -> torch.Tensor:
    return x * torch.rsqrt(x.square().mean(dims, keepdim=True) + eps)


FOUND = {
    "layernorm[V](x, eps = eps) * w + s": ("_layer_norm", lambda x, m: _layer(x, (-1,)) * m.w + m.s),
    "s + w * layernorm[V](x, eps = eps)": ("_layer_norm", lambda x, m: _layer(x, (-1,)) * m.w + m.s),
    "layernorm[H](x, eps = eps) * v": ("_layer_norm", lambda x, m: _layer(x, (-2,)) * m.v[:, None]),
    "layernorm[H, V](x, eps = eps) * p": ("_layer_norm", lambda x, m: _layer(x, (-1, -2)) * m.p),
    "layernorm[V](x * sigmoid(x), eps = eps)": ("_layer_norm", lambda x, m: _layer(x * torch.sigmoid(x), (-1,))),
    "layernorm[V](x, eps = eps) + s": ("_layer_norm", lambda x, m: _layer(x, (-1,)) + m.s),
    "rms[V](x, eps = eps) * w": ("_rms_norm", lambda x, m: _rms(x, (-1,)) * m.w),
    "rms[H](x, eps = eps) * (1 + v)": ("_rms_norm", lambda x, m: _rms(x, (-2,)) * (1 + m.v[:, None])),
    "sigmoid(x) * rms[V, H](x, eps = eps) * p": ("_rms_norm", lambda x, m: torch.sigmoid(x) * _rms(x, (-1, -2)) * m.p),
    "rms[V](x, eps = eps) - rms[H](x, eps = eps)": ("_rms_norm", lambda x, m: _rms(x, (-1,)) - _rms(x, (-2,))),
    "rms[V](x, eps = eps) * w + rms[V](x, eps = eps)": ("_rms_norm", lambda x, m: _rms(x, (-1,)) * (1 + m.w)),
    "x * rsqrt(0.1 + sum[V](square(x)) / V)": ("_rms_norm", lambda x, m: _rms(x, (-1,))),
    "rms[H](layernorm[V](x, eps = eps) * w + s, eps = eps)": (
        "_rms_norm",
        lambda x, m: _rms(_layer(x, (-1,)) * m.w + m.s, (-2,)),
    ),
    "rms[V](layernorm[V](x, eps = eps) * w + s, eps = eps)": (
        "_rms_norm",
        lambda x, m: _rms(_layer(x, (-1,)) * m.w + m.s, (-1,)),
    ),
}  # fmt: skip
OTHERS = {
    "l2norm[V](x)": lambda x, m: x * torch.rsqrt(x.square().sum(-1, keepdim=True) + 1e-6),
    "x / sqrt(mean[V](square(x)) + eps)": lambda x, m: _rms(x, (-1,)),
    "x * rsqrt(sum[V](square(x)) / H + eps)": lambda x, m: x * torch.rsqrt(x.square().sum(-1, keepdim=True) / 2 + 0.1),
    "(x - mean[V](x)) * rsqrt(mean[V](square(x)) + eps)": lambda x, m: (
        (x - x.mean(-1, keepdim=True)) * torch.rsqrt(x.square().mean(-1, keepdim=True) + 0.1)
    ),
    "x * rsqrt(mean[V](square(x)) + square(s))": lambda x, m: (
        x * torch.rsqrt(x.square().mean(-1, keepdim=True) + m.s.square())
    ),
}


def _ran(expression: str, dtype: torch.dtype):
    module = ssmc.load(f"{HEAD}  y[H, V] = {expression}\n  return y\n")
    torch.manual_seed(0)
    layer = module.Normed(6, dtype=dtype)
    u = torch.randn(2, 5, 6, dtype=dtype, requires_grad=True)
    h = module.normed_reference(u=u, a=layer.a, H=2, V=3)
    return module, layer, u, layer(u), _split(layer.lin(h))


@pytest.mark.parametrize("expression", [*FOUND, *OTHERS])
@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16])
def test_norms_mean_what_they_say(expression: str, dtype: torch.dtype) -> None:
    wanted = FOUND[expression][1] if expression in FOUND else OTHERS[expression]
    _, layer, u, y, x = _ran(expression, dtype)
    want = wanted(x.to(torch.float32 if dtype == torch.bfloat16 else dtype), layer)
    close = {"rtol": 3e-2, "atol": 3e-2} if dtype == torch.bfloat16 else {"rtol": 1e-10, "atol": 1e-10}
    assert y.dtype == dtype
    torch.testing.assert_close(y, want.to(dtype), **close)
    if dtype == torch.float64:
        leaves = [u, *(p for n, p in layer.named_parameters() if want.requires_grad)]
        g = torch.randn_like(y)
        for a, z in zip(
            torch.autograd.grad(y, leaves, g, allow_unused=True),
            torch.autograd.grad(want, leaves, g, allow_unused=True),
            strict=True,
        ):
            assert (a is None) == (z is None)
            if a is not None:
                torch.testing.assert_close(a, z, **close)


@pytest.mark.parametrize("expression", [*FOUND, *OTHERS])
def test_what_torch_has_a_kernel_for_is_found(expression: str) -> None:
    text = ssmc.compile_source(f"{HEAD}  return {expression}\n")
    run = text[text.index("def _run") :]
    if expression in OTHERS:
        assert "_layer_norm(" not in text and "_rms_norm(" not in text
    else:
        assert f"{FOUND[expression][0]}(" in run and ".sum(" not in run


def test_a_sum_that_others_read_stays() -> None:
    text = ssmc.compile_source(f"{HEAD}  return rms[V](x, eps = eps) + sum[V](square(x)) / V\n")
    run = text[text.index("def _run") :]
    assert "_rms_norm(" in run and ".sum(-1)" in run


COMPLEX = """
layer Mixed(d_model, N = 3)
  input u[d_model]
  param nu[N] = uniform(0.1, 0.9)
  param B[N, d_model] complex = complex(normal(0, 1), normal(0, 1))
  param C[d_model, N] complex = complex(normal(0, 1), normal(0, 1))
  param R[d_model, N] = normal(0, 1)
  state h[N]: h = exp(complex(-nu, nu)) * prev(h) + sum[d_model](B * u)
  return {}
"""


@pytest.mark.parametrize(
    ("expression", "complex_left"),
    [
        ("re(sum[N](C * h))", False),
        ("2 * re(sum[N](h * C)) + re(sum[N](R * h))", False),
        ("re(sum[N](conj(C) * h)) + u", False),
        ("re(sum[N](C * h)) + im(sum[N](C * h))", True),
        ("re(sum[N](C * (h + 1)))", False),
    ],
)
def test_the_real_part_of_a_product_is_a_real_product(expression: str, complex_left: bool) -> None:
    spec = COMPLEX.format(expression)
    text, module = ssmc.compile_source(spec), ssmc.load(spec)
    run = text[text.index("def _run") :]
    assert ("torch.real(result" in run) == complex_left
    torch.manual_seed(0)
    layer = module.Mixed(4, dtype=torch.float64)
    u = torch.randn(2, 7, 4, dtype=torch.float64, requires_grad=True)
    B, C = torch.view_as_complex(layer.B), torch.view_as_complex(layer.C)
    h = module.mixed_reference(h_sum=(u + 0j) @ B.T, nu=layer.nu)

    def product(left: torch.Tensor, right: torch.Tensor) -> torch.Tensor:
        return (right[..., None, :] * left).sum(-1)

    wants = {
        "re(sum[N](C * h))": lambda: product(C, h).real,
        "2 * re(sum[N](h * C)) + re(sum[N](R * h))": lambda: 2 * product(C, h).real + product(layer.R, h).real,
        "re(sum[N](conj(C) * h)) + u": lambda: product(C.conj(), h).real + u,
        "re(sum[N](C * h)) + im(sum[N](C * h))": lambda: product(C, h).real + product(C, h).imag,
        "re(sum[N](C * (h + 1)))": lambda: product(C, h + 1).real,
    }
    y, want = layer(u), wants[expression]()
    torch.testing.assert_close(y, want, rtol=1e-10, atol=1e-10)
    g, leaves = torch.randn_like(y), [u, *layer.parameters()]
    for a, z in zip(
        torch.autograd.grad(y, leaves, g, allow_unused=True),
        torch.autograd.grad(want, leaves, g, allow_unused=True),
        strict=True,
    ):
        if z is not None:
            torch.testing.assert_close(a, z, rtol=1e-9, atol=1e-9)


def test_mixed_precision_and_second_derivatives() -> None:
    module = ssmc.load(f"{HEAD}  return layernorm[V](x, eps = eps) * w + s\n")
    layer = module.Normed(4, dtype=torch.float64)
    assert torch.autograd.gradgradcheck(lambda u: layer(u), torch.randn(1, 2, 4, dtype=torch.float64).requires_grad_())
    x = torch.randn(3, 4, dtype=torch.float64)
    got = module._layer_norm(x, (4,), 0.1, torch.ones(4))
    assert got.dtype == torch.float64
    torch.testing.assert_close(got, F.layer_norm(x, (4,), eps=0.1))
