"""What the examples share: finding a layer, a residual stack around it, a progress bar, AdamW's two groups."""

from __future__ import annotations

import sys
import time
import warnings
from pathlib import Path
from types import ModuleType

import torch
from torch import nn

import ssmc

SPECS = Path(__file__).resolve().parent.parent / "specs"


def all_specs() -> list[str]:
    """The names of the specs that ssmc ships, `leaky` (the tutorial's) and `mamba` among them."""
    return sorted(path.stem for path in SPECS.glob("*.ssm"))


def load(spec: str) -> ModuleType:
    """Compile a spec and import the generated file: `spec` is a name in specs/, the path of a spec, or its text."""
    shipped = SPECS / f"{spec}.ssm"
    module = ssmc.load(str(shipped) if "\n" not in spec and shipped.exists() else spec)
    # A generated file says once that it runs on its eager backend. On a CPU that is what these examples want.
    warnings.filterwarnings("ignore", message=".* runs on the eager backend: the tensors are on cpu")
    return module


def layer_class(module: ModuleType) -> type[nn.Module]:
    """The layer of a generated file, whatever its name is: it stands first in `__all__`."""
    return getattr(module, module.__all__[0])


class Block(nn.Module):
    """x + layer(norm(x)); then the same with a feed-forward network, for the layers that leave channels unmixed."""

    def __init__(self, layer: nn.Module, d_model: int, dropout: float = 0.0) -> None:
        super().__init__()
        self.norm = nn.RMSNorm(d_model)
        self.layer = layer
        self.feed = nn.Sequential(
            nn.RMSNorm(d_model), nn.Linear(d_model, 2 * d_model), nn.GELU(), nn.Linear(2 * d_model, d_model)
        )
        self.dropout = nn.Dropout(dropout)

    def _rest(self, x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        x = x + self.dropout(y)
        return x + self.dropout(self.feed(x))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Whole sequences, [batch, time, d_model]. Serves layers that look ahead, too; those have no state."""
        return self._rest(x, self.layer(self.norm(x)))

    def carry(self, x: torch.Tensor, state: tuple | None) -> tuple[torch.Tensor, tuple]:
        """The next piece of each sequence, and the state after it; without a state a fresh start."""
        y, state = self.layer(self.norm(x), state, return_state=True)
        return self._rest(x, y), state

    def step(self, x: torch.Tensor, state: tuple) -> tuple[torch.Tensor, tuple]:
        """One token of each sequence, [batch, d_model]."""
        y, state = self.layer.step(self.norm(x), state)
        return self._rest(x, y), state


def parameter_groups(model: nn.Module, weight_decay: float) -> list[dict]:
    """Two groups for AdamW: matrices decay; vectors, and what the spec declares `no_decay`, do not."""
    decayed, kept = [], []
    for p in model.parameters():
        (kept if p.dim() < 2 or getattr(p, "_no_weight_decay", False) else decayed).append(p)
    return [{"params": decayed, "weight_decay": weight_decay}, {"params": kept, "weight_decay": 0.0}]


def count(model: nn.Module) -> int:
    """The number of trained parameters."""
    return sum(p.numel() for p in model.parameters() if p.requires_grad)


class Progress:
    """A progress bar of plain characters; where the output is no terminal, a line every ten percent.

    mamba, seed 0  [############--------]  60%  loss 0.0312  41 s
    """

    def __init__(self, label: str, total: int, width: int = 20) -> None:
        self.label, self.total, self.width = label, max(total, 1), width
        self.begun, self.worked, self.shown, self.done = time.perf_counter(), time.process_time(), -1, 0
        self.live = sys.stderr.isatty()

    @property
    def seconds(self) -> float:
        """Since the bar was made."""
        return time.perf_counter() - self.begun

    @property
    def cpu_seconds(self) -> float:
        """Of work since then, all threads together: what does not depend on what else the machine does."""
        return time.process_time() - self.worked

    def advance(self, note: str = "") -> None:
        """One unit of work is done."""
        self.done += 1
        tick = self.done * (100 if self.live else 10) // self.total
        if tick == self.shown:
            return
        self.shown = tick
        full = self.done * self.width // self.total
        bar = "#" * full + "-" * (self.width - full)
        line = f"{self.label}  [{bar}] {100 * self.done // self.total:3d}%  {note}  {self.seconds:.0f} s"
        end = "\n" if not self.live or self.done >= self.total else ""
        print(f"\r{line:<79}" if self.live else line, end=end, file=sys.stderr, flush=True)
