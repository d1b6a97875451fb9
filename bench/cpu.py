"""Generated layers against the pure-torch layers people use, on this machine's CPU: whole layers with the same weights,
forward, and forward with backward, in float32.

    pip install transformers mambapy
    python bench/cpu.py --out bench/results/cpu.json

Both are first compared with each other; then they run in turns, and the figures are medians and their ratio.
A peer that is not installed is named and left out.
"""

from __future__ import annotations

import argparse
import json
import platform
import statistics
import sys
import time
import warnings
from collections.abc import Callable, Iterator
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import torch
from torch import Tensor, nn

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "bench")]

import plain  # noqa: E402

import ssmc  # noqa: E402

Layer = Callable[[Tensor], Tensor]
TOLERANCE = 3e-4  # between two float32 layers, each with roundings of its own, relative to the largest value


def made(spec: str, **sizes: int) -> nn.Module:
    module = ssmc.load(ROOT / "specs" / f"{spec}.ssm")
    torch.manual_seed(0)
    return getattr(module, module.__all__[0])(**sizes)


def pairs(width: int) -> Iterator[tuple[str, str, nn.Module, nn.Module, Layer]]:
    """Spec, peer, our layer, and the module and function of the peer with the same weights."""
    ours = made("mamba", d_model=width)
    try:
        from transformers.models.mamba.modeling_mamba import MambaConfig, MambaMixer

        config = MambaConfig(hidden_size=width, time_step_rank=ours.dt_rank)
        mixer = MambaMixer(config, layer_idx=0)
        mixer.load_state_dict(ours.state_dict())
        slow = getattr(mixer, "slow_forward", mixer)  # newer ones take the slow path by themselves
        yield "mamba", f"transformers {version('transformers')}, slow path", ours, mixer, slow
    except ImportError as missing:
        print(f"transformers: not installed ({missing.name})")
    try:
        from mambapy.mamba import MambaBlock, MambaConfig

        block = MambaBlock(MambaConfig(d_model=width, n_layers=1))
        block.load_state_dict(ours.state_dict())
        yield "mamba", f"mambapy {package('mambapy')}, parallel scan", ours, block, block
    except ImportError as missing:
        print(f"mambapy: not installed ({missing.name})")
    ours = made("s4d", d_model=width)
    yield "s4d", "plain torch: Vandermonde and FFT", ours, ours, lambda u: plain.convolution_layer(ours, u)
    for n in (64, width):
        wide = made("lru", d_model=width, d_state=n)
        yield f"lru, {n} states", "plain torch: scan of log depth", wide, wide, lambda u, w=wide: plain.scan_layer(w, u)


def package(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return "unknown"


def gradients(layer: Layer, owner: nn.Module, u: Tensor, g: Tensor) -> tuple[Tensor, ...]:
    u = u.detach().requires_grad_()
    return torch.autograd.grad(layer(u), [u, *owner.parameters()], g)


def apart(ours: dict[str, Tensor], theirs: dict[str, Tensor]) -> float:
    """The largest difference, relative to the largest value of the same tensor."""
    return max(float((a - theirs[k]).abs().max() / theirs[k].abs().max().clamp_min(1e-12)) for k, a in ours.items())


def compare(ours: nn.Module, module: nn.Module, peer: Layer, u: Tensor, g: Tensor) -> float:
    def found(layer: Layer, owner: nn.Module) -> dict[str, Tensor]:
        names = ["", *(n for n, _ in owner.named_parameters())]
        return dict(zip(names, gradients(layer, owner, u, g), strict=True)) | {"y": layer(u).detach()}

    return apart(found(ours, ours), found(peer, module))


def in_turns(runs: dict[str, Callable[[], object]], repeats: int) -> dict[str, float]:
    """Medians in ms of runs that take turns, so that what disturbs the machine disturbs all alike. The first of several
    warms up; what has taken a minute is not run again."""
    # on one thread the time it was running: others on the machine disturb that least
    clock = time.process_time if torch.get_num_threads() == 1 else time.perf_counter
    times: dict[str, list[float]] = {name: [] for name in runs}
    for _ in range(repeats + 1):
        for name, run in runs.items():
            if sum(times[name]) < 60e3:
                began = clock()
                run()
                times[name].append((clock() - began) * 1e3)
    return {name: statistics.median(found[1:] or found) for name, found in times.items()}


def measure(ours: nn.Module, module: nn.Module, peer: Layer, shape: tuple[int, ...], repeats: int) -> dict[str, float]:
    u, g = torch.randn(shape), torch.randn(shape)
    difference = compare(ours, module, peer, u, g)
    if difference > TOLERANCE:
        raise SystemExit(f"the layers differ by {difference:.1e}: no time for a wrong result")
    with torch.no_grad():
        forward = in_turns({"ours": lambda: ours(u), "peer": lambda: peer(u)}, repeats)
    both = in_turns(
        {"ours": lambda: gradients(ours, ours, u, g), "peer": lambda: gradients(peer, module, u, g)}, repeats
    )
    return {
        "difference": difference,
        "forward_ms": forward["ours"], "peer_forward_ms": forward["peer"],
        "forward_ratio": forward["peer"] / forward["ours"],
        "forward_backward_ms": both["ours"], "peer_forward_backward_ms": both["peer"],
        "forward_backward_ratio": both["peer"] / both["ours"],
    }  # fmt: skip


def cpu() -> str:
    """The name of the processor."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        return next(line.split(":", 1)[1].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.processor()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--out", default="cpu.json")
    parser.add_argument("--batch", type=int, default=2)
    parser.add_argument("--length", type=int, default=1024)
    parser.add_argument("--width", type=int, default=256)
    parser.add_argument("--repeats", type=int, default=9)
    parser.add_argument("--threads", type=int, default=1, help="threads of torch; on a machine that is shared, one")
    parser.add_argument("--only", default="", help="specs whose name begins so")
    args = parser.parse_args()
    warnings.simplefilter("ignore")
    torch.set_num_threads(args.threads)
    torch.manual_seed(0)
    rows = []
    for spec, name, ours, module, peer in pairs(args.width):
        if not spec.startswith(args.only):
            continue
        found = measure(ours, module, peer, (args.batch, args.length, args.width), args.repeats)
        rows.append({"spec": spec, "peer": name, **{k: float(f"{v:.4g}") for k, v in found.items()}})
        print(
            f"{spec:16} {name:40} forward {found['forward_ms']:7.1f} and {found['peer_forward_ms']:7.1f} ms"
            f" ({found['forward_ratio']:.2f}x), with backward {found['forward_backward_ms']:7.1f} and"
            f" {found['peer_forward_backward_ms']:7.1f} ms ({found['forward_backward_ratio']:.2f}x)", flush=True,
        )  # fmt: skip
    head = {
        "date": time.strftime("%Y-%m-%d"), "cpu": cpu(), "threads": torch.get_num_threads(),
        "torch": torch.__version__, "ssmc": ssmc.__version__,
        "batch": args.batch, "length": args.length, "width": args.width, "dtype": "float32",
    }  # fmt: skip
    Path(args.out).write_text(json.dumps({**head, "rows": rows}, indent=1) + "\n")


if __name__ == "__main__":
    main()
