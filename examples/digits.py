"""Classify handwritten digits, read one pixel after another, with any layer that ssmc compiles.

    python examples/digits.py                            # Mamba, 3 seeds
    python examples/digits.py --layer mamba leaky        # a table of several layers
    python examples/digits.py --layer all                # every spec in specs/
    python examples/digits.py --layer my_idea.ssm        # yours

The data are the 1,797 real images of 8 by 8 pixels which scikit-learn ships, as sequences of 64 numbers: the layer has
to remember what it saw. 360 images, the same for every layer and seed, are held out; the accuracy reported is that
after the last epoch, so nothing is selected on them.
"""

from __future__ import annotations

import argparse
import statistics

import torch
from parts import Block, Progress, all_specs, count, layer_class, load, parameter_groups
from sklearn.datasets import load_digits
from torch import nn

D_MODEL, N_BLOCKS, DROPOUT = 64, 2, 0.1
EPOCHS, BATCH, PEAK_LR, WEIGHT_DECAY = 20, 32, 4e-3, 0.05


class Classifier(nn.Module):
    """A pixel becomes a vector; two residual blocks of the layer; the mean over time; ten classes."""

    def __init__(self, layer: type[nn.Module]) -> None:
        super().__init__()
        self.embed = nn.Linear(1, D_MODEL)
        self.blocks = nn.Sequential(*(Block(layer(D_MODEL), D_MODEL, DROPOUT) for _ in range(N_BLOCKS)))
        self.norm = nn.RMSNorm(D_MODEL)
        self.head = nn.Linear(D_MODEL, 10)

    def forward(self, pixels: torch.Tensor) -> torch.Tensor:
        """[batch, time, 1] to the logits, [batch, 10]."""
        x = self.blocks(self.embed(pixels))
        return self.head(self.norm(x).mean(1))


def digits() -> tuple[tuple[torch.Tensor, torch.Tensor], tuple[torch.Tensor, torch.Tensor]]:
    """(pixels [images, 64, 1], labels) for training, 1,437 images, and for testing, 360; always the same split."""
    data = load_digits()
    pixels = torch.tensor(data.data, dtype=torch.float32)[..., None] / 8 - 1
    labels = torch.tensor(data.target)
    order = torch.randperm(len(labels), generator=torch.Generator().manual_seed(0))
    test, train = order[:360], order[360:]
    return (pixels[train], labels[train]), (pixels[test], labels[test])


def train(
    layer: type[nn.Module], label: str, seed: int, epochs: int, limit: int | None
) -> tuple[float, float, float, int]:
    """Test accuracy in percent, seconds, seconds of CPU time, number of parameters."""
    torch.manual_seed(seed)
    (pixels, labels), (test_pixels, test_labels) = digits()
    pixels, labels = pixels[:limit], labels[:limit]
    model = Classifier(layer)
    steps = epochs * -(-len(labels) // BATCH)
    optimizer = torch.optim.AdamW(parameter_groups(model, WEIGHT_DECAY), lr=PEAK_LR)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, PEAK_LR, total_steps=steps, pct_start=0.15)
    progress = Progress(f"{label}, seed {seed}", steps)
    for _ in range(epochs):
        for index in torch.randperm(len(labels)).split(BATCH):
            loss = nn.functional.cross_entropy(model(pixels[index]), labels[index], label_smoothing=0.05)
            optimizer.zero_grad()
            loss.backward()
            nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimizer.step()
            schedule.step()
            progress.advance(f"loss {loss.item():.4f}")
    seconds, cpu_seconds = progress.seconds, progress.cpu_seconds
    model.eval()
    with torch.no_grad():
        guesses = torch.cat([model(part).argmax(-1) for part in test_pixels.split(BATCH)])
    return 100 * (guesses == test_labels).float().mean().item(), seconds, cpu_seconds, count(model)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--layer", nargs="+", default=["mamba"], metavar="NAME_OR_SPEC", help="specs, or `all`")
    parser.add_argument("--seeds", type=int, default=3, help="how many runs a layer (default 3)")
    parser.add_argument("--epochs", type=int, default=EPOCHS, help=f"passes over the data (default {EPOCHS})")
    parser.add_argument("--threads", type=int, default=2, help="CPU threads (default 2)")
    parser.add_argument("--smoke", action="store_true", help="a few seconds, to see that everything runs")
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    names = all_specs() if args.layer == ["all"] else args.layer
    seeds, epochs, limit = (1, 1, 192) if args.smoke else (args.seeds, args.epochs, None)

    rows = []
    for name in names:
        layer, runs = layer_class(load(name)), []
        for seed in range(seeds):
            runs.append(train(layer, name, seed, epochs, limit))
            print(f"{name}, seed {seed}: {runs[-1][0]:.2f}% of the test images", flush=True)
        rows.append((name, runs))

    print(
        f"\n{'layer':<12} {'parameters':>10} {'test accuracy':>14} {'s a seed':>9} {'CPU s':>6}  accuracy of each seed"
    )
    for name, runs in rows:
        accuracy, seconds, cpu_seconds, parameters = (statistics.mean(column) for column in zip(*runs, strict=True))
        each = "  ".join(f"{run[0]:.2f}" for run in runs)
        print(f"{name:<12} {parameters:>10,.0f} {accuracy:>13.2f}% {seconds:>9.0f} {cpu_seconds:>6.0f}  {each}")


if __name__ == "__main__":
    main()
