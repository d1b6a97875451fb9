"""The rows of RWKV and of mLSTM: weighted sums over the past, which a normaliser or a bonus stands beside. See
`oracle_table.py`; where a file holds an operator alone, the lines of the shipped spec are cut out and asked.
"""

from tests.specs.oracle_table import Row, weights
from tests.specs.oracle_table_lti import SPECS
from tests.specs.oracle_table_matrix import same, time_first


def cut(spec, first, last):
    """The lines of a shipped spec from the one that begins with `first` to the one that begins with `last`."""
    lines = (SPECS / f"{spec}.ssm").read_text().splitlines()
    start = next(i for i, line in enumerate(lines) if line.strip().startswith(first))
    end = next(i for i, line in enumerate(lines) if line.strip().startswith(last))
    return "\n".join(lines[start : end + 1])


# --- RWKV -------------------------------------------------------------------------------------------------------------

WKV4 = f"""
layer WKV(channels)
  axis A = channels
  input k[A]
  input v[A]
  param time_decay[A] = -5
  param time_first[A] = 0
{cut("rwkv4", "w =", "y =")}
  return y
"""


def wkv4(channels, start):
    names = {"p": "num", "q": "den", "log_scale": "max"}
    return Row(
        WKV4,
        {"channels": channels},
        {"k": ("key", None), "v": ("value", None)},
        same("time_decay", "time_first"),
        state={k: (f"{v}0", None) for k, v in names.items()} if start else {},
        last={k: (f"{v}T", None) for k, v in names.items()},
    )


HF_RWKV4 = Row(
    "rwkv4",
    {"d_model": 16},
    {"u": ("x", None)},
    weights(
        "time_decay",
        "time_first",
        "time_mix_key",
        "time_mix_value",
        "time_mix_receptance",
        "key.weight",
        "value.weight",
        "receptance.weight",
        "output.weight",
    ),
)
RWKV4 = Row(
    "rwkv4",
    {"d_model": 16},
    {"u": ("x", None)},
    {"time_decay": ("time_decay_raw", None), "time_first": ("time_first", None)}
    | {f"time_mix_{n}": (f"time_mix_{n[0]}", lambda v: v[None, None]) for n in ("key", "value", "receptance")}
    | {f"{n}.weight": (n, None) for n in ("key", "value", "receptance", "output")},
)
CHANNEL_KEYS = ("time_mix_key", "time_mix_receptance", "key.weight", "value.weight", "receptance.weight")
CHANNEL = Row("rwkv4_channel", {"d_model": 8, "intermediate_size": 20}, {"u": ("x", None)}, weights(*CHANNEL_KEYS))


def wkv(spec, decay):
    """The recurrence of a shipped spec, with the logarithm of the decay as the operators have it."""
    core = cut(spec, "state S", "y =")
    assert core.count("-exp(") == 1
    return f"""
layer WKV(heads, keys, values)
  axis H = heads, K = keys, V = values
  input r[H, K]
  input k[H, K]
  input v[H, V]
  {decay}
  param time_faaaa[H, K] = 0
{core.replace("-exp(time_decay)", "logw").replace("-exp(d)", "logw")}
  return y
"""


WKV5, WKV6 = wkv("rwkv5", "param logw[H, K] = -1"), wkv("rwkv6", "input logw[H, K]")


def wkv_row(text, values=8, start=True):
    entries = {"inputs": {n: (n, time_first) for n in ("r", "k", "v")}, "params": {"time_faaaa": ("u", None)}}
    if text == WKV5:
        entries["params"] |= same("logw")
    else:
        entries["inputs"] |= {"logw": ("logw", time_first)}
    return Row(
        text,
        {"heads": 2, "keys": 8, "values": values},
        **entries,
        state={"S": ("h0", None)} if start else {},
        last={"S": ("hT", None)},
        y=time_first,
    )


def keyed(vectors, mixes, more):
    linears = ("receptance", "key", "value", "gate", "output")
    keys = [f"{n}.weight" for n in (*linears, "ln_x")] + ["ln_x.bias", "time_decay", "time_faaaa", *more]
    return weights(*keys, *(f"{vectors}_{n}" for n in mixes))


RWKV5 = Row(
    "rwkv5",
    {"d_model": 16, "head_size": 8, "layer_idx": 1, "num_layers": 2},
    {"u": ("x", None)},
    keyed("time_mix", "kvrg", ()),
)
RWKV6 = Row(
    "rwkv6",
    {"d_model": 8, "head_size": 8, "layer_idx": 1, "num_layers": 2},
    {"u": ("x", None)},
    keyed("time_maa", ("x", "w", "k", "v", "r", "g", "w1", "w2"), ("time_decay_w1", "time_decay_w2")),
)

# --- mLSTM ------------------------------------------------------------------------------------------------------------

GATES = """
layer Memory(heads, keys, eps = 1e-6)
  axis H = heads, K = keys, V = keys
  input q[H, K]
  input k[H, K]
  input v[H, V]
  input i[H]
  input f[H]
"""
MEMORY = f"""{GATES}
{cut("mlstm", "log_f", "h =")}
  return h
"""
MEMORY_SIGMOID = f"""{GATES}
  state S[H, K, V]: S = sigmoid(f) * prev(S) + sigmoid(i) * k * v
  state n[H, K]: n = sigmoid(f) * prev(n) + sigmoid(i) * k
  weight = sum[K](q * K ** -0.5 * n)
  return sum[K](q * K ** -0.5 * S) / (max(abs(weight), 1) + eps)
"""


def memory(text, heads=2, start=False, cancels=()):
    names = {"S": ("c", None), "n": ("n", None), "m": ("m", lambda v: v[..., 0])} if text == MEMORY else {}
    return Row(
        text,
        {"heads": heads, "keys": 8},
        {n: (n, time_first) for n in ("q", "k", "v", "i", "f")},
        state={k: (f"{n}0", turn) for k, (n, turn) in names.items()} if start else {},
        last={k: (f"{n}T", turn) for k, (n, turn) in names.items()},
        y=time_first,
        cancels=cancels,
    )


XLSTM = Row(
    "mlstm",
    {"d_model": 16, "num_heads": 2},
    {"u": ("x", None)},
    weights(
        *(f"{n}.weight" for n in ("q", "k", "v", "multihead_norm", "out_proj")),
        *(f"{n}gate_preact.weight" for n in "oif"),
        "igate_preact.bias",
        "fgate_preact.bias",
    ),
)


SUMS = {
    "selective/rwkv4_T2": wkv4(16, False),
    "selective/rwkv4_T64": wkv4(8, False),
    "selective/rwkv4_state_T17": wkv4(16, True),
    "selective/rwkv4_timemix_T17": RWKV4,
    "selective/hf_rwkv4_attention_T17": HF_RWKV4,
    "selective/hf_rwkv4_attention_decode_T17": HF_RWKV4,
    "more/hf_rwkv4_feedforward_T17": CHANNEL,
    "selective/rwkv5_T2": wkv_row(WKV5),
    "selective/rwkv5_h0_T17": wkv_row(WKV5),
    "selective/rwkv5_timemix_T17": RWKV5,
    "selective/rwkv6_T1": wkv_row(WKV6),
    "selective/rwkv6_T64": wkv_row(WKV6, values=6, start=False),
    "selective/rwkv6_h0_T17": wkv_row(WKV6),
    "selective/rwkv6_timemix_T64": RWKV6,
    "selective/mlstm_T1": memory(MEMORY, cancels=("grad_f",)),  # from nothing, f changes the maximum alone
    "selective/mlstm_recurrent_T64": memory(MEMORY, heads=1),
    "selective/mlstm_recurrent_h0_T17": memory(MEMORY, start=True),
    "selective/mlstm_siging_T17": memory(MEMORY_SIGMOID),
    "selective/hf_xlstm_layer_T32": XLSTM,
}
