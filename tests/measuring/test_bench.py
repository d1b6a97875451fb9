"""`ssmc bench` on a CPU with peers that are data: right ones get a time, wrong and missing ones a reason."""

from __future__ import annotations

import json
import math
import re
from pathlib import Path

import pytest

pytest.importorskip("torch")

import torch

from ssmc.cli import main
from ssmc.diagnostics.span import Source
from ssmc.driver import run
from ssmc.measuring.bench import Where, measure
from ssmc.measuring.calls import Shape, calls
from ssmc.measuring.clock import Machine, Timed
from ssmc.measuring.contenders import OURS
from ssmc.measuring.floor import BOTH, FORWARD, STEP, floor
from ssmc.measuring.modes import Modes
from ssmc.measuring.peers import BadPeer, read_peer, read_peers
from ssmc.measuring.plot import crossovers
from ssmc.measuring.truth import truth, tuple_of
from ssmc.resources import peer_dir
from ssmc.testing.generated import Generated, load

ROOT = Path(__file__).parents[2]
PEERS = Path(__file__).parent / "peers"
LEAKY = str(ROOT / "specs" / "leaky.ssm")
QUICK = ("--seconds", "0", "--shape", "3,70,d_model=5", "--device", "cpu", "--without", "torch.compile", "--json")
WHERE = Where("cpu", torch.float32, "eager", 0.0, Machine(1e10, 1e9), ("torch.compile",))


def _generated(path: str | Path, replace: tuple[str, str] = ("", "")) -> Generated:
    done = run(Source("x.ssm", Path(path).read_text()))
    assert done.text is not None and done.plan is not None
    assert replace[0] in done.text
    return load(done.text.replace(*replace) if replace[0] else done.text, done.plan)


def _bench(capsys: pytest.CaptureFixture[str], *more: str, spec: str = LEAKY, code: int = 0) -> dict:
    assert main(["bench", spec, *QUICK, *more]) == code
    return json.loads(capsys.readouterr().out)


def _changed(tmp_path: Path, name: str, *changes: tuple[str, str]) -> str:
    text = (PEERS / name).read_text()
    for old, new in changes:
        assert old in text
        text = text.replace(old, new)
    (tmp_path / name).write_text(text)
    return str(tmp_path / name)


def _peer(document: dict, what: str) -> dict:
    (row,) = [r for r in document["rows"] if r["what"] == what and r["who"] not in ("ours", "eager", "torch.compile")]
    return row


def test_right_peers_get_times(capsys: pytest.CaptureFixture[str]) -> None:
    found = _bench(capsys, "--against", str(PEERS / "right.toml"), "--against", str(PEERS / "step.toml"))
    assert found["ok"] and found["device"] and found["torch"] and found["date"] and found["copy_bytes_per_s"] > 0
    assert {(r["what"], r["who"]) for r in found["rows"]} == {
        *((w, who) for w in (FORWARD, BOTH) for who in ("ours", "a loop")),
        *((STEP, who) for who in ("ours", "a step")),
    }
    for r in found["rows"]:
        assert r["median_ms"] >= r["fastest_ms"] > 0 and r["floor_ms"] > 0 and r["runs"] >= 3 and r["why"] is None
        assert r["error_over_allowed"] <= 1 and (r["batch"], r["length"], r["args"]) == (3, 70, {"d_model": 5})


@pytest.mark.parametrize(
    ("name", "what", "changes", "why"),
    [
        ("right.toml", FORWARD, [("value = 1.0", "value = 1.01")], r"wrong: result 0 is off by"),
        ("right.toml", BOTH, [("value = 1.0", "value = nan")], r"wrong: .* off by inf"),
        ("right.toml", BOTH, [('"leaky"', '"without_gradient"'), ('name = "scale"\nvalue = 1.0', "")], "wrong: gradient of `rate`"),
        ("right.toml", BOTH, [('"leaky"', '"raises"'), ('name = "scale"\nvalue = 1.0', "")], "failed: RuntimeError: no kernel$"),
        ("right.toml", FORWARD, [("tests.measuring.fake", "no_such_package.ops"), ('name = "a', 'install = "pip install x"\nname = "a')], r"missing: .*no_such_package.*; pip install x"),
        ("right.toml", FORWARD, [('"leaky"', '"no_such"')], "missing: .*no_such"),
        ("right.toml", FORWARD, [("[result]", 'devices = ["cuda"]\n[result]')], None),
        ("step.toml", STEP, [('"step"\nwhat', '"stale"\nwhat')], "wrong: state 0"),
    ],
)  # fmt: skip
def test_others_get_a_reason(capsys, tmp_path: Path, name: str, what: str, changes: list, why: str | None) -> None:
    if why is None:  # a top-level key stands before the tables
        changes, why = [('name = "a loop"', 'name = "a loop"\ndevices = ["cuda"]')], "it runs on cuda only"
    changes = [
        c if c[0] != 'name = "scale"\nvalue = 1.0' else ('[[argument]]\nname = "scale"\nvalue = 1.0', "")
        for c in changes
    ]
    found = _bench(capsys, "--against", _changed(tmp_path, name, *changes))
    row = _peer(found, what)
    assert row["median_ms"] is None and re.search(why, row["why"]), row["why"]
    assert all(r["median_ms"] for r in found["rows"] if r["who"] == "ours")


def test_a_peer_may_have_gradients_of_its_own(capsys, tmp_path: Path) -> None:
    """By design: it is timed, and the reason told. A wrong result has no excuse."""
    mine = ('name = "a loop"', 'name = "a loop"\ngradients = "decays stand still"')
    changes = [mine, ('"leaky"', '"without_gradient"'), ('[[argument]]\nname = "scale"\nvalue = 1.0', "")]
    row = _peer(_bench(capsys, "--against", _changed(tmp_path, "right.toml", *changes)), BOTH)
    assert row["median_ms"] > 0 and re.search("^gradient of `rate` is off by .*: decays stand still$", row["why"])
    row = _peer(_bench(capsys, "--against", _changed(tmp_path, "right.toml", mine, ("value = 1.0", "value = 1.5"))), BOTH)
    assert row["median_ms"] is None and row["why"].startswith("wrong: ")


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ('name = "a loop"', "name = "),
        ('function = "leaky"\n', ""),
        ("[result]", "[other]"),
        ('apply = ["sigmoid"]', 'apply = ["eval"]'),
        ('name = "a loop"', 'name = "a loop"\nwhat = "training"'),
        ('name = "a loop"', 'name = "a loop"\nspeed = 1'),
    ],
)
def test_bad_descriptions_are_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str], old: str, new: str) -> None:
    found = _bench(capsys, "--against", _changed(tmp_path, "right.toml", (old, new)), code=2)
    assert "right.toml" in found["error"] and "\n" not in found["error"]
    with pytest.raises(BadPeer):
        read_peer(tmp_path / "right.toml")


@pytest.mark.parametrize("shape", ["3", "3,x", "0,4", "3,4,width=5", "3,4,d_model"])
def test_bad_shapes_are_refused(shape: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["bench", LEAKY, "--shape", shape]) == 2
    assert "--s" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("replace", "what"),
    [
        (("h = torch.addcmul(b_t, a_t, h)", "h = torch.addcmul(b_t, a_t, 0.9 * h)"), "wrong: "),
        (("d_h = torch.addcmul(read, a_t, d_h)", "d_h = read"), "gradient"),
    ],
)
def test_no_time_for_a_wrong_result(replace: tuple[str, str], what: str) -> None:
    g = _generated(ROOT / "bench" / "selective_scan.ssm", replace)
    rows = measure(g, Shape(3, 9, {"d_inner": 4, "d_state": 3}), [], WHERE)
    wrong = [r for r in rows if r.wrong and r.what != STEP]
    assert {r.what for r in wrong} == {FORWARD, BOTH} and all(r.timed is None and what in r.why for r in wrong)


@pytest.mark.parametrize(
    "spec", ["specs/s4d.ssm", "specs/lru.ssm", "tests/specs/variants/ahead.ssm", "tests/specs/variants/lstm.ssm"]
)
def test_the_truth_is_the_token_loop_as_a_whole(spec: str) -> None:
    """In pieces that are computed again, forward and backward in time, with several states and without."""
    g = _generated(ROOT / spec)
    args = {a.name: 4 for a in g.plan.partition.layer.args if a.default is None and a.kind == "int"}
    for call in calls(g, Shape(3, 150, args), torch.float64, "cpu"):
        t = truth(call)
        leaves = {n: v.detach().clone().requires_grad_(n in call.moving) for n, v in call.rows([0, 2]).items()}
        results = tuple_of(getattr(g.module, call.op.reference)(**leaves, **call.numbers))
        for a, b in zip(results, t.results, strict=True):
            torch.testing.assert_close(a, b, rtol=1e-12, atol=1e-12)
        names = call.moving
        found = torch.autograd.grad(results, [leaves[n] for n in names], t.cotangents, allow_unused=True)
        for n, d in zip(names, found, strict=True):
            if d is not None:
                torch.testing.assert_close(d, t.gradients[n], rtol=1e-10, atol=1e-10)


def test_floors_are_counted() -> None:
    (call,) = calls(_generated(LEAKY), Shape(2, 8, {"d_model": 4}), torch.float32, "cpu")
    y, one = (torch.empty(2, t, 4) for t in (8, 1))
    stream, rate, state = 2 * 8 * 4 * 4, 4 * 4, 2 * 4 * 4
    slow = Machine(1e3, 1e30)
    assert floor(call, (y,), FORWARD, slow).ms == pytest.approx(2 * stream + rate)
    assert floor(call, (y,), BOTH, slow).ms == pytest.approx(5 * stream + 3 * rate)
    assert floor(call, (one,), STEP, slow).ms == pytest.approx(2 * stream / 8 + rate + 2 * state)
    (call,) = calls(
        _generated(ROOT / "bench" / "selective_scan.ssm"),
        Shape(2, 8, {"d_inner": 3, "d_state": 5}),
        torch.float32,
        "cpu",
    )
    found = floor(call, (torch.empty(2, 8, 3),), FORWARD, Machine(1e30, 1e3))
    assert found.bound == "exponentials" and found.ms >= 2 * 8 * 3 * 5  # one a state and token at least


@pytest.mark.parametrize(
    ("spec", "names"),
    [
        ("bench/selective_scan.ssm", {"mamba_ssm selective_scan_fn", "mamba_ssm selective_state_update"}),
        ("specs/mamba.ssm", {"mamba_ssm selective_scan_fn", "mamba_ssm selective_state_update"}),
        ("bench/gated_scan.ssm", {"fla chunk_hgrn", "fla fused_recurrent_hgrn"}),
        ("specs/leaky.ssm", set()),
    ],
)
def test_shipped_peers_find_their_ops(spec: str, names: set[str]) -> None:
    g = _generated(ROOT / spec)
    args = {a.name: 6 for a in g.plan.partition.layer.args if a.default is None}
    (call,) = calls(g, Shape(2, 7, args), torch.float32, "cpu")
    fitting = [p for p in read_peers(peer_dir(), []) if p.fits(call)]
    assert {p.name for p in fitting} == names
    for p in fitting:
        made = p.arrange(call, (call.token() | {"h": call.state[0]}) if p.what == "step" else call.operands)
        inner = call.operands["x"].shape[-1]
        if p.function == "selective_scan_fn":
            assert made["u"].shape == (2, inner, 7) and made["B"].shape[::2] == (2, 7) and made["A"].max() < 0
        elif p.what == "step":
            assert made["x"].shape == (2, inner) and made["state"].shape == call.state[0].shape
        else:
            assert made["x"].shape == (2, 7, 6) and made["g"].max() < 0
        assert p.install and p.cites


def test_modes_and_files(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("matplotlib")
    out, picture = tmp_path / "r.json", tmp_path / "r.png"
    spec = str(ROOT / "tests" / "specs" / "variants" / "s4dr.ssm")
    quick = ["--seconds", "0", "--device", "cpu", "--set", "d_model=3", "--seqlen", "70"]
    assert main(["bench", spec, *quick, "--plot", str(picture), "-o", str(out)]) == 0
    assert picture.read_bytes().startswith(b"\x89PNG")
    found = json.loads(out.read_text())
    assert [m["length"] for m in found["modes"]] == [16, 32, 64, 70]
    for m in found["modes"]:
        assert set(m["median_ms"]) == {"recurrent", "scan", "convolution"} and m["chosen"] in m["median_ms"]
        assert m["fastest"] == min(m["median_ms"], key=m["median_ms"].get) and not m["wrong"]
        assert m["good"] == (m["median_ms"][m["chosen"]] <= 1.1 * m["median_ms"][m["fastest"]])
    assert "of 4" in capsys.readouterr().out


def test_crossovers_lie_where_the_lines_meet() -> None:
    def at(length: int, a: float, b: float) -> Modes:
        times = {"a": Timed(a, a, 3), "b": Timed(b, b, 3)}
        return Modes("op", Shape(1, length, {}), times, {}, "a", "a")

    (found,) = crossovers([at(16, 1, 2), at(64, 4, 4), at(256, 16, 8)])  # a: linear, b: the root
    assert found[1:] == ("a", "b") and found[0] == pytest.approx(64)
    assert crossovers([at(16, 1, 2), at(64, 1, 2)]) == [] and math.isfinite(found[0])


def test_torch_compile_is_a_contender() -> None:
    rows = measure(
        _generated(LEAKY), Shape(1, 2000, {"d_model": 2}), [], Where("cpu", torch.float32, "eager", 0.0, Machine(1, 1))
    )
    why = {r.why for r in rows if r.who == "torch.compile"}
    assert len(why) == 1 and "unrolls" in why.pop()
    assert {r.what for r in rows if r.who == OURS and r.timed} == {FORWARD, BOTH, STEP}
