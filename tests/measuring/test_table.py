"""The table of cases and what measures it, on a CPU: everything but the figures."""

from __future__ import annotations

import importlib.util
import json
import os
import re
from pathlib import Path
from types import ModuleType, SimpleNamespace

import pytest

pytest.importorskip("torch")

import torch

from ssmc.diagnostics.span import Source
from ssmc.driver import run
from ssmc.explain.counts import arguments
from ssmc.measuring import clock, first
from ssmc.measuring.bench import Where, measure, measure_call
from ssmc.measuring.calls import Shape, calls
from ssmc.measuring.cases import chosen, read_cases
from ssmc.measuring.clock import Machine, Timed, covers
from ssmc.measuring.composed import composed
from ssmc.measuring.floor import BOTH, FORWARD, STEP, floor
from ssmc.measuring.goals import judged
from ssmc.measuring.gpu import copies, graphed, peak
from ssmc.measuring.layers import LAYER, measure_layer
from ssmc.measuring.peers import read_peer, read_peers
from ssmc.resources import peer_dir
from ssmc.testing.generated import Generated, load

ROOT = Path(__file__).parents[2]
TABLE = ROOT / "bench" / "table.toml"
PEERS = Path(__file__).parent / "peers"
WHERE = Where("cpu", torch.float32, "eager", 0.0, Machine(1e10, 1e9), ("torch.compile",))


def _generated(path: str | Path) -> Generated:
    done = run(Source("x.ssm", (ROOT / path).read_text()))
    assert done.text is not None and done.plan is not None
    return load(done.text, done.plan)


@pytest.fixture(scope="module")
def command() -> ModuleType:
    found = importlib.util.spec_from_file_location("bench_gpu", ROOT / "bench" / "gpu.py")
    assert found is not None and found.loader is not None
    module = importlib.util.module_from_spec(found)
    found.loader.exec_module(module)
    return module


def test_the_table_is_read() -> None:
    cases = read_cases(TABLE)
    assert all((ROOT / c.spec).is_file() for c in cases)
    assert {c.dtype for c in cases} == {"bfloat16", "float32"}
    assert [c.name for c in chosen(cases, ["step", "hgrn"])] == ["hgrn", "step-1", "step-128"]
    assert len(chosen(cases, [])) == len(cases) and len([c for c in cases if c.beside]) >= 7
    with pytest.raises(ValueError, match="no case begins with `steps`"):
        chosen(cases, ["steps"])


@pytest.mark.parametrize(
    "text",
    ["", "case = 1", "[[case]]\nname = 'a'", "[[case]]\nname='a'\nspec='s'\nargs={}\nbatch=1\nlength=1\nwhat=['x']",
     "[[case]]\nname='a'\nspec='s'\nargs={}\nbatch=1\nlength=1\nbeside='b'"],
)  # fmt: skip
def test_bad_tables_are_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "t.toml").write_text(text)
    with pytest.raises((ValueError, TypeError, AttributeError)):
        read_cases(tmp_path / "t.toml")


@pytest.mark.parametrize("case", [c.tiny() for c in read_cases(TABLE) if c.what != (LAYER,)], ids=lambda c: c.name)
def test_every_case_is_one_op_that_has_a_floor(case) -> None:
    g = _generated(case.spec)
    g = composed(g) if len(g.ops) > 1 else g
    (call,) = calls(g, case.shape, getattr(torch, case.dtype), "cpu", case.drawn)
    with torch.no_grad():
        found = call.function(**call.operands, **call.numbers, backend="eager")
    for machine, bound in ((Machine(1.0, 1e30), "bytes"), (Machine(1e30, 1e30, 1.0), "arithmetic")):
        at = floor(call, (found,), STEP if case.what == (STEP,) else BOTH, machine)
        assert at.bound == bound and at.ms > 0


def test_the_whole_command(command: ModuleType, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    one, two, both = (str(tmp_path / n) for n in ("one.json", "two.json", "both.json"))
    quick = ["--small", "--device", "cpu", "--seconds", "0"]
    assert command.main([*quick, "--rows", "scan-8x2048,step-1,s4d-1024,mlstm", "--out", one]) == 0
    text = capsys.readouterr().out
    assert "case  " in text and "first call" in text and "3 lengths, at most 0 compilations" in text
    assert command.main([*quick, "--rows", "layer,variant-n1,step-1", "--out", two]) == 0
    assert command.main(["--merge", one, two, "--out", both]) == 0
    found = json.loads(Path(both).read_text())
    cases = {c["case"]: c for c in found["cases"]}
    assert (
        list(cases) == ["scan-8x2048", "s4d-1024", "step-1", "layer", "variant-n1", "mlstm-4x4096"] and found["device"]
    )
    assert cases["scan-8x2048"]["first_call_s"] > 0 and cases["scan-8x2048"]["compilations"] == {}
    for case in cases.values():
        assert not case.get("failed") and case["small"] and case["seconds"] > 0
        ours = [r for r in case["rows"] if r["who"] == "ours"]
        assert ours and all(r["median_ms"] and r["error_over_allowed"] <= 1 for r in ours)
    plain = [r for r in cases["s4d-1024"]["rows"] if r["who"].startswith("S4D in plain torch")]
    assert {r["what"] for r in plain if r["median_ms"]} == {FORWARD, BOTH}
    assert {r["what"] for r in cases["step-1"]["rows"]} == {STEP}
    out = capsys.readouterr().out
    assert re.search(r"^variant-n1 .* x$", out, re.MULTILINE) or "too far from its floor" in out  # than that beside it


def test_a_case_that_fails_lets_the_others_go_on(
    command: ModuleType, tmp_path: Path, monkeypatch, capsys: pytest.CaptureFixture[str]
) -> None:
    right = command.calls

    def calls_(g, shape, *rest):
        if shape.args["d_inner"] == 8 and "d_state" not in shape.args:
            raise torch.OutOfMemoryError("no room\nleft")
        return right(g, shape, *rest)

    monkeypatch.setattr(command, "calls", calls_)
    out = str(tmp_path / "r.json")
    assert command.main(["--small", "--device", "cpu", "--seconds", "0", "--rows", "hgrn,step-1", "--out", out]) == 1
    assert "hgrn failed: OutOfMemoryError: no room\n" in capsys.readouterr().out
    assert [("failed" in c) for c in json.loads(Path(out).read_text())["cases"]] == [True, False]
    quick = ["--small", "--device", "cpu", "--seconds", "0", "--rows", "step-1", "--limit", "-1"]
    assert command.main(quick) == 0
    assert "step-1: not begun" in capsys.readouterr().out


def _data(name: str, *rows: tuple[str, str, float | None, float, int | None], **more: object) -> dict:
    return {
        "case": name,
        "rows": [
            {"what": w, "who": who, "median_ms": ms, "floor_ms": f, "peak_bytes": p, "why": "" if ms else "wrong: all"}
            for w, who, ms, f, p in rows
        ],
        **more,
    }


def test_a_default_follows_what_is_given() -> None:
    """A step's rank is worked out from the width asked for, not from the example's."""
    done = run(Source("mamba.ssm", (ROOT / "specs/mamba.ssm").read_text()))
    assert done.plan is not None
    layer = done.plan.partition.layer
    assert arguments(layer, given={"d_model": 2560})[0]["dt_rank"] == 160
    assert arguments(layer, given={"d_model": 2560, "dt_rank": 7})[0]["dt_rank"] == 7


def test_goals_are_judged() -> None:
    cases = read_cases(TABLE)
    done = [
        _data(
            "scan-8x2048", (FORWARD, "ours", 1.0, 0.5, None), (FORWARD, "mamba_ssm selective_scan_fn", 1.3, 0.5, None),
            (BOTH, "ours", 1.0, 0.5, 2_000_000), (BOTH, "mamba_ssm selective_scan_fn", 2.5, 0.5, 1_000_000),
            first_call_s=20.0, first_call_cached_s=1.0, lengths=200, compilations={"a_kernel": 4},
        ),
        _data("variant-n1", (FORWARD, "ours", 1.3, 0.5, None), (BOTH, "ours", 1.1, 0.5, None)),
        _data(
            "layer", (LAYER, "ours", 10.0, 6.0, 1), (LAYER, "mamba_ssm Mamba", 15.0, 6.0, 1),
        ),
        _data("hgrn", (FORWARD, "ours", None, 0.5, None), failed="E: x"),
    ]  # fmt: skip
    lines = {tuple(line.split()[:2]): line for line in judged(cases, done).splitlines() if line}
    assert "1.30" in lines["scan-8x2048", "forward"] and lines["scan-8x2048", "forward"].endswith("too slow")
    assert lines["scan-8x2048", "fwd+bwd"].endswith("too much memory") and "2.50" in lines["scan-8x2048", "fwd+bwd"]
    assert (
        lines["variant-n1", "forward"].endswith("too far from its floor") and "2.4 x" in lines["variant-n1", "forward"]
    )
    assert lines["variant-n1", "fwd+bwd"].split()[-2:] == ["2.4", "x"]
    assert lines["layer", "layer"].split()[-3:-1] == ["1.3", "0"] and "1.50" in lines["layer", "layer"]
    assert "2.25" in lines["layer", "around"] and not lines["layer", "around"].endswith("slow")
    assert lines["scan-8x2048:", "first"].endswith("too late") and lines["scan-8x2048:", "200"].endswith("too often")
    assert lines["hgrn", "failed:"] == "hgrn failed: E: x" and lines["hgrn", "forward"].endswith("wrong: all")


def test_steps_take_turns_on_states_in_a_graph() -> None:
    assert copies(42_000_000) == 7 and copies(1) == 32 and copies(2**30) == 4
    done: list[int] = []

    def captured(run):
        run()
        return lambda: done.append(-1)

    replay = graphed([lambda i=i: done.append(i) for i in range(3)], "cuda", captured)
    replay()
    assert done == [0, 1, 2, -1]
    graphed([lambda: done.append(7)], "cpu")()
    assert done[-1] == 7 and peak(lambda: done.append(8), "cpu") is None and done[-1] == 8
    assert Timed(6.0, 3.0, 5).over(3) == Timed(2.0, 1.0, 5)
    where = Where("cpu", torch.float32, "eager", 0.0, Machine(1e10, 1e9), (), (STEP,), graph=True)
    g = _generated("bench/selective_scan.ssm")
    (call,) = calls(g, Shape(2, 1, {"d_inner": 4, "d_state": 3}), torch.float32, "cpu")
    rows = measure_call(call, [], where)
    assert {r.what for r in rows} == {STEP} and all(r.timed and r.timed.median > 0 for r in rows)


def test_a_step_that_cannot_be_captured_has_a_reason(monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(steps, device):
        if any(not s.__qualname__.startswith("op_step") for s in steps):
            raise RuntimeError("operation not permitted when stream is capturing\nmore")
        return steps[0]

    monkeypatch.setattr("ssmc.measuring.bench.graphed", refused)
    where = Where("cpu", torch.float32, "eager", 0.0, Machine(1e10, 1e9), (), (STEP,), graph=True)
    rows = measure(_generated("specs/leaky.ssm"), Shape(2, 3, {"d_model": 4}), [read_peer(PEERS / "step.toml")], where)
    why = {r.who: r.why for r in rows}
    assert why["ours"] == "" and why["a step"].endswith(
        "RuntimeError: operation not permitted when stream is capturing"
    )


def test_the_gpu_is_kept_busy_while_a_run_is_enqueued(monkeypatch: pytest.MonkeyPatch) -> None:
    assert covers(0.0) == 2 and covers(1.0) == 200
    assert covers(5e-4) * 2**28 / 5e12 >= 5e-4
    queue: list[str] = []

    class Event:
        def __init__(self, enable_timing: bool) -> None:
            assert enable_timing

        def record(self) -> None:
            queue.append("event")

        def synchronize(self) -> None:
            assert queue[-1] == "event"

        def elapsed_time(self, end: Event) -> float:
            return 3.0

    monkeypatch.setattr(torch.cuda, "Event", Event)
    monkeypatch.setattr(torch.cuda, "synchronize", lambda: None)
    monkeypatch.setattr(clock, "_cover", lambda: SimpleNamespace(zero_=lambda: queue.append("cover")))
    found = clock.in_turns({"it": lambda: queue.append("run")}, 0.0, "cuda")["it"]
    assert found == Timed(3.0, 3.0, clock.LEAST) and queue.count("run") == clock.WARM + clock.LEAST
    timed = queue[clock.WARM :]
    assert timed[:2] == ["cover", "cover"] and timed[timed.index("event") :][:3] == ["event", "run", "event"]


def test_first_calls_have_a_cache_of_their_own(monkeypatch: pytest.MonkeyPatch) -> None:
    text = _generated("specs/leaky.ssm")
    (call,) = calls(text, Shape(2, 6, {"d_model": 4}), torch.float32, "cpu")
    folders: list[str] = []

    def fresh() -> Generated:
        folders.append(os.environ["TRITON_CACHE_DIR"])
        assert Path(folders[-1]).is_dir()
        return _generated("specs/leaky.ssm")

    monkeypatch.setenv("TRITON_CACHE_DIR", "before")
    found = first.first_calls(call, fresh, "eager", "cpu")
    assert found.cold > 0 and found.warm > 0 and len(set(folders)) == 1 and len(folders) == 2
    assert os.environ["TRITON_CACHE_DIR"] == "before" and not Path(folders[0]).exists()


def test_compilations_are_counted() -> None:
    assert first.compiled(SimpleNamespace(device_caches={0: ({"a": 1, "b": 2}, {}, None), 1: ({"a": 1}, {})})) == 3
    assert first.compiled(object()) == 0
    lengths = first.spread_lengths(2048, 200)
    assert len(lengths) == len(set(lengths)) >= 195 and lengths[0] == 1 and lengths[-1] == 2048
    assert first.spread_lengths(3, 200) == [1, 2, 3]
    g = _generated("specs/leaky.ssm")
    (call,) = calls(g, Shape(2, 9, {"d_model": 4}), torch.float32, "cpu")
    g.module.leaky_walk_kernel = SimpleNamespace(device_caches={0: ({1: 1, 2: 2}, {})})
    assert first.compilations(g, call, 3, "eager")["leaky_walk_kernel"] == 2


@pytest.mark.parametrize(("factor", "why"), [("1.0", ""), ("1.3", "wrong: off by")])
def test_layers_are_compared_with_the_same_weights(tmp_path: Path, factor: str, why: str) -> None:
    path = tmp_path / "layer.toml"
    path.write_text((PEERS / "layer.toml").read_text().replace("value = 1.0", f"value = {factor}"))
    rows = measure_layer(_generated("specs/leaky.ssm"), Shape(2, 30, {"d_model": 6}), [read_peer(path)], WHERE)
    assert [(r.who, r.what) for r in rows] == [("ours", LAYER), ("a layer", LAYER)]
    assert rows[0].timed and rows[0].error is not None and rows[0].error <= 1
    assert bool(rows[1].timed) == (not why) and rows[1].why.startswith(why)


def test_a_layer_peer_that_is_missing_is_named() -> None:
    (peer,) = [p for p in read_peers(peer_dir(), []) if p.what == "layer"]
    where = Where("cuda", torch.float32, "eager", 0.0, Machine(1e10, 1e9))
    g = _generated("specs/mamba.ssm")
    assert set(peer.keys) == set(g.layer(8).state_dict()) and peer.devices == ("cuda",)
    assert {a.of for a in peer.arguments} <= {a.name for a in g.plan.partition.layer.args} and where.device == "cuda"


def test_a_coefficient_is_repeated_for_every_token(tmp_path: Path) -> None:
    path = tmp_path / "complex.toml"
    text = (peer_dir() / "accelerated_scan_complex.toml").read_text()
    path.write_text(
        text.replace("accelerated_scan.complex", "tests.measuring.fake").replace('"scan"', '"complex_scan"')
        .replace('["cuda"]', '["cpu"]')
    )  # fmt: skip
    rows = measure(_generated("bench/complex_scan.ssm"), Shape(3, 9, {"d_inner": 5}), [read_peer(path)], WHERE)
    theirs = [r for r in rows if r.who.startswith("accelerated") and r.what in (FORWARD, BOTH)]
    assert len(theirs) == 2 and all(r.timed and r.error is not None and r.error <= 1 for r in theirs)
