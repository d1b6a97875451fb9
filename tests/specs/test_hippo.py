"""Initial values from the HiPPO theory against the official matrices, and what the layers start from.

Eigenvectors are known up to a phase, so that what is compared of them does not depend on it: the matrix they make, moduli,
products, and the filter of the system in their basis.
"""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
import torch

from tests.specs.layers import module_of

ORACLES = Path(__file__).parents[1] / "oracles"
NPLR = {
    "lti/hippo_nplr_lagt_r1_2_L20": "lagt",
    "lti/hippo_nplr_legs_r1_0_L33": "legs",
    "lti/hippo_nplr_legs_r2_6_L64": "legs",
    "lti/hippo_nplr_legt_r2_7_L17": "legt",
}
MEMORIES = {
    "lti/hippo_legs_timevarying_backward_2_L17": ("backward_euler", "1 / (t + 1)"),
    "lti/hippo_legs_timevarying_bilinear_5_L100": ("bilinear", "1 / (t + 1)"),
    "lti/hippo_legs_timevarying_zoh_3_L64": ("zoh", "log1p(1 / (t + 1))"),
    "lti/hippo_legt_lmu_bilinear_0_L64": ("bilinear", "1 / 64"),
}
MATRICES = "lti/hippo_matrices_a"
FILES = (*NPLR, *MEMORIES, MATRICES)
MEASURES = ("legs", "legt", "lagt", "fourier")
SAME = 1e-9

OPERATOR = """
layer Operator(order, measure = legs | legt | lagt | fourier)
  axis N = order, M = N, K = order / 2, R = 2
  input u
  param A[N, M] = hippo(measure, N, M) fixed
  param B[N] = hippo_input(measure, N) fixed
  param P[N, R] = hippo_low_rank(measure, N, R) fixed
  param w[K] complex = hippo_diagonal(measure, K) fixed
  param V[N, K] complex = hippo_basis(measure, N, K) fixed
  return 2 * u
"""


@pytest.fixture
def operator(load):
    """`operator(measure, order)`: what the functions of the language give, as float64 tensors by name."""

    def of(measure, order):
        layer = load(OPERATOR).Operator(order, measure, dtype=torch.float64)
        found = dict(layer.named_buffers())
        return {k: torch.view_as_complex(v) if k in "wV" else v for k, v in found.items()}

    return of


def official(name):
    return {k: torch.tensor(v) for k, v in np.load(ORACLES / f"{name}.npz").items() if k != "meta"}


def close(a, b):
    assert a.shape == b.shape
    assert float((a - b).abs().max()) <= SAME * max(1.0, float(b.abs().max())), (a, b)


# --- the operators ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("order", [4, 8, 16])
@pytest.mark.parametrize("measure", ["legs", "lagt"])
def test_operators_are_the_official_ones(operator, measure, order):
    files, found = official(MATRICES), operator(measure, order)
    close(found["A"], files[f"A_{measure}_{order}"])
    close(found["B"], files[f"B_{measure}_{order}"])


@pytest.mark.parametrize("order", [4, 8, 16])
def test_legendre_in_a_window_is_the_memory_unit_in_other_units(operator, order):
    """T (2 A) T^-1 with T = diag((-1)^n sqrt(2n + 1)) is the matrix of the Legendre memory unit (Voelker et al. 2019)."""
    files, found = official(MATRICES), operator("legt", order)
    units = legendre_units(order)
    close(2 * units[:, None] * found["A"] / units, files[f"A_lmu_{order}"])
    close(2 * units * found["B"], files[f"B_lmu_{order}"])


def legendre_units(order):
    n = torch.arange(order, dtype=torch.float64)
    return torch.sqrt(2 * n + 1) * (-1) ** n


def test_operators_of_other_files(operator):
    fourier = official("lti/lssl_kernel_fourier_zoh_3_L17")
    close(operator("fourier", 8)["A"], fourier["A"])
    close(operator("fourier", 8)["B"], fourier["B"])
    for name, measure in NPLR.items():
        files = official(name)
        found = operator(measure, len(files["B_dense"]))
        close(found["A"], files["A_dense"])
        close(found["B"], files["B_dense"])


@pytest.mark.parametrize("order", [4, 8, 16])
def test_a_family_is_a_formula_of_the_language(load, order):
    """The tilted Laguerre operators have a parameter: they are written as an initial value, not as a word."""
    text = """
layer Tilted(order, beta = 0.3)
  axis N = order, M = N
  input u
  param A[N, M] = where(index(N) > index(M), -1, where(index(N) == index(M), -(1 + beta) / 2, 0)) fixed
  param B[N] = beta fixed
  return 2 * u
"""
    layer, files = load(text).Tilted(order, dtype=torch.float64), official(MATRICES)
    close(layer.A, files[f"A_tlagt_{order}"])
    close(layer.B, files[f"B_tlagt_{order}"])


@pytest.mark.parametrize(
    ("start", "axes", "message"),
    [
        ("hippo(legs, N, M)", "[N, M]", "square, not 4 by 6"),
        ("re(hippo_basis(legs, N, M))", "[N, M]", "half of 4 eigenvectors are not 6"),
        ("hippo_low_rank(legt, N, O)", "[N, O]", "legt needs rank 2, not 1"),
    ],
)
def test_sizes_that_do_not_fit(load, start, axes, message):
    text = f"layer Wrong(d_model)\n  axis N = 4, M = 6, O = 1\n  input u\n  param p{axes} = {start}\n  return 2 * u\n"
    with pytest.raises(ValueError, match=message):
        load(text).Wrong(3)


# --- the normal part ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("order", [2, 4, 16, 64])
@pytest.mark.parametrize("measure", MEASURES)
def test_half_of_the_eigenvectors_is_all_of_them(operator, measure, order):
    found = operator(measure, order)
    normal, (w, V) = found["A"] + found["P"] @ found["P"].T, (found["w"], found["V"])
    assert (w.imag >= 0).all() and (w.imag.diff() > 0).all()
    whole = torch.cat([V, V.conj()], 1)
    close(whole.mH @ whole, torch.eye(order, dtype=whole.dtype))
    close((whole * torch.cat([w, w.conj()])) @ whole.mH, normal.to(whole.dtype))
    assert (w.real <= 1e-12).all(), "an operator that forgets"


@pytest.mark.parametrize("name", NPLR)
def test_low_rank_form_is_the_official_one(operator, name):
    files = official(name)
    found = operator(NPLR[name], len(files["B_dense"]))
    w = torch.complex(files["w_re"], files["w_im"])
    B = torch.complex(files["B_re"], files["B_im"])
    P = torch.complex(files["P_re"], files["P_im"])
    order = torch.argsort(-w.imag if (w.imag <= 0).all() else w.imag)
    flip = torch.conj if (w.imag <= 0).all() else torch.clone  # it may keep the other one of each pair
    close(found["w"], flip(w[order]).resolve_conj())
    own_B, own_P = found["V"].mH @ found["B"].to(w.dtype), found["V"].mH @ found["P"].to(w.dtype)
    close(own_B.abs(), B[order].abs())
    rank = min(P.shape[0], own_P.shape[1])
    assert not own_P[:, rank:].abs().any() and not P[rank:].abs().any()
    for r in range(rank):
        close(own_P[:, r].abs(), P[r, order].abs())
        close(own_B * own_P[:, r].conj(), flip(B * P[r].conj())[order].resolve_conj())


@pytest.mark.parametrize("name", NPLR)
def test_filter_of_the_low_rank_form_is_the_official_one(operator, name):
    """x' = (diag(w) - P P*) x + B u in the basis of the eigenvectors, by the bilinear rule."""
    files = official(name)
    found = operator(NPLR[name], len(files["B_dense"]))
    V = torch.cat([found["V"], found["V"].conj()], 1)
    P, B = V.mH @ found["P"].to(V.dtype), V.mH @ found["B"].to(V.dtype)
    A = torch.diag(torch.cat([found["w"], found["w"].conj()])) - P @ P.mH
    one = torch.eye(len(A), dtype=A.dtype)
    for dt, C, K in zip(files["dt"], files["C"].to(V.dtype) @ V, files["K"], strict=True):
        x = torch.linalg.solve(one - dt / 2 * A, dt * B)
        step = torch.linalg.solve(one - dt / 2 * A, one + dt / 2 * A)
        taps = []
        for _ in K:
            taps.append((C @ x).real)
            x = step @ x
        close(torch.stack(taps), K)


# --- memories: the operators as layers, in the basis of A's own eigenvectors ----------------------------------------------

MEMORY = """
layer Memory(order)
  axis N = order, M = N, O = 1
  input f[O]
  param A[N] complex
  param B[N] complex
  param V[M, N] complex
  state x[N] allow unstable: x' = A * x + B * sum[O](f) by {rule}, step {step}
  return re(sum[N](V * x))
"""


@pytest.mark.parametrize("name", MEMORIES)
def test_memories(load, operator, name):
    files, (rule, step) = official(name), MEMORIES[name]
    measure = "legt" if "legt" in name else "legs"
    order = min(files["y"].shape[-1], 8)  # A of LegS is triangular: its first states are a memory of lower order, whose
    found = operator(measure, order)  # basis keeps the digits that one of order 16 loses
    A, B = found["A"], found["B"]
    if measure == "legt":
        units = legendre_units(order)
        A, B = 2 * units[:, None] * A / units, 2 * units * B
    w, V = (torch.tensor(v, dtype=torch.complex128) for v in np.linalg.eig(A.numpy()))
    values = {"A": w, "B": torch.linalg.solve(V, B.to(V.dtype)), "V": V}
    layer = load(MEMORY.format(rule=rule, step=step)).Memory(order, dtype=torch.float64)
    layer.load_state_dict({k: torch.view_as_real(v) for k, v in values.items()})
    y = layer(files["u"].T[..., None])
    close(y.detach(), files["y"].transpose(0, 1)[..., :order])


# --- what the layers start from ---------------------------------------------------------------------------------------------


def test_spectra_of_the_diagonal_layer():
    """The numbers are those of the papers' formulas, worked out by hand."""
    make = module_of("s4d").S4D
    imaginary = {
        init: make(3, d_state=order, init=init, dtype=torch.float64).kernel.A_imag.detach()
        for init, order in (("lin", 8), ("inv", 8), ("legs", 4))
    }
    want = {
        "lin": [0, math.pi, 2 * math.pi, 3 * math.pi],
        "inv": [17.8253536263, 4.2441318158, 1.5278874537, 0.3637827271],
        "legs": [0.5565011151, 4.6032930071],
    }
    for init, values in want.items():
        for row in imaginary[init]:
            assert torch.allclose(row, torch.tensor(values, dtype=torch.float64), rtol=0, atol=1e-9), init
    layer = make(512, d_state=8)
    assert torch.allclose(layer.kernel.log_A_real.exp(), torch.tensor(0.5))
    dt = layer.kernel.log_dt.exp()
    assert dt.min() >= 0.001 and dt.max() <= 0.1
    assert abs(layer.kernel.log_dt.mean() - math.log(0.01)) < 0.25


def test_words_that_are_no_spectrum():
    with pytest.raises(ValueError, match="init is one of"):
        module_of("s4d").S4D(4, init="legt")


def test_matrices_in_the_basis_of_the_eigenvectors(operator):
    """V B + conj(V B) is the real matrix that was drawn: its entries are real, with mean 0 and variance 1 / (J * R)."""
    torch.manual_seed(0)
    blocks, half, width = 3, 8, 400
    layer = module_of("s5").S5(width, d_state=2 * half * blocks, blocks=blocks, dtype=torch.float64)
    found = operator("legs", 2 * half)
    Lambda = torch.complex(layer.seq.Lambda_re.detach(), layer.seq.Lambda_im.detach())
    close(Lambda, found["w"].repeat(blocks))
    B = torch.view_as_complex(layer.seq.B.detach()).unflatten(0, (blocks, half))
    drawn = 2 * torch.einsum("rm,jmh->jrh", found["V"], B).real
    close(torch.einsum("rm,jrh->jmh", found["V"].conj(), drawn.to(B.dtype)), B)
    assert abs(drawn.var() * blocks * 2 * half - 1) < 0.05 and abs(drawn.mean()) < 0.01
    C = torch.view_as_complex(layer.seq.C.detach())
    assert abs(C.abs().square().mean() * blocks * 2 * half - 2) < 0.1  # a unitary map keeps the variance


def test_ring():
    torch.manual_seed(0)
    layer = module_of("lru").LRU(4, d_state=4000, r_min=0.5, r_max=0.9, max_phase=1.0)
    radius = torch.exp(-layer.seq.nu_log.exp()).detach()
    assert radius.min() >= 0.5 - 1e-6 and radius.max() <= 0.9 + 1e-6
    assert abs(radius.square().mean() - (0.25 + 0.81) / 2) < 0.01  # uniform over the area
    assert torch.allclose(layer.seq.gamma_log.exp().square(), 1 - radius.square(), atol=1e-5)
    assert layer.seq.theta_log.exp().max() <= 1.0 and abs(layer.seq.theta_log.exp().mean() - 0.5) < 0.02
    whole = module_of("lru").LRU(4, d_state=4000)  # the whole disk: no logarithm of 0
    assert all(torch.isfinite(p).all() for p in whole.parameters())
