"""The generated code against the official implementations: `tests/oracles/README.md` says what each file is.

One row of `TABLE` a file tells how its arrays reach the layer: which key, which transposition. Gradients are taken with
respect to the arrays as they are stored, through the transposition, so a row says nothing about them.
"""

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from tests.specs.oracle_table import SELECTIVE
from tests.specs.oracle_table_lti import LTI
from tests.specs.oracle_table_matrix import MATRIX
from tests.specs.oracle_table_sums import SUMS
from tests.specs.test_hippo import FILES as HIPPO

ORACLES = Path(__file__).parents[1] / "oracles"
TABLE = SELECTIVE | MATRIX | SUMS | LTI
SINGLE = 1e-4  # files that were made in float32


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
        stated = SINGLE if meta.get("dtype") == "float32" else float(meta.get("tolerance", 1e-9))
        self.tolerance = stated
        self.gradients = max(stated, 1e-7) if name.startswith("lti/") else stated
        self.module = load(row.spec, **row.settings)
        self.leaves = {}
        if not row.op:
            cls = getattr(self.module, self.module.__all__[0])
            self.layer = cls(**row.args, dtype=torch.float64)
            assert {k for k, _ in self.layer.named_parameters()} <= set(row.params) <= set(self.layer.state_dict())

    def get(self, entry):
        """The tensor of an entry of the table, made from the leaves."""
        keys, turn = entry
        values = [self._leaf(k) for k in ((keys,) if isinstance(keys, str) else keys)]
        return values[0] if turn is None else turn(*values)

    def _leaf(self, key):
        if key not in self.leaves:
            v = self.array(key)
            self.leaves[key] = v.requires_grad_(v.is_floating_point() and f"grad_{key}" in self.z)
        return self.leaves[key]

    def array(self, key):
        v = torch.tensor(self.z[key])
        return v.double() if v.is_floating_point() else v

    def call(self, start=None, steps=False):
        """(y, last state by name, the state as it came), from the file's state or from another."""
        row = self.row
        inputs = {k: self.get(e) for k, e in row.inputs.items()}
        params = {k: self.get(e) for k, e in row.params.items()}
        if row.op:
            y, last = getattr(self.module, row.op)(**inputs, **params, **row.args, return_state=True)
            return y, {next(iter(row.last), ""): last}, last
        first = next(iter(inputs))
        u = inputs.pop(first)
        if not hasattr(self.layer, "step"):  # it looks at later tokens
            return torch.func.functional_call(self.layer, params, (u,), inputs), {}, None
        state, given = None, row.state if start is None else start
        if given or steps:
            state = self.layer.init_state(u.shape[0], dtype=torch.float64)
            state = state._replace(**{k: self.get(e) for k, e in given.items()})
        if steps:
            return self._stepped(u, state, params)
        y, state = torch.func.functional_call(self.layer, params, (u, state), {**inputs, "return_state": True})
        return y, state._asdict(), state

    def _stepped(self, u, state, params):
        self.layer.load_state_dict(params)
        outs = []
        for t in range(u.shape[1]):
            y, state = self.layer.step(u[:, t], state)
            outs.append(y)
        return torch.stack(outs, 1), state._asdict(), state


# --- what is used, and what is not ------------------------------------------------------------------------------------

UNUSED_SELECTIVE = {
    "based_": "a feature map of second order: no spec yet",
    "deltanet_": "a rank-one change of the state: no spec yet",
    "deltaproduct_": "several rank-one changes a token: no spec yet",
    "gdn_": "a rank-one change of the state: no spec yet",
    "gdn2_": "a rank-one change of the state: no spec yet",
    "kda_": "a rank-one change of the state: no spec yet",
    "rwkv7_": "a rank-one change of the state: no spec yet",
    "hf_olmohybrid_": "a rank-one change of the state: no spec yet",
    "hf_qwen3next_gdn_": "a rank-one change of the state: no spec yet",
    "hf_kimi_kda_": "a rank-one change of the state: no spec yet",
    "elman_": "a dense recurrence: no spec yet",
    "gru_": "a dense recurrence: no spec yet",
    "lstm_": "a dense recurrence: no spec yet",
    "slstm_": "a dense recurrence: no spec yet",
    "jamba_balance_loss_": "the loss of a router, not a layer of a sequence",
    "stateupdate_": "one step of the selective scan, which `selscan_` files and the decode runs compare",
    "hf_falconmamba_mixer_": "a selective scan with norms inside: no spec yet",
    "hf_jamba_mamba_mixer_": "a selective scan with norms inside: no spec yet",
    "hf_bamba_model_": "a whole model",
    "hf_falconh1_model_": "a whole model",
    "hf_falconmamba_model_": "a whole model",
    "hf_granitehybrid_model_": "a whole model",
    "hf_jamba_model_": "a whole model",
    "hf_kimi_model_": "a whole model",
    "hf_mamba_model_": "a whole model",
    "hf_mamba2_model_": "a whole model",
    "hf_nemotronh_model_": "a whole model",
    "hf_qwen3next_model_": "a whole model",
    "hf_recurrentgemma_model_": "a whole model",
    "hf_zamba_model_": "a whole model",
    "hf_zamba2_model_": "a whole model",
}
UNUSED = {
    "s4_": "a diagonal plus a matrix of low rank: a dense state, which has no spec yet",
    "h3_": "a shift system and a product of heads: no spec yet",
    "hyena_": "an implicit filter without a state: no spec yet",
    "longconv_": "a free filter without a state: no spec yet",
    "tnn_": "a Toeplitz matrix from a network of the distance: no spec yet",
    "s4nd_": "several axes of time",
    "mega_layer_": "attention in chunks",
    "mega_nffn_": "a feed-forward layer without a state",
    "dss_softmax_": "its filter is normalised over the length of the sequence, so that no recurrence computes it",
    "lssl_kernel_lagt_": "this A is one Jordan block: it has no basis of eigenvectors, and dense systems have no spec yet",
    "lssl_layer_lagt_": "the same A",
    "lssl_layer_toep_": "an A of the same kind",
}


def test_every_file_is_in_the_table():
    found = {str(p.relative_to(ORACLES).with_suffix("")) for p in ORACLES.glob("*/*.npz")}
    assert found == {*TABLE, *HIPPO}
    readme = (ORACLES / "README.md").read_text()
    for name in found:
        stem = name.split("/")[1]
        assert stem in readme or f"_{stem.split('_', 3)[-1]}" in readme, name


@pytest.mark.parametrize(("folder", "count", "unused"), [("lti", 129, UNUSED), ("selective", 120, UNUSED_SELECTIVE)])
def test_every_file_of_the_collection_is_used_or_not_for_a_reason(folder, count, unused):
    listed = (ORACLES / folder / "files.txt").read_text().split()
    assert len(listed) == len(set(listed)) == count
    used = {n.split("/")[1] for n in (*TABLE, *HIPPO) if n.startswith(f"{folder}/")}
    assert used <= set(listed)
    for name in listed:
        reasons = [prefix for prefix in unused if name.startswith(prefix)]
        assert (name in used) + len(reasons) == 1, (name, reasons)
    assert all(any(n.startswith(prefix) for n in listed) for prefix in unused)


# --- the comparison ---------------------------------------------------------------------------------------------------


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
                if isinstance(key, str) and f"w_{key}" not in z:  # of no weight in the file's loss
                    continue
                w = case.array(f"w_{key}")
                value = value + (last[k] * (w if turn is None else turn(w))).sum()
        grads = torch.autograd.grad(value, list(wanted.values()), retain_graph=True)
        for k, g in zip(wanted, grads, strict=True):
            if prefix + k in row.cancels:
                largest = max(float(case.array(prefix + n).abs().max()) for n in wanted)
                assert case.array(prefix + k).abs().max() < 1e-7 * largest, prefix + k
                assert (g - case.array(prefix + k)).abs().max() < case.gradients * largest, prefix + k
                continue
            assert error(g, case.array(prefix + k)) < case.gradients, prefix + k


def test_slopes_of_lightning_attention(load):
    case = Case("selective/hf_minimax_lightning_T17", load)
    assert error(case.layer.slope_rate, case.array("param:slope_rate")) < 1e-12


@pytest.mark.parametrize("name", [n for n in TABLE if TABLE[n].more])
def test_other_runs(name, load):
    """From a state, and token by token."""
    case = Case(name, load)
    with torch.no_grad():
        for run in case.row.more:
            y, last, _ = case.call(run.start, run.steps)
            assert error(y, run.y(case)) < case.tolerance
            for k, entry in run.last.items():
                assert error(last[k], case.get(entry)) < case.tolerance, k


@pytest.mark.parametrize("name", [n for n in TABLE if "x_decode" in np.load(ORACLES / f"{n}.npz").files])
def test_decode(name, load):
    case = Case(name, load)
    with torch.no_grad():
        _, _, state = case.call()
        params = {k: case.get(e) for k, e in case.row.params.items()}
        case.layer.load_state_dict(params)
        for i in range(case.z["x_decode"].shape[1]):
            y, state = case.layer.step(case.array("x_decode")[:, i], state)
            assert error(y, case.array("y_decode")[:, i]) < case.tolerance, i
