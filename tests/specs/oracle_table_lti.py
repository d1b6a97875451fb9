"""The rows of the time-invariant diagonal systems: see `oracle_table.py`.

Where an official option is no part of the shipped spec, a spec of `variants/` has it. What an official file says of the
recurrence alone is asked of the shipped equations alone: `inside` cuts them out of the spec's text.
"""

from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F

from tests.specs.oracle_table import Row, Run, turned

SPECS = Path(__file__).parents[2] / "specs"
VARIANTS = Path(__file__).parent / "variants"


def variant(name):
    return (VARIANTS / f"{name}.ssm").read_text()


def inside(spec, *changes, result="y"):
    """A shipped spec up to the equation of `result`, which it then returns, with some text exchanged."""
    lines = (SPECS / f"{spec}.ssm").read_text().splitlines()
    last = max(i for i, line in enumerate(lines) if line.strip().startswith(f"{result} ="))
    text = "\n".join([*lines[: last + 1], f"  return {result}\n"])
    for old, new in changes:
        assert old in text, (spec, old)
        text = text.replace(old, new)
    return text


def pairs(re, im):
    """A complex parameter as it is stored."""
    return torch.stack([re, im], -1)


def flat(v):
    return v.flatten()


def minus(v):
    return -v


def state(name):
    return (f"{name}_re", f"{name}_im"), torch.complex


def time_first(v):
    """[time, batch, channels] -> [batch, time, channels]."""
    return v.transpose(0, 1)


# --- one state space model a channel --------------------------------------------------------------------------------

S4D = {
    "kernel.log_dt": ("log_dt", None),
    "kernel.log_A_real": ("log_A_real", None),
    "kernel.A_imag": ("A_imag", None),
    "kernel.C": (("C_re", "C_im"), pairs),
    "D": ("D", None),
    "output_linear.weight": ("out_weight", lambda v: v[..., 0]),
    "output_linear.bias": ("out_bias", None),
}


def s4d(width, order):
    return Row("s4d", {"d_model": width, "d_state": order}, {"u": ("u", turned)}, S4D, y=turned)


def times_b(c_re, c_im, b_re, b_im):
    """C, which takes the part of B."""
    product = torch.complex(c_re, c_im) * torch.complex(b_re, b_im)
    return torch.view_as_real(product)[0]


BLOCK = S4D | {
    "kernel.log_dt": ("inv_dt", flat),
    "kernel.log_A_real": ("A_real", None),
    "kernel.A_imag": ("A_imag", minus),
    "kernel.C": (("C_re", "C_im", "B_re", "B_im"), times_b),
    "D": ("D", flat),
    "output_linear.weight": ("out_weight", None),
}
S4D_BLOCK = Row(
    "s4d",
    {"d_model": 4, "d_state": 8},
    {"u": ("u", turned)},
    BLOCK,
    y=turned,
    more=(Run(lambda case: turned(case.array("y_step")), steps=True),),
)


def kernel(width, order, copies, states=True, tied=True, both=False, more=None, **settings):
    """`SSMKernelDiag` under `FFTConv`: output, output from a state, and steps."""
    args = {"d_model": width, "d_state": order, "n_ssm": copies, "tied": tied, **settings, **(more or {})}
    halves = {"C": (("C_re", "C_im"), lambda re, im: pairs(re[0], im[0]))}
    if both:
        halves["C_next"] = (("C_re", "C_im"), lambda re, im: pairs(re[1], im[1]))
    params = {
        "inv_dt": ("inv_dt", flat if tied else None),
        "A_real": ("A_real", None),
        "A_imag": ("A_imag", None),
        "B": (("B_re", "B_im"), lambda re, im: pairs(re[0], im[0])),
        **halves,
        "D": ("D", flat),
    }
    start = {"x": state("state0")}
    runs = (
        Run(lambda case: turned(case.array("y_state")), start, {"x": state("state_final")}),
        Run(lambda case: turned(case.array("y_step")), start, {"x": state("state_step")}, steps=True),
    )
    fixed = {**settings, "tied": tied, "bidirectional": both}
    args["bidirectional"] = both
    spec = variant("s4d_kernel")
    return Row(spec, args, {"u": ("u", turned)}, params, fixed, y=turned, more=runs if states else ())


REAL = Row(
    """
layer RealKernel(d_model, d_state)
  axis H = d_model, N = d_state
  input u[H]
  param inv_dt[H]
  param A_real[H, N]
  param B[H, N]
  param C[H, N]
  param D[H]
  state x[H, N]: x' = -exp(A_real) * x + B * u by zoh, step exp(inv_dt)
  return 2 * sum[N](C * x) + D * u
""",
    {"d_model": 4, "d_state": 8},
    {"u": ("u", turned)},
    {
        "inv_dt": ("inv_dt", flat),
        "A_real": ("A_real", None),
        "B": ("B", lambda v: v[0]),
        "C": ("C", lambda v: v[0]),
        "D": ("D", flat),
    },
    y=turned,
)

# --- one spectrum for all channels ------------------------------------------------------------------------------------

DSS = {
    "kernel.log_dt": ("log_dt", None),
    "kernel.Lambda_log_neg_re": ("Lambda_log_neg_re", None),
    "kernel.Lambda_imag": ("Lambda_imag", None),
    "kernel.W": (("W_re", "W_im"), lambda re, im: pairs(re[0], im[0])),
    "D": ("D", flat),
    "output_linear.weight": ("out_weight", None),
    "output_linear.bias": ("out_bias", flat),
}
DSS_ROWS = DSS | {"kernel.W": (("W_re", "W_im"), pairs), "D": ("D", None)}  # a row for each of several outputs
DSS_2 = (SPECS / "dss.ssm").read_text().replace("param W[H", "param W[C, H").replace("D[H]", "D[C, H]")


def dss(text="dss", params=DSS):
    return Row(text, {"d_model": 4, "d_state": 8}, {"u": ("u", turned)}, params, y=turned)


def dss_with(**options):
    params = {k.removeprefix("kernel."): v for k, v in DSS_ROWS.items()}
    re, im = ("Lambda_re", "Lambda_im") if options.get("clip") else ("Lambda_log_neg_re", "Lambda_imag")
    del params["Lambda_log_neg_re"], params["Lambda_imag"]
    params |= {"Lambda_re": (re, None), "Lambda_im": (im, None)}
    args = {"d_model": 4, "d_state": 8, **options}
    return Row(variant("dss_options"), args, {"u": ("u", turned)}, params, options, y=turned)


GSS_KEYS = {
    "dss.Lambda_real": ("dss_Lambda_real", None),
    "dss.Lambda_imag": ("dss_Lambda_imag", None),
    "dss.C": (("dss_C_real", "dss_C_imag"), pairs),
    "dss.param_D": ("dss_param_D", None),
    "dss.norm.weight": ("dss_norm_weight", None),
    "dss.norm.bias": ("dss_norm_bias", None),
}
GSS_ALONE = {
    k: (tuple(p.removeprefix("dss_") for p in e[0]) if isinstance(e[0], tuple) else e[0].removeprefix("dss_"), e[1])
    for k, e in GSS_KEYS.items()
}
GSS_LAYER = GSS_KEYS | {
    "norm.weight": ("norm_weight", None),
    "norm.bias": ("norm_bias", None),
    "to_u.weight": ("to_u_0_weight", None),
    "to_v.weight": ("to_v_0_weight", None),
    "to_gate.weight": ("to_gate_weight", None),
    "to_out.weight": ("to_out_weight", None),
    "to_out.bias": ("to_out_bias", None),
}


def gss(imag_exp=True):
    args = {"d_model": 4, "d_ssm": 3, "d_state": 8, "imag_exp": imag_exp}
    return Row("gss", args, {"u": ("u", None)}, GSS_LAYER, {"imag_exp": imag_exp})


GSS_DSS = Row(
    inside(
        "gss",
        ("  linear to_u(x -> u_raw[F])\n  linear to_v(x -> v_raw[G])\n", ""),
        ('  param norm_weight[E] = 1 as "norm.weight"\n  param norm_bias[E] = 0 as "norm.bias"\n', ""),
        ("  x = layernorm[E](u, eps = norm_eps) * norm_weight + norm_bias\n", ""),
        ("layernorm[G](gelu(v_raw), eps", "layernorm[G](u, eps"),
        ("input u[E]", "input u[G]"),
        ("E = d_model, F = expand * d_model, G = d_ssm", "G = d_ssm"),
        ("d_model, d_ssm = ceil(d_model / 4), d_state = 512, expand = 4", "d_ssm, d_state = 512"),
    ),
    {"d_ssm": 4, "d_state": 8},
    {"u": ("u", None)},
    GSS_ALONE,
)

# --- many inputs, many outputs ------------------------------------------------------------------------------------------

S5 = {
    "seq.Lambda_re": ("Lambda_re", None),
    "seq.Lambda_im": ("Lambda_im", None),
    "seq.B": (("B_re", "B_im"), pairs),
    "seq.C": (("C_re", "C_im"), pairs),
    "seq.log_step": ("log_step", flat),
    "seq.D": ("D", None),
}
NORM = {"norm.scale": ("norm_scale", None), "norm.bias": ("norm_bias", None)}
BARE = (
    ('  param norm_scale[H] = 1 as "norm.scale"\n  param norm_bias[H] = 0 as "norm.bias"\n', ""),
    ("  def norm(w) = layernorm[H](w, eps = 1e-6) * norm_scale + norm_bias\n", ""),
    ("v = norm(u) if prenorm else u", "v = u"),
)


def s5(width, order, blocks=1, rescale=1.0, both=False, **settings):
    """`S5SSM`; `order` counts both of each pair of modes."""
    params = dict(S5)
    if both:
        half = order // 2
        params["seq.C"] = (("C_re", "C_im"), lambda re, im: pairs(re[:, :half], im[:, :half]))
        params["seq.C2"] = (("C_re", "C_im"), lambda re, im: pairs(re[:, half:], im[:, half:]))
    fixed = {**settings, "bidirectional": both}
    args = {"d_model": width, "d_state": order, "blocks": blocks, "step_rescale": rescale, **fixed}
    return Row(inside("s5", *BARE), args, {"u": ("u", None)}, params, fixed)


def s5_layer(activation, prenorm, **more):
    args = {"d_model": 4, "d_state": 8, "activation": activation, "prenorm": prenorm}
    return Row("s5", args, {"u": ("u", None)}, S5 | NORM | more)


S5_GLU = {"out2.weight": ("out2_weight", torch.t), "out2.bias": ("out2_bias", None)}

LRU = {
    "seq.nu_log": ("nu_log", None),
    "seq.theta_log": ("theta_log", None),
    "seq.gamma_log": ("gamma_log", None),
    "seq.B": (("B_re", "B_im"), pairs),
    "seq.C": (("C_re", "C_im"), pairs),
    "seq.D": ("D", None),
}
LRU_LAYER = LRU | {
    "normalization.scale": ("normalization_scale", None),
    "normalization.bias": ("normalization_bias", None),
    "out1.weight": ("out1_weight", torch.t),
    "out1.bias": ("out1_bias", None),
    "out2.weight": ("out2_weight", torch.t),
    "out2.bias": ("out2_bias", None),
}


def lru(width, order):
    text = inside("lru", *((old.replace('"norm.', '"normalization.'), new) for old, new in BARE))
    args = {"d_model": width, "d_state": order}
    return Row(text, args, {"u": ("u", None)}, LRU, last={"x": state("state_final")})


LRU_WHOLE = Row("lru", {"d_model": 4, "d_state": 8, "prenorm": False}, {"u": ("u", None)}, LRU_LAYER)

# --- moving averages ------------------------------------------------------------------------------------------------------


def raised(name):
    """What the layer makes of an output before omega and silu."""

    def y(case):
        return F.silu(time_first(case.array(name)) + case.get(("omega", None)) * case.get(("u", time_first)))

    return y


def mega(width, dimensions, both=False):
    params = {k: (k, None) for k in ("delta", "alpha", "beta", "gamma", "omega")}
    args = {"d_model": width, "ndim": dimensions, "bidirectional": both}
    chunk = Run(raised("y_chunk_presilu"), {"h": ("state0", None)}, {"h": ("state_final", None)})
    steps = Run(raised("y_step_presilu"), {}, {"h": ("state_step", None)}, steps=True)
    fixed = {"bidirectional": both}
    runs = () if both else (chunk, steps)
    return Row("mega_ema", args, {"u": ("u", time_first)}, params, fixed, y=time_first, more=runs)


def port(width, dimensions, channels, both):
    def rows(v):
        return v.reshape(v.shape[0], -1).expand(-1, dimensions).reshape(2 if both else 1, channels, width, dimensions)

    params = {k: (k, rows) for k in ("delta", "alpha", "beta", "gamma")} | {"D": ("D", None)}
    fixed = {"bidirectional": both}
    args = {"d_model": width, "ndim": dimensions, "channels": channels, **fixed}
    return Row(variant("ema_port"), args, {"u": ("u", turned)}, params, fixed, y=turned)


def window(width, dimensions):
    def rows(v):
        return v.reshape(2, width, dimensions)

    params = {k: (k, rows) for k in ("delta", "alpha", "beta", "gamma")} | {"omega": ("omega", None)}
    fixed = {"bidirectional": True}
    args = {"d_model": width, "ndim": dimensions, **fixed}
    return Row(variant("ema_window"), args, {"u": ("u", time_first)}, params, fixed, y=time_first)


# --- dense systems, in the basis of their eigenvectors ----------------------------------------------------------------


def eigen(a):
    """Eigenvalues and eigenvectors; of a triangular matrix both are exact up to the last bits."""
    w, v = np.linalg.eig(a.numpy())
    return torch.tensor(w, dtype=torch.complex128), torch.tensor(v, dtype=torch.complex128)


def modes_of(part):
    """Log of the decay, or frequency, of the modes of A; the same for every channel."""

    def make(a, dt):
        w = eigen(a)[0]
        return (torch.log(-w.real) if part == "decay" else w.imag).expand(len(dt), -1)

    return make


def modes_in(a, b, dt):
    return torch.linalg.solve(eigen(a)[1], b.to(torch.complex128)).expand(len(dt), -1)


def modes_out(c, a):
    """All modes are in the state, and the layer reads 2 * re of it."""
    return c.to(torch.complex128) @ eigen(a)[1] / 2


def lssl_kernel(rule, alpha=None):
    """The shipped layer under a rule; its op ends with the gelu."""
    params = {
        "log_dt": ("dt", torch.log),
        "log_decay": (("A", "dt"), modes_of("decay")),
        "frequency": (("A", "dt"), modes_of("turns")),
        "B": (("A", "B", "dt"), modes_in),
        "C": (("C", "A"), modes_out),
        "D": ("dt", torch.zeros_like),
    }
    numbers = {} if alpha is None else {"alpha": alpha}
    fixed = {"rule": rule}
    return Row("lti", numbers, {"u": ("u", turned)}, params, fixed, y=lambda v: F.gelu(turned(v)), op="lti_op")


LSSL_LAYER = Row(
    """
layer DenseModes(d_model, d_state)
  axis H = d_model, N = d_state
  input u[H]
  param log_dt[H]
  param A[N] complex
  param B[N] complex
  param C[H, N] complex
  param D[H]
  param E[H]
  state x[H, N] allow unstable: x' = A * x + B * u by bilinear, step exp(log_dt)
  linear out(gelu(re(sum[N](C * x)) + D * u + E) -> y[H], bias)
  return y
""",
    {"d_model": 3, "d_state": 8},
    {"u": ("u", None)},
    {
        "log_dt": ("log_dt", None),
        "A": ("A", lambda a: torch.view_as_real(eigen(a)[0])),
        "B": (("A", "B"), lambda a, b: torch.view_as_real(torch.linalg.solve(eigen(a)[1], b.to(torch.complex128)))),
        "C": (("C", "A"), lambda c, a: torch.view_as_real(c[:, 0].to(torch.complex128) @ eigen(a)[1])),
        "D": ("D", flat),
        "E": ("E", flat),
        "out.weight": ("out_weight", None),
        "out.bias": ("out_bias", None),
    },
)

LTI = {
    "lti/s4d_minimal_2_L17": s4d(8, 8),
    "lti/s4d_minimal_3_L64": s4d(4, 16),
    "lti/s4d_minimal_4_L100": s4d(5, 12),
    "lti/s4d_block_diag-lin_0_L17": S4D_BLOCK,
    "lti/s4d_diag-inv2_zoh_nssm2_10_L33": kernel(6, 8, 2),
    "lti/s4d_diag-inv_bilinear_rate05_bandlimit_17_L33": kernel(
        4, 8, 4, states=False, disc="bilinear", more={"rate": 0.5, "bandlimit": 1.0}
    ),
    "lti/s4d_diag-inv_zoh_2_L64": kernel(3, 16, 3),
    "lti/s4d_diag-legs_bilinear_5_L17": kernel(4, 16, 4, disc="bilinear"),
    "lti/s4d_diag-lin_zoh_bandlimit_13_L17": kernel(4, 16, 4, more={"bandlimit": 0.5}),
    "lti/s4d_diag-lin_zoh_bidir_8_L17": kernel(4, 8, 4, states=False, both=True),
    "lti/s4d_diag-lin_zoh_dtfree_11_L17": kernel(4, 12, 4, tied=False),
    "lti/s4d_diag-lin_zoh_rate2_16_L33": kernel(4, 8, 4, states=False, more={"rate": 2.0}),
    "lti/s4d_diag-lin_zoh_softplus_12_L64": kernel(4, 12, 4, decay="softplus", rise="softplus"),
    "lti/s4d_diag-rand_bilinear_relu_14_L17": kernel(4, 8, 4, disc="bilinear", decay="relu"),
    "lti/s4d_diag-real_zoh_real_18_L17": REAL,
    "lti/dss_exp_8_L2": dss(),
    "lti/dss_exp_f32_19_L64": dss(),
    "lti/dss_exp_ch2_7_L100": dss(DSS_2.replace("S = 2", "S = 2, C = 2"), DSS_ROWS),
    "lti/dss_exp_bidir_14_L17": dss_with(bidirectional=True),
    "lti/dss_exp_hyper_17_L17": dss_with(hyper=True),
    "lti/dss_clip_12_L17": dss_with(clip=True),
    "lti/gss_dss_2_L1": GSS_DSS,
    "lti/gss_layer_3_L17": gss(),
    "lti/gss_layer_5_L100": gss(imag_exp=False),
    "lti/gss_layer_7_L2": gss(),
    "lti/s5_zoh_1_L64": s5(3, 16, 2),
    "lti/s5_zoh_3_L1": s5(4, 8),
    "lti/s5_zoh_clip_9_L33": s5(4, 8, clip_eigs=True),
    "lti/s5_zoh_lecun_11_L17": s5(6, 16, 4),
    "lti/s5_zoh_rescale_10_L17": s5(4, 8, rescale=2.0),
    "lti/s5_bilinear_2_L100": s5(5, 8, disc="bilinear"),
    "lti/s5_bilinear_bidir_7_L64": s5(3, 8, disc="bilinear", both=True),
    "lti/s5_layer_gelu_zoh_15_L17": s5_layer("gelu", False),
    "lti/s5_layer_half_glu1_zoh_13_L17": s5_layer("half_glu1", True, **S5_GLU),
    "lti/lru_0_L1": lru(4, 8),
    "lti/lru_3_L64": lru(5, 8),
    "lti/lru_5_L17": lru(8, 16),
    "lti/lru_8_L33": lru(3, 8),
    "lti/lru_layer_7_L64": LRU_WHOLE,
    "lti/mega_ema_uni_4_L2": mega(4, 2),
    "lti/mega_ema_uni_f32_10_L64": mega(4, 4),
    "lti/mega_ema_bi_5_L17": mega(4, 4, both=True),
    "lti/mega_ema_bi_6_L64": mega(3, 8, both=True),
    "lti/mega_ema_bi_trunc_9_L33": window(4, 8),
    "lti/mega_ema_s4port_1_L64": port(3, 8, 2, both=False),
    "lti/mega_ema_s4port_2_L33": port(4, 4, 1, both=True),
    "lti/lssl_kernel_fourier_zoh_3_L17": lssl_kernel("zoh"),
    "lti/lssl_kernel_fourier_gbt0.5_8_L17": lssl_kernel("bilinear"),
    "lti/lssl_kernel_legs_gbt1.0_5_L64": lssl_kernel("backward_euler"),
    "lti/lssl_kernel_legt_gbt1.0_7_L17": lssl_kernel("gbt", 1.0),
    "lti/lssl_kernel_legt_gbt0.0_9_L2": lssl_kernel("euler"),
    "lti/lssl_layer_random_fixed_6_L33": LSSL_LAYER,
}
