"""Times generated ops on this machine's GPU: medians of CUDA events, bf16 in and out, the check against float64 first.

    python bench/ops.py --out bench/results/ops.json

Floors count each input read once and each output written once over the measured copy bandwidth; backward reads the
inputs
and the result's gradient and writes the inputs' gradients.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from pathlib import Path

import torch

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

import ssmc  # noqa: E402

CASES = (
    ("bench/selective_scan.ssm", {"d_inner": 5120, "d_state": 16}, 8, 2048),
    ("bench/selective_scan.ssm", {"d_inner": 5120, "d_state": 16}, 1, 16384),
    ("bench/selective_scan.ssm", {"d_inner": 1536, "d_state": 16}, 64, 512),
    ("bench/selective_scan.ssm", {"d_inner": 2048, "d_state": 16}, 1, 131072),
    ("specs/hgrn.ssm", {"d_model": 2048}, 4, 4096),
    ("specs/gated_rnn.ssm", {"d_model": 2048}, 8, 2048),
)


def median(run, repeats: int = 20, warmup: int = 5) -> float:
    """Median time of a call in ms."""
    for _ in range(warmup):
        run()
    events = [(torch.cuda.Event(enable_timing=True), torch.cuda.Event(enable_timing=True)) for _ in range(repeats)]
    for a, b in events:
        a.record()
        run()
        b.record()
    torch.cuda.synchronize()
    return sorted(a.elapsed_time(b) for a, b in events)[repeats // 2]


def copy_bandwidth() -> float:
    """Bytes read and written a second by a large copy."""
    a = torch.empty(2**30, dtype=torch.uint8, device="cuda")
    b = torch.empty_like(a)
    return 2 * a.numel() / median(lambda: b.copy_(a)) * 1e3


def operands(spec: str, sizes: dict[str, int], B: int, T: int):
    """A module's op with random streaming operands in bf16 and its own parameters."""
    module = ssmc.load(ROOT / spec)
    layer = getattr(module, module.__all__[0])(**sizes, device="cuda")
    (name,) = module.OPS
    axes = {a: getattr(layer, a) for _, shape in module.OPS[name].values() for a in shape}
    values = {}
    for n, (role, shape) in module.OPS[name].items():
        if role == "token":
            values[n] = torch.randn(B, T, *(axes[a] for a in shape), device="cuda", dtype=torch.bfloat16)
        elif role == "parameter":
            values[n] = getattr(layer, n).detach()
    return module, name, values


def check(module, name: str, values: dict[str, torch.Tensor]) -> float:
    """The RMS error ratio of 64 tokens against the token loop in float64."""
    tokens = {n for n, (role, _) in module.OPS[name].items() if role == "token"}
    short = {n: v[:1, :64] if n in tokens else v for n, v in values.items()}
    want = getattr(module, name.removesuffix("_op") + "_reference")(**{n: v.double() for n, v in short.items()})
    got = getattr(module, name)(**short, backend="triton")
    return float((got.double() - want).square().mean().sqrt() / want.square().mean().sqrt())


def measure(spec: str, sizes: dict[str, int], B: int, T: int, bandwidth: float) -> dict[str, object]:
    """One row of the results."""
    module, name, values = operands(spec, sizes, B, T)
    error = check(module, name, values)
    op = getattr(module, name)
    began = time.perf_counter()
    leaves = {n: v.clone().requires_grad_() for n, v in values.items()}
    y = op(**leaves)
    g = torch.randn_like(y)
    y.backward(g)
    torch.cuda.synchronize()
    first = time.perf_counter() - began

    def both() -> None:
        torch.autograd.grad(op(**leaves), list(leaves.values()), g)

    tokens = [n for n, (role, _) in module.OPS[name].items() if role == "token"]
    moved = sum(values[n].numel() * values[n].element_size() for n in tokens)
    out = y.numel() * y.element_size()
    forward = median(lambda: op(**values))
    total = median(both)
    torch.cuda.reset_peak_memory_stats()
    before = torch.cuda.memory_allocated()
    both()
    peak = torch.cuda.max_memory_allocated() - before
    return {
        "spec": spec, **sizes, "batch": B, "length": T, "rms_error": error,
        "forward_ms": forward, "forward_backward_ms": total,
        "floor_forward_ms": (moved + out) / bandwidth * 1e3,
        "floor_forward_backward_ms": (moved + out + moved + out + moved) / bandwidth * 1e3,
        "first_call_s": first, "peak_bytes": peak,
    }  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--out", default="ops.json")
    args = parser.parse_args()
    import triton

    bandwidth = copy_bandwidth()
    head = {
        "date": time.strftime("%Y-%m-%d"), "gpu": torch.cuda.get_device_name(), "torch": torch.__version__,
        "triton": triton.__version__, "copy_bytes_per_s": bandwidth, "ssmc": ssmc.__version__,
    }  # fmt: skip
    rows = []
    for case in CASES:
        row = measure(*case, bandwidth)
        rows.append(row)
        print({k: round(v, 4) if isinstance(v, float) else v for k, v in row.items()}, flush=True)
    Path(args.out).write_text(json.dumps({**head, "rows": rows}, indent=1) + "\n")


if __name__ == "__main__":
    main()
