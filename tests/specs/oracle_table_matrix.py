"""The rows of the systems whose state is a matrix a head: see `oracle_table.py`.

An official operator begins where a layer's projections end, so those files are asked of a few lines that hold the spec's
recurrence; the whole layers are asked of the shipped specs.
"""

from tests.specs.oracle_table import Row, weights


def same(*names):
    """Entries that have the same name in the file, untransposed."""
    return {n: (n, None) for n in names}


# --- SSD, Mamba-2 -----------------------------------------------------------------------------------------------------

SSD_MINIMAL = """
layer SSD(heads, channels, d_state)
  axis H = heads, P = channels, N = d_state
  input X[H, P]
  input A[H]
  input B[H, N]
  input C[H, N]
  state S[H, P, N]: S = exp(A) * prev(S) + B * X
  return sum[N](C * S)
"""

SSD = """
layer SSD(groups, heads, channels, d_state, wide = false, gated = false, least = 0.0, most = inf)
  axis G = groups, J = heads / groups, H = G * J, P = channels, N = d_state
  input x[H, P]
  input dt[H]
  input B[G, N]
  input C[G, N]
  param A[H] = -1
  param dt_bias[H] = 0
  step_size = clip(softplus(dt + dt_bias), least, most)
  state S[H, P, N]: S' = A * S + B * x by zoh(A), euler(B), step step_size
  if wide:
    param D[H, P] = 1
    y = sum[N](C * S) + D * x
  else:
    param D[H] = 1
    y = sum[N](C * S) + D * x
  if gated:
    input z[H, P]
    out = y * silu(z)
  else:
    out = y
  return out
"""


def ssd_minimal(start):
    args = {"heads": 2, "channels": 8, "d_state": 8}
    state = {"S": ("h0", None)} if start else {}
    return Row(SSD_MINIMAL, args, same("X", "A", "B", "C"), state=state, last={"S": ("hT", None)})


def ssd(groups, heads, gated, wide=False, **limits):
    settings = {"wide": wide, "gated": gated}
    inputs = same("x", "dt", "B", "C", *["z"] * gated)
    sizes = {"groups": groups, "heads": heads, "channels": 8, "d_state": 4}
    return Row(SSD, sizes | settings | limits, inputs, same("A", "dt_bias", "D"), settings)


MAMBA2_KEYS = (
    "dt_bias",
    "A_log",
    "D",
    "conv1d.weight",
    "conv1d.bias",
    "in_proj.weight",
    "norm.weight",
    "out_proj.weight",
)


def mamba2(ngroups, d_state=8, **more):
    args = {"d_model": 16, "d_state": d_state, "headdim": 8, "ngroups": ngroups, **more}
    return Row("mamba2", args, {"u": ("x", None)}, weights(*MAMBA2_KEYS))


# --- keys and values --------------------------------------------------------------------------------------------------

GATED = """
layer Gated(heads, keys, values, decay = vector | scalar | fixed | none, bound = false)
  axis H = heads, K = keys, V = values
  input q[H, K]
  input v[H, V]
  if decay == vector:
    input g[H, K]
    a = exp(g)
  elif decay == scalar:
    input g[H]
    a = exp(g)
  elif decay == fixed:
    a = 1 - 2 ** (-5 - index(H))
  else:
    a = 1
  if bound:
    k = -expm1(g)
  else:
    input k[H, K]
  state S[H, K, V]: S = a * prev(S) + k * v
  return sum[K](q * K ** -0.5 * S)
"""


def time_first(v):
    """[batch, heads, time, ...] -> [batch, time, heads, ...]."""
    return v.movedim(2, 1)


def gated(decay, values=8, keys=8, start=False, final=True, bound=False, turn=None, heads=2):
    settings = {"decay": decay, "bound": bound}
    names = ["q", "v", *["g"] * (decay in ("vector", "scalar")), *["k"] * (not bound)]
    return Row(
        GATED,
        {"heads": heads, "keys": keys, "values": values, **settings},
        {n: (n, turn) for n in names},
        settings=settings,
        state={"S": ("h0", None)} if start else {},
        last={"S": ("hT", None)} if final else {},
        y=turn or (lambda v: v),
    )


def retention(values=8, heads=2):
    return gated("fixed", values, final=False, turn=time_first, heads=heads)


NORMALISED = """
layer Normalised(heads, keys)
  axis H = heads, K = keys, V = keys
  input q[H, K]
  input k[H, K]
  input v[H, V]
  state S[H, K, V] allow unstable: S = prev(S) + k * v
  state z[H, K] allow unstable: z = prev(z) + k
  return sum[K](q * K ** -0.5 * S) / (sum[K](q * K ** -0.5 * z) + 1e-10)
"""


def normalised(start):
    last = {"S": ("hT", None), "z": ("zT", lambda v: v[:, 0])}
    state = {"S": ("h0", None), "z": ("z0", lambda v: v[:, 0])} if start else {}
    cancels = () if start else ("grad_q", "grad_k", "gradS_q")  # one key: its weight is 1 whatever q and k are
    return Row(NORMALISED, {"heads": 2, "keys": 8}, same("q", "k", "v"), state=state, last=last, cancels=cancels)


LIGHTNING_KEYS = ("slope_rate", "norm.weight", "qkv_proj.weight", "out_proj.weight", "output_gate.weight")
LIGHTNING = Row(
    "lightning",
    {"d_model": 16, "num_heads": 2, "layer_idx": 0, "num_layers": 4},
    {"u": ("x", None)},
    weights(*LIGHTNING_KEYS),
)


MATRIX = {
    "selective/ssd_minimal_T1": ssd_minimal(True),
    "selective/ssd_minimal_T17": ssd_minimal(False),
    "selective/ssd_minimal_h0_T64": ssd_minimal(True),
    "selective/ssd_combined_groups_T17": ssd(2, 4, False, wide=True),
    "selective/ssd_combined_zDbias_T64": ssd(1, 2, True),
    "selective/ssd_dtlimit_T17": ssd(1, 2, True, least=0.1, most=0.5),
    "selective/hf_mamba2_mixer_T17": mamba2(1),
    "selective/hf_mamba2_mixer_T64": mamba2(1, d_conv=3),
    "selective/hf_mamba2_mixer_groups_T2": mamba2(4),
    "selective/hf_bamba_mixer_T17": mamba2(2),
    "selective/hf_nemotronh_mixer_T17": mamba2(2, d_state=4),
    "selective/gla_T1": gated("vector", 16, start=True),
    "selective/gla_T64": gated("vector", 6),
    "selective/gla_h0_T17": gated("vector", start=True),
    "selective/simple_gla_T2": gated("scalar", 16, start=True),
    "selective/simple_gla_T64": gated("scalar"),
    "selective/simple_gla_h0_T17": gated("scalar", start=True),
    "selective/retnet_T1": retention(),
    "selective/retnet_T64": retention(),
    "selective/retnet_V16_T17": retention(16, heads=3),
    "selective/linattn_T64": gated("none"),
    "selective/linattn_h0_T17": gated("none", start=True),
    "selective/linattn_norm_T1": normalised(False),
    "selective/linattn_norm_h0_T17": normalised(True),
    "selective/hf_minimax_lightning_T17": LIGHTNING,
    "selective/hgrn2_T2": gated("vector", keys=16, start=True, bound=True),
    "selective/hgrn2_h0_T17": gated("vector", start=True, bound=True),
}
