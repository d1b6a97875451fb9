"""`ssmc explain` and `--emit`: golden pages of two specs, keys that stay, and counts against what torch counts."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from ssmc.cli import main
from ssmc.diagnostics.span import Source
from ssmc.driver import run
from ssmc.explain.counts import Sizes, arguments
from ssmc.explain.layer import explain
from ssmc.options import Options

ROOT = Path(__file__).parents[2]
GOLDEN = Path(__file__).parent / "golden"
KEYS = ["layer", "doc", "arguments", "axes", "inputs", "result", "values", "regions", "recurrences", "parameters",
        "work_per_token", "state"]  # fmt: skip
ODD = """edition 1

layer Odd(d_model, n_heads = 4, p: float = 0.5, kind = zoh | euler, both = true)
  axis H = n_heads, P = d_model // n_heads, E = H * P
  input u[E]
  input gate[E] = 1
  param lam[H, P] complex = complex(-1, index(P))
  param w[P] = 1 in [0, 2] fixed as "ssm.w"
  x = u * gate * p
  linear q(x -> a_raw[E], bias = both)
  a = sigmoid(a_raw)
  state h[H, P] allow unstable: h = exp(lam) * prev(h) + x
  state m[E]: m = max(a * prev(m), re(h) * w)
  y = softmax[E](m + prev(x))
  linear out(y -> [E])
  return out
"""
AHEAD = """edition 1

layer Ahead(d_model)
  input u[d_model]
  state h[d_model]: h = 0.5 * next(h) + u
  return h
"""


@pytest.mark.parametrize("name", ["mamba", "leaky"])
def test_golden(name: str, capsys: pytest.CaptureFixture[str], request: pytest.FixtureRequest) -> None:
    spec = str(ROOT / "specs" / f"{name}.ssm")
    assert main(["explain", spec, "--seqlen", "4096", "--batch", "2"]) == 0
    got = capsys.readouterr().out
    path = GOLDEN / f"{name}.explain.txt"
    if request.config.getoption("--update-golden"):
        path.parent.mkdir(exist_ok=True)
        path.write_text(got)
    assert got == path.read_text(), "if this is meant: pytest tests/cli --update-golden"


@pytest.mark.parametrize("level", ["layer", "regions", "plan", "program"])
@pytest.mark.parametrize("text", [ODD, AHEAD, (ROOT / "specs" / "mamba.ssm").read_text()], ids="abc")
def test_emit(level: str, text: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "x.ssm"
    path.write_text(text)
    assert main(["compile", str(path), "--emit", level]) == 0
    first = capsys.readouterr().out
    assert first.startswith(f"{level} of ") and "object at 0x" not in first
    assert main(["compile", str(path), "--emit", level, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)[level]
    assert [p.name for p in tmp_path.iterdir()] == ["x.ssm"]


@pytest.mark.parametrize("text", [ODD, AHEAD])
def test_every_page_can_be_written(text: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "x.ssm"
    path.write_text(text)
    assert main(["explain", str(path), "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert list(document["explanation"]) == KEYS
    assert main(["explain", str(path)]) == 0
    page = capsys.readouterr().out
    assert all(len(line) <= 124 for line in page.split("\n"))
    if text == AHEAD:
        assert "from the last token to the first" in page and "no `step`" in page


def test_explain_of_a_broken_spec(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "x.ssm"
    path.write_text(AHEAD.replace("+ u", "+ v"))
    assert main(["explain", str(path), "--json"]) == 1
    document = json.loads(capsys.readouterr().out)
    assert document["explanation"] is None and document["diagnostics"][0]["code"] == "SSM0201"


def _explained(text: str, **settings: int) -> dict:  # type: ignore[type-arg]
    done = run(Source("x.ssm", text), Options(settings), "plan")
    assert done.plan is not None, done.rendered()
    return explain(done.plan, 1, 100)


@pytest.mark.parametrize("name", ["s4d", "gss", "rglru"])
def test_the_adjoint_is_whole(name: str) -> None:
    """No part is left out, and what several lines share is named before it is read."""
    x = _explained((ROOT / "specs" / f"{name}.ssm").read_text(), d_model=8)
    a = x["recurrences"][0]["adjoint"]
    lines = [*a["where"], *a["each_token"], *a["summed_over_tokens"], *a["afterwards"]]
    assert "..." not in "".join(lines)
    seen: set[str] = set()
    for line in lines:
        assert set(re.findall(r"\bw_\d+", line.partition(" = ")[2])) <= seen, line
        seen |= set(re.findall(r"^w_\d+", line))


def test_settings_take_the_place_of_examples() -> None:
    text = (ROOT / "specs" / "mamba.ssm").read_text()
    x = _explained(text, d_model=64, d_state=8)
    assert {a["name"]: a["value"] for a in x["arguments"]}["dt_rank"] == 4
    assert not any(a["example"] for a in x["arguments"])
    assert x["state"]["count_value"] == 128 * 8 + 3 * 128


def test_mamba_counts_by_hand() -> None:
    """d_model D, E = 2 D, N = 16, R = D/16, width 4."""
    x = _explained((ROOT / "specs" / "mamba.ssm").read_text(), d_model=256)
    d, e, n, r = 256, 512, 16, 16
    linears = 2 * (d * 2 * e + e * (r + 2 * n) + r * e + e * d)
    conv_and_biases = 2 * 4 * e + e + e
    op = e * n + 2 * e * n + 2 * e * n + 2 * e * n + 3 * e  # dt*A, dt*(B*x), a*h + b, sum(C*h), + D*x and the gate
    assert x["work_per_token"]["flops_value"] == linears + conv_and_biases + op
    assert x["work_per_token"]["special_functions_value"] == e + e + e * n + e  # silu, softplus, exp, silu


@pytest.mark.parametrize(("text", "settings"), [
    ((ROOT / "specs" / "mamba.ssm").read_text(), {"d_model": 32}),
    ((ROOT / "specs" / "leaky.ssm").read_text(), {"d_model": 32}),
    (ODD, {"d_model": 16}),
], ids=["mamba", "leaky", "odd"])  # fmt: skip
def test_parameters_and_state_as_torch_has_them(text: str, settings: dict[str, int]) -> None:
    pytest.importorskip("torch")
    from ssmc.api import load

    x = _explained(text, **settings)
    layer = getattr(load(text), x["layer"])(**settings)
    rows = {e["key"]: e["shape_value"] for e in x["parameters"]["state_dict"]}
    assert rows == {k: list(v.shape) for k, v in layer.state_dict().items()}
    assert x["parameters"]["count_value"] == sum(p.numel() for p in layer.parameters())
    state = layer.init_state(1)
    numbers = [v.numel() * (2 if v.is_complex() else 1) for v in state]
    assert x["state"]["count_value"] == sum(numbers)


def test_counts_of_what_is_no_polynomial() -> None:
    done = run(Source("x.ssm", ODD), Options({"d_model": 10}), "plan")
    assert done.layer is not None
    sizes = Sizes(done.layer)
    args, examples = arguments(done.layer)
    assert examples == () and args["p"] == 0.5
    assert str(sizes.axis("E")) == "(d_model // n_heads)*n_heads"
    assert sizes.value(sizes.axis("E"), args) == 8
    assert sizes.value(sizes.axis("E"), {}) is None


@pytest.mark.parametrize("name", ("s4d", "mamba"))
def test_plot(name: str, tmp_path: Path) -> None:
    """A picture is written, whole; a layer without a filter has one, too."""
    out = tmp_path / "plot.png"
    assert main(["explain", str(ROOT / "specs" / f"{name}.ssm"), "--plot", str(out), "--set", "d_model=8"]) == 0
    assert out.read_bytes().startswith(b"\x89PNG")
    assert [p.name for p in tmp_path.iterdir()] == ["plot.png"]


def test_plot_where_it_cannot_be_written(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["explain", str(ROOT / "specs/leaky.ssm"), "--plot", "/nowhere/plot.png"]) == 2
    assert "cannot be written" in capsys.readouterr().err



READS = """edition 1

layer Reads(d_model)
  axis G = 2, J = 3, K = 4, V = 5
  input u[d_model]
  linear proj(u -> q[G, J, K], k[G, K], v[G, V], f[G, V], c[G, K])
  state S[G, K, V] allow unstable: S = {update}
  o = sum[K]({query} * S)
  linear out(o * sum[K](c) -> [d_model])
  return out
"""
WHY = {
    ("sigmoid(c) * prev(S) + k * v", "q"): "no read sums an axis of the state",
    ("sigmoid(f) * prev(S) + k * v", "c"): "the decay differs along `V`, which no read sums",
    ("sigmoid(c) * prev(S) + k * v + c * f", "c"): "its input is a sum, not one product of a key and a value",
    ("sigmoid(c) * prev(S) + k * v", "c * f"): "a read's weight differs along `V`",
    ("sigmoid(c) * prev(S) + k * v", "c"): None,
}


@pytest.mark.parametrize("written", WHY)
def test_why_there_are_no_chunks(written: tuple[str, str]) -> None:
    text = READS.format(update=written[0], query=written[1])
    done = run(Source("reads.ssm", text), until="plan")
    assert done.plan is not None, done.rendered()
    found = next(x for x in explain(done.plan)["recurrences"] if x["name"] == "S")
    assert found["not_outer_products"] == WHY[written]
    outside = {x["name"]: x["why"] for x in found["left_outside"]}
    assert ("has `J` too" in outside.get("o", "")) == (written[1] == "q")
