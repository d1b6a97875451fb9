"""`ssmc test` passes on sound files, and fails on files in which one thing was broken on purpose."""

from __future__ import annotations

import builtins
import json
import re
from pathlib import Path

import pytest

pytest.importorskip("torch")

from ssmc.cli import main
from ssmc.diagnostics.span import Source
from ssmc.driver import Compilation, run
from ssmc.testing.case import parse, smaller
from ssmc.testing.generated import load
from ssmc.testing.suite import Report
from ssmc.testing.suite import run as run_suite

SPECS = Path(__file__).parents[2] / "specs"
MAMBA, LEAKY = str(SPECS / "mamba.ssm"), str(SPECS / "leaky.ssm")
STATES = """edition 1

layer States(d_model, n_heads = 2, gated = true, p: float = 0.5)
  axis H = n_heads, P = d_model // n_heads, E = H * P
  input u[E]
  input gate[E] = 1
  input self = 1
  param lam[H, P] complex = complex(-1, index(P))
  param w[P] = 1 in [0, 2] fixed as "ssm.w"
  x = u * gate * p * self
  linear q(x -> a_raw[E], bias = gated)
  a = sigmoid(a_raw)
  state h[H, P]: h' = lam * h + x by zoh, step 0.3
  state m[E]: m = max(a * prev(m), re(h) * w)
  linear out(m + prev(x) -> [E])
  return out
"""
AHEAD = """edition 1

layer Ahead(d_model)
  input u[d_model]
  linear q(u -> a_raw[d_model])
  state h[d_model]: h = sigmoid(a_raw) * next(h) + u
  state s[d_model]: s = 0.5 * prev(s) + h
  return s
"""


def _compiled(text: str) -> Compilation:
    done = run(Source("x.ssm", text))
    assert done.text is not None, done.rendered()
    return done


def _tried(done: Compilation, text: str, seconds: float = 0.0, seed: int = 0) -> Report:
    assert done.plan is not None
    return run_suite(load(text, done.plan), seconds, seed)


SOUND = {"states": STATES, "ahead": AHEAD, "leaky": Path(LEAKY).read_text(), "mamba": Path(MAMBA).read_text()}


@pytest.mark.parametrize("name", SOUND)
def test_sound_files_pass(name: str) -> None:
    done = _compiled(SOUND[name])
    report = _tried(done, done.text or "", 3.0)
    assert not report.failures, [(f.property.name, f.outcome, f.error, str(f.case)) for f in report.failures]
    assert all(t.compared for t in report.tallies)


def _case(text: str, line: str) -> Report:
    done = _compiled(text)
    assert done.layer is not None and done.plan is not None
    return run_suite(load(done.text or "", done.plan), 0, 0, only=parse(line, done.layer))


GROWS = """layer Grows(d_model)
  input u[d_model]
  state h[d_model] allow unstable: h = (1 + abs(u)) * prev(h) + u
  return h
"""
RATIO = """layer Ratio(d_model)
  input u[d_model]
  a = sigmoid(u)
  state h[d_model]: h = a * prev(h) + (1 - a) * u
  state c[d_model]: c = a * prev(c) + (1 - a)
  return h / max(c, 1e-30)
"""


def test_what_leaves_the_range_of_float32_is_not_compared() -> None:
    report = _case(GROWS, "property=eager_float32 seed=1 batch=1 length=129 scale=30 weights=1 d_model=3")
    assert not report.failures and report.tallies


def test_digits_that_the_equations_lose_are_allowed_for() -> None:
    report = _case(RATIO, "property=equations seed=3 batch=1 length=2 scale=30 weights=1 d_model=8")  # 1 - a is 1e-16
    assert not report.failures and any(t.loosened for t in report.tallies)


MUTATIONS = {
    "the scan drops its first token": (r"states\.append\(h\)", "states.append(h if states else 0 * h)"),
    "the scan's adjoint forgets the coefficient": (r"d_h = torch\.addcmul\(read, a_t, d_h\)", "d_h = read + d_h"),
    "what enters a piece is forgotten": (r"enter = \[h\]", "enter = [0 * h]"),
    "a piece's adjoint begins with the wrong coefficient": (
        r"(torch\.ones_like\(a\[:, :1\]\)\), 1\))\.flip\(1\)", r"\1"
    ),
    "a sign in a derived gradient": (r"( d_dt = )(.*)", r"\1-(\2)"),
    "a read without its skip": (r"y = y_sum \+ D \* x\n", "y = y_sum\n"),
    "another discretization": (r"a_h = torch\.exp\(dt\[\.\.\., None\] \* A\)", "a_h = 1 + dt[..., None] * A"),
    "a NaN": (r"w_3 = F\.silu\(z\)", "w_3 = F.silu(z) / (z != z.max())"),
    "the last state of a wrong token": (r"h_0 = h\[:, -1\]", "h_0 = h[:, -2:][:, 0]"),
    "half precision inside": (r"dt = _softplus\(dt_raw\)", "dt = _softplus(dt_raw).bfloat16().to(dt_raw)"),
    "a chunk's states start at zero": (r"h = _scan\(a_h, b_h, h_0\)", "h = _scan(a_h, b_h, 0 * h_0)"),
    "a view of the wrong rows": (r"_split\(self\.in_proj\(u\)", "_split(self.in_proj(u).flip(-1)"),
    "no initial state's gradient": (r"_state_gradient\(d_h_0, ", "_state_gradient(0 * d_h_0, "),
}


@pytest.mark.parametrize("name", MUTATIONS)
def test_broken_files_fail(name: str) -> None:
    done = _compiled(Path(MAMBA).read_text())
    pattern, replacement = MUTATIONS[name]
    broken, count = re.subn(pattern, replacement, done.text or "")
    assert count, f"the generated file no longer has {pattern}"
    report = _tried(done, broken, 30.0)
    assert report.failures, name
    for f in report.failures:  # the line that is shown reproduces the failure, and is small
        assert done.layer is not None and done.plan is not None
        case = parse(str(f.case), done.layer)
        assert run_suite(load(broken, done.plan), 0, 0, only=case).failures
    assert min(f.case.length for f in report.failures) <= 65


def test_failures_are_made_small() -> None:
    done = _compiled(Path(MAMBA).read_text())
    broken = (done.text or "").replace("d_h = torch.addcmul(read, a_t, d_h)", "d_h = read + d_h")
    failure = next(f for f in _tried(done, broken).failures if f.property.name == "gradients")
    assert (failure.case.batch, failure.case.scale) == (1, 1.0) and failure.case.length <= 2
    assert all(v == 1 for k, v in failure.case.args.items() if k in ("d_model", "d_state"))
    assert all(c != failure.case for c in smaller(failure.case))


def test_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["test", LEAKY, "--seconds", "1", "--seed", "3"]) == 0
    out = capsys.readouterr().out
    assert out.startswith("Leaky: ") and "seed 3" in out and "FAILED" not in out
    broken = tmp_path / "broken.py"
    done = _compiled(Path(LEAKY).read_text())
    broken.write_text((done.text or "").replace("torch.addcmul(b_t, a_t, h)", "torch.addcmul(b_t, a_t, h) + 1e-7"))
    assert main(["test", LEAKY, "--seconds", "0", "--file", str(broken)]) == 1
    out = capsys.readouterr().out
    assert "FAILED: op against its token loop" in out
    line = next(x for x in out.split("\n") if "--case" in x)
    case = re.search(r'--case "(.*)"', line)
    assert case is not None and f"--file {broken}" in line
    assert main(["test", LEAKY, "--file", str(broken), "--case", case[1], "--json"]) == 1
    document = json.loads(capsys.readouterr().out)
    assert document["ok"] is False and len(document["failures"]) == 1
    assert main(["test", LEAKY, "--case", case[1]]) == 0


@pytest.mark.parametrize(
    ("more", "says"),
    [
        (["--case", "property=op"], "is missing"),
        (["--case", "property=magic seed=1 batch=1 length=1 d_model=1"], "is no property here"),
        (["--seconds", "long"], "no number of seconds"),
        (["--file", "nothing.py"], "no such file"),
    ],
)
def test_wrong_usage(more: list[str], says: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["test", LEAKY, *more]) == 2
    assert says in capsys.readouterr().err


def test_a_file_that_does_not_import(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "x.py"
    path.write_text("import nowhere_to_be_found\n")
    assert main(["test", LEAKY, "--file", str(path)]) == 2
    assert "cannot be imported" in capsys.readouterr().err


def test_without_torch(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    real = builtins.__import__

    def without(name: str, *rest: object, **more: object) -> object:
        if name == "torch":
            raise ImportError("no torch", name="torch")
        return real(name, *rest, **more)  # type: ignore[arg-type]

    monkeypatch.setattr(builtins, "__import__", without)
    assert main(["test", LEAKY]) == 2
    assert "needs torch: pip install" in capsys.readouterr().err


def test_a_broken_spec(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "x.ssm"
    path.write_text(AHEAD.replace("+ h", "+ k"))
    assert main(["test", str(path)]) == 1
    assert "SSM0201" in capsys.readouterr().err
