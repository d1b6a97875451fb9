"""Kernels compile at real sizes without a GPU: all of them for sm_90, where few spill, some for its neighbours."""

from __future__ import annotations

import warnings
from pathlib import Path
from types import ModuleType

import pytest
import torch

import ssmc
from tests.backends.compiled import (
    calls_of,
    chunks_of,
    compile_launch,
    convs_of,
    kernels_of,
    launches_of,
    source_hash,
    steps_of,
)
from tests.backends.little_specs import SPECS
from tests.harness import capture, cast, layer_of

ROOT = Path(__file__).parents[2]
SHIPPED = {p.stem: p for p in (ROOT / "specs").glob("*.ssm") if p.stem != "rwkv4_channel"}  # which has no kernel
ARGUMENTS: dict[str, dict[str, int]] = {
    "two_inner": {"d_model": 64, "n": 4, "m": 16},
    "heads": {"d_model": 2048, "h": 32, "n": 16},
    "complex_state": {"d_model": 1024, "n": 16},
    "two_results": {"d_model": 1024, "n": 64},
    "delta": {"d_model": 1024, "h": 8, "dk": 128, "dv": 128},
    "meeting": {"d_model": 1024, "n": 4},
    "mamba": {"d_model": 2560},
    "gss": {"d_model": 512},
    # states that are matrices, so few of them that time is cut into pieces
    "gla": {"d_model": 64},
    "hgrn2": {"d_model": 64, "expand_ratio": 16},
    "lightning": {"d_model": 64, "num_heads": 4},
    "linear_attention": {"d_model": 64, "num_heads": 4},
    "mamba2": {"d_model": 64, "headdim": 16, "d_state": 16},
    "mlstm": {"d_model": 64},
    "retnet": {"d_model": 64, "num_heads": 4},
    "rwkv5": {"d_model": 64, "head_size": 16},
    "rwkv6": {"d_model": 64, "head_size": 16},
    "simple_gla": {"d_model": 64},
}
# A scan with inner axes, pieces and a convolution; a complex state; no scan.
REPRESENTATIVES = ("mamba", "liquid_s4", "gated_rnn")
LONG = (1, 16384, True)
SHARED = {"_sum_kernel", "_gather_kernel"}  # not every layer has parameters to sum for, or much to keep
TOO_WIDE = {
    "gss": {"_states_kernel", "_outputs_kernel", "_weights_kernel"}
}  # more state values than chunk kernels take
LARGEST = 101_376  # bytes of shared memory that smaller devices have
# Bytes a thread spills, none but these and no more: outside of loops, or where holding less was measured to be slower
# (bench/NOTES.md). A state of complex numbers has two fields, and a coefficient that is worked out in float64.
SPILLS = {
    "mamba_backward_kernel": 32, "complex_state_keep_kernel": 72, "liquid_s4_walk_kernel": 56, "delta_backward_kernel": 32,
    "delta_keep_kernel": 40, "two_results_backward_kernel": 592, "heads_backward_kernel": 72, "complex_state_backward_kernel": 264,
    "gss_walk_kernel": 128, "gss_piece_kernel": 96, "gss_backward_kernel": 96, "liquid_s4_backward_kernel": 64, "lti_backward_kernel": 192,
    "s4d_backward_kernel": 64, "dss_backward_kernel": 64,
    # inside chunks, where the tiles of keys, queries and their cotangents stand side by side
    "rwkv6_d_keys_kernel": 24, "hgrn2_d_keys_kernel": 88, "gla_scores_kernel": 96,
    "heads_d_values_kernel": 64, "heads_outputs_kernel": 24, "mamba2_outputs_kernel": 336,
    "simple_gla_outputs_kernel": 24, "simple_gla_d_queries_kernel": 64, "mamba2_d_queries_kernel": 8, "mlstm_S_outputs_kernel": 24,
    # walks over matrices, which serve few tokens
    "hgrn2_walk_kernel": 112, "ret_net_backward_kernel": 624, "ret_net_walk_kernel": 344, "rwkv5_walk_kernel": 8,
    "rwkv6_walk_kernel": 192, "hgrn2_keep_kernel": 8, "hgrn2_backward_kernel": 384, "gss_step_kernel": 64, "rwkv5_backward_kernel": 168,
}  # fmt: skip
NEEDS: dict[str, dict[str, int]] = {}  # what was compiled, by the hash of its source


def loaded(name: str) -> tuple[ModuleType, torch.nn.Module]:
    """The module of a shipped spec or a little one, and its layer at a real size."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        module = ssmc.load(SHIPPED[name] if name in SHIPPED else "edition 1\n\n" + SPECS[name])
    return module, layer_of(module)(**ARGUMENTS.get(name, {"d_model": 2048}), device="meta")


def compiled(name: str, arch: int, calls: tuple[tuple[int, int, bool], ...]) -> set[str]:
    """Compiles what calls (rows, tokens, with states or without) launch, each source once; the kernels' names."""
    module, layer = loaded(name)
    seen = set()
    for rows, tokens, states in calls:
        for kernel, launch in launches_of(module, layer, rows, tokens, torch.bfloat16, states):
            seen.add(launch.name)
            key = source_hash(kernel, launch, arch)
            if key not in NEEDS:
                NEEDS[key] = compile_launch(kernel, launch, arch)
            need = NEEDS[key]
            assert need["stack"] <= SPILLS.get(launch.name, 0), (launch, need)
            assert launch.name in SPILLS or need["LDL"] == need["STL"] == 0, (launch, need)
            assert need["shared"] <= LARGEST
            assert need["unset"] == 0, (launch, "reads what nothing wrote")
    assert set(kernels_of(module)) - seen <= SHARED | TOO_WIDE.get(name, set())
    return seen


ALIKE = {  # kernels like those of gla, mamba2, rwkv6; of s4d, lti; of lru, heads, leaky
    "linear_attention", "lightning", "mlstm", "retnet", "rwkv5", "simple_gla", "hgrn2", "dss", "gss", "mega_ema",
    "s5", "two_inner", "rglru",
}  # fmt: skip
ALL = [
    pytest.param(n, marks=pytest.mark.slow if n in ALIKE else ())
    for n in sorted({*SHIPPED, *SPECS} - {"stabilised", "quotient"})
]


@pytest.mark.parametrize("name", ALL)
def test_every_kernel_for_sm_90(name: str) -> None:
    """One long row, whose time is cut into pieces, from given states; and several short ones from none."""
    compiled(name, 90, (LONG, (2, 2048, False)) if name in REPRESENTATIVES else (LONG,))


FULL = {"mamba2": {"d_model": 2560}, "gla": {"d_model": 2048, "num_heads": 16, "expand_k": 1.0}}


@pytest.mark.slow
@pytest.mark.parametrize("name", sorted(FULL))
def test_chunks_at_full_size(name: str) -> None:
    """Heads of 128 keys and 64 or 128 values; the second configuration is that of devices with less shared memory."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        module = ssmc.load(SHIPPED[name])
    layer = layer_of(module)(**FULL[name], device="meta")
    for room, largest in ((232_448, 232_448), (LARGEST, LARGEST)):
        module._shared = lambda device, room=room: room
        for kernel, launch in chunks_of(module, calls_of(module, layer, 8, 2048, torch.bfloat16)):
            need = compile_launch(kernel, launch)
            assert need["stack"] <= SPILLS.get(launch.name, 0), (launch, need)
            assert need["shared"] <= largest and need["unset"] == 0, (launch, need)


HEADS = """layer Core(heads, dk, dv)
  axis H = heads, K = dk, V = dv
  input q[H, K]
  input k[H, K]
  input v[H, V]
  input g[{gate}]
  state S[H, K, V]: S = exp(-softplus(g)) * prev(S) + k * v
  return sum[K](q * S)
"""


@pytest.mark.slow
@pytest.mark.parametrize("gate", ("H", "H, K"))
@pytest.mark.parametrize(("K", "V"), [(16, 16), (20, 33), (128, 64), (256, 256)])
def test_head_sizes_set_what_they_read(gate: str, K: int, V: int) -> None:
    module = ssmc.load(HEADS.format(gate=gate))
    layer = layer_of(module)(2, K, V, device="meta")
    shapes = {"q": (2, K), "k": (2, K), "v": (2, V), "g": (2, K) if "K" in gate else (2,)}
    q, *others = (torch.empty(2, 200, *shape, device="meta") for shape in shapes.values())
    calls = capture(module, layer, q, **dict(zip("kvg", others, strict=True)))
    for kernel, launch in chunks_of(module, [cast(c, torch.bfloat16) for c in calls]):
        need = compile_launch(kernel, launch)
        assert need["unset"] == 0 and need["shared"] <= 232_448, (launch, need)


@pytest.mark.parametrize("arch", (80, 100))
@pytest.mark.parametrize("name", [pytest.param("mamba", marks=pytest.mark.slow), *REPRESENTATIVES[1:]])
def test_representatives_for_other_architectures(name: str, arch: int) -> None:
    seen = compiled(name, arch, (LONG,))
    for kind in ("walk", "backward", "step"):
        assert f"{name}_{kind}_kernel" in seen
    assert name != "mamba" or {"mamba_conv1d_kernel", "mamba_conv1d_backward_kernel", "mamba_piece_kernel"} <= seen


@pytest.mark.parametrize("name", sorted(SHIPPED))
def test_a_step_in_place_is_one_launch(name: str) -> None:
    """Of each op and of each convolution."""
    module, layer = loaded(name)
    names = [launch.name for _, launch in steps_of(module, layer, 4, torch.bfloat16)]
    stems = [op.removesuffix("_op") for op in module.OPS]
    wanted = [*(f"{s}_step_kernel" for s in stems), *(f"{s}_kernel" for s, _ in convs_of(module, layer))]
    assert sorted(names) == sorted(wanted)
