"""The kernels of chunks, in Triton's interpreter: against the token loop in float64, however keys, values and time are cut."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

import ssmc
from tests.backends.interpreter import ROOT, Found, interpret, judge
from tests.backends.matrix_specs import matrix_spec

KEYS = {"part": 16, "strip": 16, "block": 16}
CASES = [
    {"T": 36, "rows": 1, "states": True, "poisoned": True},
    {"T": 20, "rows": 1, "strides": True, "chunks": {"tokens": 16, "values": 16, **KEYS}, "poisoned": True},
    {"T": 50, "rows": 1, "states": True, "chunks": {"tokens": 16, "pieces": 2, **KEYS}},
    {"cu_seqlens": [0, 5, 5, 36], "states": True, "chunks": {"tokens": 16}},
    {"cu_seqlens": [0, 17, 17, 52], "chunks": {"tokens": 16, "pieces": 3, "values": 16, **KEYS}},
]

LAYERS = {
    # more values than a block has, more keys than a block; a query that is late beside one that is not
    "wide": """layer Wide(d_model)
  axis H = 1, K = 20, V = 32
  input u[d_model]
  linear qkvz(u -> q[H, K], r[H, K], k[H, K], v[H, V], z[H, K])
  param gain[H, K] = 1
  param bias[V] = 0
  state S[H, K, V]: S = exp(-softplus(z)) * prev(S) + gain * k * v
  a = sum[K](q * S)
  b = sum[K](r * prev(S))
  y[H, V] = a + b * silu(v) + bias
  return mean[H, V](y) + u
""",
    # the same with one decay a head, shared keys, and values whose sum the adjoint needs
    "shared": """layer Shared(d_model)
  axis G = 1, J = 2, H = G * J, K = 20, V = 32
  input u[d_model]
  linear qkvz(u -> q[G, K], k[G, K], v[H, V], z[H], s[H])
  param rate[H] = 1
  state S[H, V, K]: S = exp(-softplus(z) * exp(rate)) * prev(S) + sigmoid(s) * k * v
  a[H, V] = sum[K](q * S) * tanh(s)
  return mean[H, V](a) + u
""",
    # keys of two axes, of which each factor of a key has one
    "squares": """layer Squares(d_model)
  axis H = 1, K = 4, L = K, V = 17
  input u[d_model]
  linear qkv(u -> q[H, K], k[H, K], v[H, V])
  state S[H, K, L, V] allow unstable: S = prev(S) + k * k[K as L] * v
  return mean[H, V](sum[K, L](q * q[K as L] * S)) + u
""",
    # a step that both decay and values have: a part of its cotangent is of all values, another is not
    "stepped": """layer Stepped(d_model)
  axis H = 2, K = 3, V = 32
  input u[d_model]
  linear qkvg(u -> q[H, K], k[H, K], v[H, V], g[H])
  param rate[H] = 1
  dt = softplus(g + rate)
  state S[H, K, V]: S = exp(-dt * exp(rate)) * prev(S) + k * (dt * v)
  return mean[H, V](sum[K](q * S)) + u
""",
    # a result that is not linear in its read, of which keys that the token brings are a part
    "bonus": """layer Bonus(d_model)
  axis H = 2, K = 20, V = 17
  input u[d_model]
  linear qkvz(u -> q[H, K], k[H, K], v[H, V], z[H, K])
  param bonus[H, K] = 0.3
  state S[H, K, V]: S = exp(-softplus(z)) * prev(S) + k * v
  return mean[H, V](tanh(sum[K](q * (prev(S) + bonus * k * v)))) + u
""",
    # a result that is not linear in its read, so that the way back needs the read itself; no decay at all
    "gated": """layer Gated(d_model)
  axis H = 2, K = 3, V = 5
  input u[d_model]
  linear qkv(u -> q[H, K], k[H, K], v[H, V])
  state S[H, K, V]: S = prev(S) + k * v
  a = tanh(sum[K](q * S)) * v
  return mean[H, V](a) + u
""",
    # decays from 1e-8 to 1e4 in one sequence
    "extreme": """layer Extreme(d_model)
  axis H = 2, K = 3, V = 4
  input u[d_model]
  linear qkvr(u -> q[H, K], k[H, K], v[H, V], r[H, K])
  param scale[H, K] = 1
  level = where(r > 0.8, -10000, where(r > 0.4, -50, where(r > 0, -5, where(r > -0.4, -0.1, -0.00000001))))
  state S[H, K, V]: S = exp(scale * level) * prev(S) + k * v
  return mean[H, V](sum[K](q * S)) + u
""",
    "extreme_heads": """layer ExtremeHeads(d_model)
  axis H = 2, K = 3, V = 4
  input u[d_model]
  linear qkvr(u -> q[H, K], k[H, K], v[H, V], r[H])
  param scale[H] = 1
  level = where(r > 0.8, -10000, where(r > 0.4, -50, where(r > 0, -5, where(r > -0.4, -0.1, -0.00000001))))
  state S[H, K, V]: S = exp(scale * level) * prev(S) + k * v
  return mean[H, V](sum[K](q * S)) + u
""",
    # one value as key and as the query of two reads
    "tied": """layer Tied(d_model)
  axis H = 2, K = 3, V = 4
  input u[d_model]
  linear kvz(u -> k[H, K], v[H, V], z[H, K])
  state S[H, K, V]: S = exp(-softplus(z)) * prev(S) + k * v
  a = sum[K](k * S)
  b = sum[K](k * prev(S))
  return mean[H, V](a * tanh(b)) + u
""",
    # against the direction of time
    "backward": """layer Backward(d_model)
  axis H = 2, K = 3, V = 4
  input u[d_model]
  linear qkvz(u -> q[H, K], k[H, K], v[H, V], z[H, K])
  state S[H, K, V]: S = sigmoid(z) * next(S) + k * v
  return mean[H, V](sum[K](q * S)) + u
""",
}
BACKWARD = [{**case, "states": False} for case in CASES]
OF = {"wide": CASES, "shared": CASES[1:4], "stepped": CASES[1:2], "bonus": CASES[1:3], "backward": [BACKWARD[0], BACKWARD[3]]}
JOBS = {n: {"text": s, "cases": OF.get(n, [CASES[0]])} for n, s in LAYERS.items()}
SHIPPED = {
    "mamba2": {"d_state": 5, "headdim": 4, "ngroups": 2},
    "rwkv6": {"head_size": 8, "mix_rank": 3, "decay_rank": 3},
}
TURNED = {"num_heads": 1}  # 16 keys, halves of which are turned together
WHOLE = {
    n: {"text": (ROOT / f"specs/{n}.ssm").read_text(), "cases": CASES[:1], "arguments": [8], "keywords": k}
    for n, k in SHIPPED.items()
}
WHOLE["retnet"] = {
    "text": (ROOT / "specs/retnet.ssm").read_text(), "cases": CASES[:1], "arguments": [16], "keywords": TURNED
}  # fmt: skip
IDLE = {"text": LAYERS["gated"], "cases": [{"T": 20, "poisoned": True, "idle": "outputs"}]}


@pytest.fixture(scope="module")
def found() -> Found:
    return interpret({**JOBS, **WHOLE, "idle": IDLE})


@pytest.mark.parametrize("name", [*JOBS, *WHOLE])
def test_kernels(name: str, found: Found) -> None:
    judge(found[name])


def test_a_read_of_unwritten_memory_is_seen(found: Found) -> None:
    """Results that no kernel has written."""
    assert float("inf") in [e for k, e in found["idle"].items() if k.startswith("poisoned")]


def test_pairs_of_tokens() -> None:
    """One pivot where decays are mild, many otherwise: on both sides of what tells them apart both are exact, and further
    off the one that is chosen."""
    run = subprocess.run([sys.executable, "-m", "tests.backends.pairs"], capture_output=True, text=True, cwd=ROOT)
    assert run.returncode == 0, run.stderr[-3000:]
    cases = json.loads(run.stdout)
    assert {bool(found["mild"]) for _, _, _, found in cases} == {True, False}
    for total, late, near, found in cases:
        assert found.pop("mild") == (total > -64)
        assert max(found.values()) < 1e-5, (total, late, near, found)


@pytest.mark.slow
@pytest.mark.parametrize("first", range(0, 64, 16))
def test_random_layers(first: int) -> None:
    """However they are composed; one whose equations do not fit a chunk's tiles is walked instead."""
    cases = [{"T": 37, "rows": 1, "states": True, "chunks": CASES[2]["chunks"]}, CASES[3]]
    texts = {str(i): matrix_spec(i) for i in range(first, first + 16)}
    chunked = {n: x for n, x in texts.items() if "_chunks_backward" in ssmc.compile_source(x)}
    assert len(chunked) > 8
    for name, found in interpret({n: {"text": x, "cases": cases} for n, x in chunked.items()}).items():
        assert all(isinstance(e, float) for e in found.values()), (chunked[name], found)
        judge(found)
