"""Matrix-valued states on a GPU: every size of head, precision and cut of time, kernel by kernel. `pytest -m gpu`."""

from __future__ import annotations

from functools import cache

import pytest
import torch

import ssmc
from tests.harness import Call, capture, cast, check, compare, error, layer_of, random_states, run

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU"),
    pytest.mark.filterwarnings("ignore"),
]

CORE = """layer Core(heads, dk, dv, groups = 1)
  axis G = groups, J = heads / groups, H = G * J, K = dk, V = dv
  input q[G, K]
  input k[G, K]
  input v[H, V]
  input g[{gate}]
  param rate[{gate}] = 1
  param skip[H] = 1
  state S[H, K, V]: S = exp(-softplus(g) * softplus(rate)) * prev(S) + k * v
  y = sum[K](q * K ** -0.5 * {read}) {more}
  return y
"""
SPECS = {
    "by head": CORE.format(gate="H", read="S", more="+ skip * v"),
    "by key": CORE.format(gate="H, K", read="S", more="+ skip * v"),
    "by head, late": CORE.format(gate="H", read="(prev(S) + skip * k * v)", more=""),
    "by key, late": CORE.format(gate="H, K", read="(prev(S) + skip * k * v)", more=""),
    "by key, two reads": CORE.format(gate="H, K", read="S", more="* (1 + tanh(sum[K](k * prev(S)) / K)) + skip * v"),
}
every = pytest.mark.parametrize("name", sorted(SPECS))
DTYPES = (torch.float32, torch.bfloat16, torch.float16)


@cache
def module(name: str, mode: str = "auto"):
    return ssmc.load(SPECS[name], options=ssmc.options.Options(mode=mode))


def call(name: str, B: int, T: int, H: int = 2, K: int = 64, V: int = 64, G: int = 1, mode: str = "auto") -> Call:
    """The op of a spec with random operands."""
    torch.manual_seed(0)
    m = module(name, mode)
    layer = layer_of(m)(H, K, V, G, device="cuda")
    keyed = "key" in name
    given = {"k": (G, K), "v": (H, V), "g": (H, K) if keyed else (H,)}
    more = {n: torch.randn(B, T, *shape, device="cuda") for n, shape in given.items()}
    return capture(m, layer, torch.randn(B, T, G, K, device="cuda"), **more)[0]


@every
@pytest.mark.parametrize(("K", "V"), [(1, 1), (16, 16), (20, 33), (64, 128), (128, 64), (128, 128), (256, 256)])
@pytest.mark.parametrize("dtype", DTYPES[:2], ids=str)
def test_head_sizes(name: str, K: int, V: int, dtype: torch.dtype) -> None:
    c = call(name, 2, 200, 2 if K > 1 else 32, K, V)  # of 1 by 1, more: what one rate or one state wants may cancel to rounding
    check(c, compare(c, dtype, random_states(c, 2, torch.float32, "cuda"), "triton"), dtype)


@every
@pytest.mark.parametrize("T", (16, 63, 64, 65, 1000))
def test_lengths(name: str, T: int) -> None:
    c = call(name, 2, T, 4, 64, 64, 2)
    for dtype in DTYPES:
        check(c, compare(c, dtype, None, "triton"), dtype)


@every
def test_time_in_pieces(name: str) -> None:
    """One row of two heads: pieces on the way of the state; against the walk over all time."""
    c = call(name, 1, 4096)
    wide = cast(c, torch.float64)
    want, _ = run(wide, None, "eager")
    for dtype in (torch.float32, torch.bfloat16):
        got, _ = run(cast(c, dtype), None, "triton")
        assert error(got[0], want[0], dtype != torch.float32) < (1e-4 if dtype == torch.float32 else 1e-2)
    walked, _ = run(cast(call(name, 1, 4096, mode="recurrent"), torch.float32), None, "triton")
    assert error(run(cast(c, torch.float32), None, "triton")[0][0], walked[0], False) < 1e-4


@every
def test_packed_and_repeatable(name: str) -> None:
    cu = torch.tensor([0, 5, 5, 70, 200, 333], device="cuda", dtype=torch.int32)
    c = call(name, 1, 333)
    states = random_states(c, 5, torch.float32, "cuda")
    for dtype in (torch.float32, torch.bfloat16):
        check(c, compare(c, dtype, states, "triton", cu), dtype)
    low = cast(c, torch.bfloat16)
    first, grads = run(low, states, "triton", cu)
    again, more = run(low, states, "triton", cu)
    assert all(torch.equal(a, b) for a, b in zip(first, again, strict=True))
    assert all(torch.equal(grads[k], more[k]) for k in grads)


@every
def test_extreme_decays(name: str) -> None:
    c = call(name, 1, 300)
    levels = torch.tensor([-60.0, -5.0, 0.0, 5.0, 50.0, 1e4], device="cuda")
    c.operands["g"] = levels[torch.randint(0, 6, c.operands["g"].shape, device="cuda")]
    for dtype in (torch.float32, torch.bfloat16):
        check(c, compare(c, dtype, None, "triton"), dtype)
