"""The generated code against the official implementations: `tests/oracles/README.md` says what each file is.

One row of `TABLE` a file tells how its arrays reach the layer: which key, which transposition. Gradients are taken with
respect to the arrays as they are stored, through the transposition, so a row says nothing about them.
"""

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from tests.tolerances import FP64_EAGER

ORACLES = Path(__file__).parents[1] / "oracles"


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
    """How one file reaches the layer: names of the layer to (key, transposition) of the file."""

    spec: str
    args: dict
    inputs: dict = field(default_factory=dict)
    params: dict = field(default_factory=dict)
    settings: dict = field(default_factory=dict)
    state: dict = field(default_factory=dict)
    last: dict = field(default_factory=dict)
    y: Callable = lambda v: v
    op: str = ""


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

TABLE = {
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


def error(a, b):
    """The largest difference, relative to the largest entry."""
    assert a.shape == b.shape, (a.shape, b.shape)
    a, b = a.detach(), b.detach()
    return float((a - b).abs().max() / b.abs().max().clamp_min(1e-30)) if b.numel() else 0.0


class Case:
    """The arrays of one file as leaves, and the layer called with them."""

    def __init__(self, name, load):
        self.row = row = TABLE[name]
        self.z = dict(np.load(ORACLES / f"{name}.npz"))
        meta = json.loads(str(self.z.pop("meta")))
        self.tolerance = float(meta["tolerance"]) if "tolerance" in meta else FP64_EAGER
        self.module = load(row.spec, **row.settings)
        self.leaves = {}
        if not row.op:
            cls = getattr(self.module, self.module.__all__[0])
            self.layer = cls(**row.args, dtype=torch.float64)
            assert {k for k, _ in self.layer.named_parameters()} == set(row.params)

    def get(self, entry):
        """The tensor of an entry of the table, made from the leaves."""
        keys, turn = entry
        values = [self._leaf(k) for k in ((keys,) if isinstance(keys, str) else keys)]
        return values[0] if turn is None else turn(*values)

    def _leaf(self, key):
        if key not in self.leaves:
            v = torch.tensor(self.z[key])
            self.leaves[key] = v.requires_grad_(v.is_floating_point() and f"grad_{key}" in self.z)
        return self.leaves[key]

    def call(self):
        """(y, last state by name, the state as it came)."""
        row = self.row
        inputs = {k: self.get(e) for k, e in row.inputs.items()}
        params = {k: self.get(e) for k, e in row.params.items()}
        if row.op:
            y, last = getattr(self.module, row.op)(**inputs, **params, return_state=True)
            return y, {next(iter(row.last)): last}, last
        state = None
        if row.state:
            first = next(iter(inputs.values()))
            state = self.layer.init_state(first.shape[0], dtype=torch.float64)._replace(
                **{k: self.get(e) for k, e in row.state.items()}
            )
        first = next(iter(inputs))
        u = inputs.pop(first)
        y, state = torch.func.functional_call(self.layer, params, (u, state), {**inputs, "return_state": True})
        return y, state._asdict(), state

    def array(self, key):
        return torch.tensor(self.z[key])


def test_every_file_is_in_the_table():
    found = {str(p.relative_to(ORACLES).with_suffix("")) for p in ORACLES.glob("*/*.npz")}
    assert found == set(TABLE)
    readme = (ORACLES / "README.md").read_text()
    for name in TABLE:
        stem = name.split("/")[1]
        assert stem in readme or f"_{stem.split('_', 3)[-1]}" in readme, name


@pytest.mark.parametrize("name", TABLE)
def test_outputs_and_gradients(name, load):
    case = Case(name, load)
    row, z = case.row, case.z
    y, last, _ = case.call()
    assert error(y, row.y(case.array("y"))) < case.tolerance
    finals = dict(row.last.items())
    for k, entry in finals.items():
        assert error(last[k], case.get(entry)) < case.tolerance, k
    if "w" not in z:
        return
    loss = (y * row.y(case.array("w"))).sum()
    wanted = {k: v for k, v in case.leaves.items() if v.requires_grad}
    assert {f"grad_{k}" for k in wanted} == {k for k in z if k.startswith("grad_")}, (
        "a gradient of the file is not compared"
    )
    for prefix, value in (("grad_", loss), ("gradS_", loss)):
        if prefix == "gradS_":
            if not any(k.startswith(prefix) for k in z):
                continue
            for k, (key, turn) in finals.items():
                w = case.array(f"w_{key}")
                value = value + (last[k] * (w if turn is None else turn(w))).sum()
        grads = torch.autograd.grad(value, list(wanted.values()), retain_graph=True)
        for k, g in zip(wanted, grads, strict=True):
            assert error(g, case.array(prefix + k)) < case.tolerance, prefix + k


@pytest.mark.parametrize("name", [n for n in TABLE if "mamba_" in n or "griffin" in n or "recurrentgemma" in n])
def test_decode(name, load):
    case = Case(name, load)
    with torch.no_grad():
        _, _, state = case.call()
        params = {k: case.get(e) for k, e in case.row.params.items()}
        case.layer.load_state_dict(params)
        for i in range(case.z["x_decode"].shape[1]):
            y, state = case.layer.step(case.array("x_decode")[:, i], state)
            assert error(y, case.array("y_decode")[:, i]) < case.tolerance, i
