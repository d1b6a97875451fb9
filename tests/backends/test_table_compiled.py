"""The kernels of `bench/table.toml` at its sizes compile for sm_90 without a GPU, and spill no more than is written here;
those of outer products need no more shared memory than there is, and `test_compiled.py` looks at what they spill. Lengths
share their compilations."""

from __future__ import annotations

import inspect
import json
import warnings
from collections import Counter
from pathlib import Path

import pytest

pytest.importorskip("torch")
pytest.importorskip("triton")

import torch

import ssmc
from ssmc.measuring.cases import Case, read_cases
from ssmc.measuring.first import spread_lengths
from ssmc.measuring.goals import COMPILATIONS
from tests.backends.allocations import peak_of
from tests.backends.compiled import _launch_op, compile_launch, recording, source_hash
from tests.harness import Call, layer_of

ROOT = Path(__file__).parents[2]
SEVERAL = ("mlstm-4x4096",)  # ops, which are measured as one
CASES = [c for c in read_cases(ROOT / "bench" / "table.toml") if c.spec.startswith("bench/") and c.name not in SEVERAL]
SHARED = 232_448  # bytes of shared memory a program of sm_90 may have
# Bytes a thread spills where it holds most; what spills and was measured to be faster so is told in bench/NOTES.md.
SPILLS = {
    "other_gates_backward_kernel": 16, "head_step_backward_kernel": 40, "two_reads_backward_kernel": 136,
    "filtered_backward_kernel": 8,
}  # fmt: skip
CONTROLS = {"initial_state", "return_state", "cu_seqlens", "backend", "inplace"}
NEEDS: dict[str, dict[str, int]] = {}
LENGTHS = ("scan-8x2048", "scan-1x16384", "scan-64x512", "hgrn")


def call_of(case: Case) -> Call:
    """The op of a case on tensors that are not there."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        module = ssmc.load(ROOT / case.spec)
    layer = layer_of(module)(**case.args, device="meta")
    (op,) = module.OPS
    parameters, operands = dict(layer.named_parameters()), {}
    for name, (role, axes) in module.OPS[op].items():
        sizes = [getattr(layer, a) for a in axes]
        if role == "token":  # what a sum gives is complex where the state is
            dtype = torch.complex64 if name.endswith("_sum") else getattr(torch, case.dtype)
            operands[name] = torch.empty(case.batch, case.length, *sizes, device="meta", dtype=dtype)
        elif role == "parameter":
            value = parameters[name]
            operands[name] = torch.view_as_complex(value) if value.dim() > len(axes) else value
    names = set(inspect.signature(getattr(module, op)).parameters) - CONTROLS - set(operands)
    return Call(module, op, operands, {n: getattr(layer, n) for n in sorted(names)})


@pytest.mark.parametrize("case", [c for c in CASES if c.name in LENGTHS], ids=lambda c: c.name)
def test_lengths_share_compilations(case: Case) -> None:
    """Launches that differ in signature, constants or divisibility are compilations of their own."""
    call, found = call_of(case), []
    for length in spread_lengths(case.length, 200):
        cut = {n: v[:, :length].contiguous() if n in call.tokens() else v for n, v in call.operands.items()}
        with recording(call.module) as launches:
            _launch_op(Call(call.module, call.op, cut, call.numbers), False)
        found += [launch for _, launch in launches]
    counts = Counter(launch.name for launch in set(found))
    assert len(counts) > 3 and max(counts.values()) <= COMPILATIONS, counts


@pytest.mark.slow
@pytest.mark.parametrize("case", CASES, ids=lambda c: c.name)
def test_kernels_of_the_table(case: Case) -> None:
    call = call_of(case)
    with recording(call.module) as found:
        _launch_op(call, False)
    names = {launch.name.removeprefix(call.op.removesuffix("op")) for _, launch in found}
    wanted = {"keep_kernel", "backward_kernel", "step_kernel"} | ({"walk_kernel"} if case.length > 1 else set())
    assert wanted <= names
    (found_class,) = (p["class"] for p in call.module.PLAN.values() if isinstance(p, dict) and "class" in p)
    outer = found_class in ("O1", "O2")
    for kernel, launch in dict.fromkeys(found):
        key = source_hash(kernel, launch, 90)
        if key not in NEEDS:
            NEEDS[key] = compile_launch(kernel, launch)
        assert NEEDS[key]["shared"] <= SHARED
        assert outer or NEEDS[key]["stack"] <= SPILLS.get(launch.name, 0), (launch, NEEDS[key])


def test_pieces_in_turn_fill_waves() -> None:
    """Of the selective scan: no row twice in a launch, and few places on the device idle. Rows that fill less than half of
    a wave are cut into pieces that are walked at once; where little is kept, pieces are not walked in turn."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        choose = ssmc.load(ROOT / "bench/selective_scan.ssm").choose_selective_scan
    for rows, length, channels, cut in ((8, 2048, 5120, (1, 8)), (1, 16384, 5120, (33, 2)), (64, 512, 1536, (1, 2))):
        config = choose(rows, length, channels, 16, 132)
        at_once = rows * channels // config.lanes * config.pieces
        programs = at_once * config.parts
        assert config[3:5] == cut and config.wave == 8 * 132 <= at_once
        assert programs / (-(-programs // config.wave) * config.wave) > 0.95
    assert choose(8, 256, 1536, 16, 132).wave == 0
    many = choose(65536, 15, 1536, 16, 132)  # short rows: a launch has more of them, not one of 4096 launches
    assert many.parts == 1 and 65536 * 1536 // many.lanes // many.wave < 256


PEERS = json.loads((ROOT / "bench/results/2026-11-23-h200-rows.json").read_text())


@pytest.mark.parametrize("name", ["scan-8x2048", "scan-1x16384"])
def test_memory_of_forward_and_backward(name: str) -> None:
    """No more than the peer was measured to need."""
    (case,) = [c for c in CASES if c.name == name]
    (measured,) = [c for c in PEERS["cases"] if c["case"] == name]
    assert peak_of(call_of(case)) <= max(r["peak_bytes"] or 0 for r in measured["rows"] if r["who"] != "ours")
