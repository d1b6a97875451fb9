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
}
