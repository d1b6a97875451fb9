"""The cases of matrix-valued states: their peers are called rightly, their floors count chunks, several recurrences are
one op where a peer computes them at once; long ones have a quicker truth."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

import pytest

pytest.importorskip("torch")

import torch

import ssmc.measuring.truth as truth_module
from ssmc.diagnostics.span import Source
from ssmc.driver import run
from ssmc.measuring.bench import Where, measure_call
from ssmc.measuring.calls import Drawn, Shape, calls
from ssmc.measuring.cases import Case, chosen, read_cases
from ssmc.measuring.clock import Machine
from ssmc.measuring.composed import composed
from ssmc.measuring.floor import BOTH, CHUNK, FORWARD, STEP, floor
from ssmc.measuring.peers import BadPeer, Peer, read_peer, read_peers
from ssmc.measuring.truth import truth
from ssmc.resources import peer_dir
from ssmc.testing.generated import Generated, load
from tests.measuring import fake, walks

ROOT = Path(__file__).parents[2]
CASES = {c.name: c for c in read_cases(ROOT / "bench" / "table.toml")}
WALKED = {
    "ssd-8x2048": "mamba_chunk_scan_combined", "ssd-step-128": "selective_state_update", "gla-4x4096": "chunk_gla",
    "gla-variant-unequal": "chunk_gla", "rwkv6-4x4096": "chunk_rwkv6", "simple-gla-4x4096": "chunk_simple_gla",
    "retention-4x4096": "chunk_retention", "hgrn2-4x4096": "chunk_gla",
    "linear-attention-4x4096": "chunk_linear_attn", "mlstm-4x4096": "mlstm_chunkwise__xl_chunk",
    "rwkv4-4x4096": "fused_recurrent_rwkv4",
}  # fmt: skip
SIZES = {"heads": 3, "key": 4, "value": 6, "headdim": 2, "d_state": 5, "d_inner": 7}


def _generated(spec: str) -> Generated:
    done = run(Source(spec, (ROOT / spec).read_text()))
    assert done.text is not None and done.plan is not None
    g = load(done.text, done.plan)
    return composed(g) if len(g.ops) > 1 else g


def _tiny(case: Case) -> Shape:
    return Shape(2, min(case.length, 9), {k: SIZES[k] for k in case.args})


@pytest.mark.parametrize("name", WALKED)
def test_a_peer_is_called_as_its_documentation_says(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    case = CASES[name]
    (call,) = calls(_generated(case.spec), _tiny(case), torch.float32, "cpu", case.drawn)
    fitting = [p for p in read_peers(peer_dir(), []) if p.fits(call) and (p.what == "step") == (case.what == (STEP,))]
    assert [p.function for p in fitting] == [WALKED[name]] and fitting[0].devices == ("cuda",)
    monkeypatch.setitem(sys.modules, fitting[0].module, walks)
    where = Where("cpu", torch.float32, "eager", 0.0, Machine(1e10, 1e9), ("torch.compile",), case.what)
    rows = measure_call(call, [replace(fitting[0], devices=("cpu",), settings=())], where)
    assert {r.who for r in rows} == {"ours", fitting[0].name} and {r.what for r in rows} == set(case.what)
    assert all(r.timed and r.error is not None and r.error <= 1 for r in rows)


def test_groups_of_cases_are_chosen_by_the_begin_of_their_names() -> None:
    def names(*given: str) -> list[str]:
        return [c.name for c in chosen(list(CASES.values()), list(given))]

    assert names("ssd")[:3] == ["ssd-8x2048", "ssd-1x65536", "ssd-step-128"] and len(names("ssd")) == 6
    assert names("gla")[0] == "gla-4x4096" and len(names("gla")) == 4 and names("hgrn") == ["hgrn"]
    variants = [c for c in CASES.values() if c.beside in ("ssd-8x2048", "gla-4x4096")]
    assert len(variants) == 6
    assert all((c.batch, c.length) == (CASES[c.beside].batch, CASES[c.beside].length) for c in variants)


def test_the_floor_of_chunks_is_products_of_matrices() -> None:
    """Counted by hand for 2 heads, 3 keys and 5 values."""
    args = {"heads": 2, "key": 3, "value": 5}
    machine = Machine(1e30, 1e30, 1e30, 1e3)
    state = 2 * 2 * 3 * 5
    forward, back = 2 * state + CHUNK * 2 * (3 + 5), 5 * state + CHUNK * 2 * (3 * 3 + 2 * 5)
    for spec, shared in (("bench/key_gates.ssm", 2), ("bench/matrix_scan.ssm", 1)):
        given = args if shared == 2 else {"heads": 2, "headdim": 5, "d_state": 3}
        (call,) = calls(_generated(spec), Shape(4, 8, given), torch.float32, "cpu", Drawn({"g": (-0.2, 0.0)}))
        y = torch.empty(4, 8, 2, 5)
        less = CHUNK * (2 - shared) * 3  # of products that heads share
        assert floor(call, (y,), FORWARD, machine).bound == "products of matrices"
        assert floor(call, (y,), FORWARD, machine).ms == pytest.approx(4 * 8 * (forward - less))
        assert floor(call, (y,), BOTH, machine).ms == pytest.approx(4 * 8 * (forward + back - 4 * less))
        assert floor(call, (y,), STEP, Machine(1e30, 1e30, 1e3, 1e30)).ms >= 4 * 2 * state  # a step is no product


def test_elementwise_work_beside_chunks_grows_with_operands_only() -> None:
    def work(value: int) -> float:
        shape = Shape(1, 4, {"heads": 1, "key": 64, "value": value})
        (call,) = calls(_generated("bench/key_gates.ssm"), shape, torch.float32, "cpu", Drawn({"g": (-0.2, 0.0)}))
        return floor(call, (torch.empty(1, 4, 1, value),), FORWARD, Machine(1e30, 1e30, 1e3, 1e30)).ms

    assert work(64) <= work(1) + 4 * 64 and work(64) < 4 * 4 * 64


def test_several_recurrences_are_one_op() -> None:
    case = CASES["mlstm-4x4096"]
    g = _generated(case.spec)
    (call,) = calls(g, _tiny(case), torch.bfloat16, "cpu", case.drawn)
    assert [op.name for op in g.ops] == ["whole_op"] and len(call.programs) == 3 and len(call.state) == 3
    assert {n: v.dtype for n, v in call.operands.items() if n in "fq"} == {"f": torch.float32, "q": torch.bfloat16}
    assert call.axes("v") == ("batch", "time", "H", "V") and call.axes("S") == ("batch", "H", "K", "V")
    found = truth(call)
    y = call.function(**call.operands, **call.numbers, backend="eager")
    torch.testing.assert_close(y[found.rows].double(), found.results[0], rtol=0.05, atol=0.05)
    done = run(Source("mlstm.ssm", (ROOT / "specs" / "mlstm.ssm").read_text()))
    assert done.text is not None and done.plan is not None
    with pytest.raises(ValueError, match="more than its recurrences"):
        composed(load(done.text, done.plan))


def test_a_peer_belongs_to_ops_with_its_axes_and_of_its_layers() -> None:
    peers = {p.name: p for p in read_peers(peer_dir(), []) if p.what == "sequence"}
    (scan,) = calls(_generated("bench/selective_scan.ssm"), Shape(1, 2, {"d_inner": 4}), torch.float32, "cpu")
    heads = {"heads": 2, "headdim": 3, "d_state": 4}
    (matrix,) = calls(_generated("bench/matrix_scan.ssm"), Shape(1, 2, heads), torch.float32, "cpu")
    assert set(scan.op.operands) == set(matrix.op.operands)

    def fitting(call) -> list[str]:
        return [n for n, p in peers.items() if p.fits(call)]

    assert fitting(scan) == ["mamba_ssm selective_scan_fn"]
    assert fitting(matrix) == ["mamba_ssm mamba_chunk_scan_combined"]
    (plain,) = calls(
        _generated("bench/no_decay.ssm"), Shape(1, 2, {"heads": 1, "key": 2, "value": 3}), torch.float32, "cpu"
    )
    assert fitting(plain) == ["fla chunk_linear_attn"]  # retention has the same operands


@pytest.mark.parametrize("more", ["of = 'u'\ntake = 'shape'", "value = 1.0\naxes = ['batch']"])
def test_arguments_that_cannot_be_made_are_refused(tmp_path: Path, more: str) -> None:
    text = "name = 'a'\nmodule = 'm'\nfunction = 'f'\n[result]\naxes = ['batch']\n"
    (tmp_path / "p.toml").write_text(f"{text}[[argument]]\nname = 'x'\n{more}\n")
    with pytest.raises(BadPeer, match="not known here"):
        read_peer(tmp_path / "p.toml")
    assert isinstance(read_peer(peer_dir() / "fla_chunk_gla.toml"), Peer)


def test_settings_are_made_before_the_call(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tests.measuring.fake.SCALE", 1.0, raising=False)
    text = "name = 'a'\nmodule = 'tests.measuring.fake'\nfunction = 'leaky'\nargument = []\n"
    (tmp_path / "p.toml").write_text(f'{text}settings = {{"tests.measuring.fake.SCALE" = 2.0}}\n[result]\naxes = []\n')
    peer = read_peer(tmp_path / "p.toml")
    assert peer.load() is fake.leaky and fake.SCALE == 2.0


def test_long_sequences_have_the_eager_form_as_truth(monkeypatch: pytest.MonkeyPatch) -> None:
    (call,) = calls(
        _generated("bench/selective_scan.ssm"), Shape(3, 80, {"d_inner": 4, "d_state": 3}), torch.float32, "cpu"
    )
    loop = truth_module.truth(call)
    monkeypatch.setattr(truth_module, "_LONGEST", 16)
    quick = truth_module.truth(call)
    for a, b in zip(loop.results, quick.results, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-11, atol=1e-12)
    for n, d in loop.gradients.items():
        torch.testing.assert_close(d, quick.gradients[n], rtol=1e-9, atol=1e-11)
