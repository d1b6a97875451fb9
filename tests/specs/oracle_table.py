"""How the arrays of each official file reach a layer: which key, which transposition; and the test specs for what is no
whole layer. One row a file; `oracle_table_lti.py` has those of the time-invariant systems.
"""

from collections.abc import Callable
from dataclasses import dataclass, field

import torch
import torch.nn.functional as F


def turned(v):
    """[batch, channels, time] -> [batch, time, channels]."""
    return v.transpose(1, 2)


def reset(position):
    """Documents begin at position 0."""
    return (position == 0).double()


SELECTIVE_SCAN = """
layer SelectiveScan(channels, d_state, soft = false, skip = false, gated = false)
  input u[channels]
  input delta[channels]
  input B[d_state]
  input C[d_state]
  param A[channels, d_state] = -1
  if soft:
    param delta_bias[channels]
    dt = softplus(delta + delta_bias)
  else:
    dt = delta
  state h[channels, d_state]: h' = A * h + B * u by zoh(A), euler(B), step dt
  read = sum[d_state](C * h)
  if skip:
    param D[channels] = 1
    y = read + D * u
  else:
    y = read
  if gated:
    input z[channels]
    out = y * silu(z)
  else:
    out = y
  return out
"""

GROUPED_SCAN = """
layer GroupedScan(channels, d_state, groups)
  axis G = groups, J = channels / groups, E = G * J, N = d_state
  input u[E]
  input delta[E]
  input B[G, N]
  param A[E, N] = -1
  param C[E, N] = 1
  param D[E] = 1
  state h[E, N]: h' = A * h + B * u by zoh(A), euler(B), step delta
  return sum[N](C * h) + D * u
"""

HGRN = """
layer GatedScan(width)
  input x[width]
  input g[width]
  state h[width]: h = exp(g) * prev(h) + x
  return h
"""

RGLRU = """
layer GatedUnit(width, heads)
  axis G = heads, J = width / heads, I = J, E = G * J
  input x[E]
  input begins
  param a_param[E]
  param input_gate_w[G, I, J]
  param input_gate_b[G, J]
  param a_gate_w[G, I, J]
  param a_gate_b[G, J]
  gate = sigmoid(sum[I](x[J as I] * input_gate_w) + input_gate_b)
  log_a = -8 * softplus(a_param) * sigmoid(sum[I](x[J as I] * a_gate_w) + a_gate_b)
  scale = where(begins > 0, 1, sqrt(-expm1(2 * log_a), clip = 1e-6))
  state h[E]: h = where(begins > 0, 0, exp(log_a)) * prev(h) + scale * gate * x
  return h
"""


@dataclass(frozen=True)
class Row:
    """How one file reaches the layer: names of the layer to (key, transposition) of the file. `cancels` are the arrays
    whose gradient is 0 but for an eps: what rounding leaves of it is compared with the size of the other gradients."""

    spec: str
    args: dict
    inputs: dict = field(default_factory=dict)
    params: dict = field(default_factory=dict)
    settings: dict = field(default_factory=dict)
    state: dict = field(default_factory=dict)
    last: dict = field(default_factory=dict)
    y: Callable = lambda v: v
    op: str = ""
    cancels: tuple = ()
    more: tuple = ()


@dataclass(frozen=True)
class Run:
    """Another run of the same layer: its start (none: zeros), outputs and last states; token by token if `steps`."""

    y: Callable
    start: dict = field(default_factory=dict)
    last: dict = field(default_factory=dict)
    steps: bool = False


def selscan(n, soft=False, skip=False, gated=False):
    settings = {"soft": soft, "skip": skip, "gated": gated}
    inputs = {"u": ("u", turned), "delta": ("delta", turned), "B": ("B", turned), "C": ("C", turned)}
    params = {"A": ("A", None)}
    if gated:
        inputs["z"] = ("z", turned)
    if soft:
        params["delta_bias"] = ("delta_bias", None)
    if skip:
        params["D"] = ("D", None)
    return Row(
        SELECTIVE_SCAN,
        {"channels": 8, "d_state": n, **settings},
        inputs,
        params,
        settings,
        last={"h": ("hT", None)},
        y=turned,
    )


def weights(*keys, **renamed):
    return {k: (f"param:{k}", None) for k in keys} | renamed


MAMBA_KEYS = (
    "A_log",
    "D",
    "in_proj.weight",
    "conv1d.weight",
    "conv1d.bias",
    "x_proj.weight",
    "dt_proj.weight",
    "dt_proj.bias",
    "out_proj.weight",
)


def mamba(d_model, dt_rank, conv_bias=True):
    keys = [k for k in MAMBA_KEYS if conv_bias or k != "conv1d.bias"]
    args = {"d_model": d_model, "d_state": 4, "dt_rank": dt_rank, "conv_bias": conv_bias}
    return Row("mamba", args, {"u": ("x", None)}, weights(*keys))


def hgrn(width, start):
    state = {"h": ("h0", None)} if start else {}
    return Row(HGRN, {"width": width}, {"x": ("x", None), "g": ("g", None)}, state=state, last={"h": ("hT", None)})


def mingru(width, start):
    params = {"to_hidden_and_gate.weight": ("W", None)}
    state = {"h": ("h0", lambda v: v[:, 0])} if start else {}
    return Row(
        "mingru", {"d_model": width}, {"u": ("x", None)}, params, state=state, last={"h": ("hT", lambda v: v[:, 0])}
    )


def rglru(width, heads, start):
    params = {k: (k, None) for k in ("a_param", "input_gate_w", "input_gate_b", "a_gate_w", "a_gate_b")}
    inputs = {"x": ("x", None), "begins": ("segment_pos", reset)}
    state = {"h": ("h0", None)} if start else {}
    return Row(RGLRU, {"width": width, "heads": heads}, inputs, params, state=state, last={"h": ("hT", None)})


LINEARS = (
    "linear_y.weight",
    "linear_y.bias",
    "linear_x.weight",
    "linear_x.bias",
    "linear_out.weight",
    "linear_out.bias",
)
GATES = ("rg_lru.a_param", "rg_lru.input_gate.w", "rg_lru.input_gate.b", "rg_lru.a_gate.w", "rg_lru.a_gate.b")


def griffin(width, segments):
    inputs = {"u": ("x", None)} | ({"reset": ("segment_pos", reset)} if segments else {})
    return Row(
        "rglru",
        {"d_model": width, "lru_width": 16, "num_heads": 2},
        inputs,
        weights(*LINEARS, *GATES, "conv_1d.w", "conv_1d.b"),
    )


HF_GATES = {
    "conv_1d.w": ("param:conv_1d.weight", lambda v: v[:, 0].T),
    "conv_1d.b": ("param:conv_1d.bias", None),
    "rg_lru.a_param": ("param:rg_lru.recurrent_param", None),
    "rg_lru.input_gate.w": ("param:rg_lru.input_gate_weight", None),
    "rg_lru.input_gate.b": ("param:rg_lru.input_gate_bias", None),
    "rg_lru.a_gate.w": ("param:rg_lru.recurrent_gate_weight", None),
    "rg_lru.a_gate.b": ("param:rg_lru.recurrent_gate_bias", None),
}
HF_GRIFFIN = Row(
    "rglru", {"d_model": 16, "lru_width": 16, "num_heads": 2}, {"u": ("x", None)}, weights(*LINEARS, **HF_GATES)
)

LIQUID = Row(
    "liquid_s4",
    {},
    {"u": ("u", turned)},
    {
        "log_dt": ("dt", torch.log),
        "log_A_real": ("lambda_re", lambda v: torch.log(-v)),
        "A_imag": ("lambda_im", None),
        "B": (("B_re", "B_im"), torch.complex),
        "C": (("C_re", "C_im"), torch.complex),
        "D": ("D", None),
    },
    last={"x": (("state_final_re", "state_final_im"), torch.complex)},
    y=lambda v: F.gelu(turned(v)),  # the op ends with the layer's gelu
    op="liquid_s4_op",
)

SELECTIVE = {
    "selective/selscan_basic_T17": selscan(4),
    "selective/selscan_N1_T64": selscan(1, soft=True, skip=True),
    "selective/selscan_T1": selscan(4, soft=True, skip=True, gated=True),
    "selective/selscan_zDbias_T64": selscan(4, soft=True, skip=True, gated=True),
    "selective/selscan_varB_constC_T17": Row(
        GROUPED_SCAN,
        {"channels": 8, "d_state": 4, "groups": 2},
        {"u": ("u", turned), "delta": ("delta", turned), "B": ("B", lambda v: v.movedim(-1, 1))},
        {"A": ("A", None), "C": ("C", None), "D": ("D", None)},
        last={"h": ("hT", None)},
        y=turned,
    ),
    "selective/mamba_block_T17": mamba(16, 1),
    "selective/hf_mamba_mixer_T2": mamba(16, 1),
    "selective/hf_mamba_mixer_T17": mamba(16, 3),
    "selective/hf_mamba_mixer_noconvbias_T100": mamba(8, 3, conv_bias=False),
    "selective/hgrn_T1": hgrn(32, True),
    "selective/hgrn_T64": hgrn(16, False),
    "selective/hgrn_h0_T17": hgrn(16, True),
    "selective/mingru_T64": mingru(8, False),
    "selective/mingru_h0_T1": mingru(16, True),
    "selective/mingru_h0_T17": mingru(16, True),
    "selective/rglru_T64": rglru(8, 2, False),
    "selective/rglru_h0_T1": rglru(16, 4, True),
    "selective/rglru_h0_reset_T17": rglru(16, 2, True),
    "selective/griffin_block_T64": griffin(8, False),
    "selective/griffin_block_reset_T17": griffin(16, True),
    "selective/hf_recurrentgemma_block_T17": HF_GRIFFIN,
    "selective/hf_recurrentgemma_block_T100": HF_GRIFFIN,
    "lti/liquid_ideal_0_L17": LIQUID,
    "lti/liquid_ideal_2_L100": LIQUID,
    "lti/liquid_ideal_5_L33": LIQUID,
}
