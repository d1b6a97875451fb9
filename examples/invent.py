"""Invent a layer: write its equations, have them compiled, test what comes out, and train it.

    python examples/invent.py

The idea. A factor between 0 and 1 lets a state fade, but a state that can only fade does not count well: one layer of
Mamba hardly learns the running sum of a sequence modulo 5. A state which every token *turns*, by an angle of its own,
should: the sum is where the hand of the clock points. So: a damped oscillator with complex state, whose frequency and
damping both depend on the token. No spec that ssmc ships has it, and ssmc knows nothing of it but the equations below.
"""

from __future__ import annotations

import argparse
import subprocess
import sys

import torch
from parts import Block, Progress, count, layer_class, load, parameter_groups
from torch import nn
from torch.nn.functional import cross_entropy

import ssmc

ROTOR = """\
# Rotor: a damped oscillator whose frequency and damping the token sets.
edition 1

layer Rotor(d_model, d_state = 32)
  axis N = d_state
  input u[d_model]

  linear motion(u -> turn[N], fade[N], gate[N], bias)
  linear push(u -> push_re[N], push_im[N])
  A = complex(-softplus(fade), turn)
  x = sigmoid(gate) * complex(push_re, push_im)

  state h[N]: h' = A * h + x by zoh(A), euler(x), step 1

  linear cosine(re(h) -> [d_model])
  linear sine(im(h) -> [d_model])
  return cosine + sine
"""

D_MODEL, MODULUS, LENGTH = 32, 5, 32


# --- what a refused spec looks like -----------------------------------------------------------------------------------


def show_refusals() -> None:
    """Two mistakes, and what the compiler says: one in the mathematics, one in the writing."""
    mistakes = {
        "Euler's method, which does not keep a damped oscillator damped": ("by zoh(A), euler(x)", "by euler"),
        "a slip of the pen": ("linear cosine(re(h) ->", "linear cosine(h ->"),
    }
    for mistake, (right, wrong) in mistakes.items():
        try:
            ssmc.load(ROTOR.replace(right, wrong))
        except ssmc.CompileError as refused:
            print(f"--- refused: {mistake}\n{refused}\n")


# --- properties -------------------------------------------------------------------------------------------------------


def property_test(seconds: int) -> None:
    """`ssmc test -`, the spec on its standard input: the compiled layer against its own equations, on random cases."""
    command = [sys.executable, "-m", "ssmc", "test", "-", "--seconds", str(seconds)]
    if subprocess.run(command, input=ROTOR, text=True).returncode:
        raise SystemExit("the compiled layer does not do what its equations say")


# --- training ---------------------------------------------------------------------------------------------------------


class Counter(nn.Module):
    """One block of the layer between an embedding and a linear head."""

    def __init__(self, layer: type[nn.Module]) -> None:
        super().__init__()
        self.embed = nn.Embedding(MODULUS, D_MODEL)
        self.block = Block(layer(D_MODEL), D_MODEL)
        self.norm = nn.RMSNorm(D_MODEL)
        self.head = nn.Linear(D_MODEL, MODULUS)

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        return self.head(self.norm(self.block(self.embed(tokens))))


def sums(batch: int, length: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Random sequences, and their running sums modulo 5."""
    tokens = torch.randint(0, MODULUS, (batch, length))
    return tokens, tokens.cumsum(1) % MODULUS


def train(layer: type[nn.Module], label: str, steps: int, seed: int) -> tuple[Counter, float]:
    """A model which saw sequences of 4 tokens at first and of 32 at last; and the seconds that took."""
    torch.manual_seed(seed)
    model = Counter(layer)
    optimizer = torch.optim.AdamW(parameter_groups(model, 0.01), lr=1e-2)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 1e-2, total_steps=steps, pct_start=0.1)
    progress = Progress(f"{label}, seed {seed}", steps)
    for step in range(steps):
        tokens, wanted = sums(64, 4 + min(LENGTH - 4, (LENGTH - 4) * step * 2 // steps))
        loss = cross_entropy(model(tokens).flatten(0, 1), wanted.flatten())
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        schedule.step()
        progress.advance(f"loss {loss.item():.4f}")
    return model, progress.seconds


@torch.no_grad()
def accuracy(model: Counter, length: int) -> float:
    """Percent of the running sums that are right, at all positions of new sequences."""
    torch.manual_seed(1000 + length)
    tokens, wanted = sums(128, length)
    return 100 * (model(tokens).argmax(-1) == wanted).float().mean().item()


def main(argv: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rival", nargs="*", default=["mamba"], metavar="NAME_OR_SPEC", help="trained alike, one seed")
    parser.add_argument("--seeds", type=int, default=3, help="seeds of the new layer (default 3)")
    parser.add_argument("--steps", type=int, default=500)
    parser.add_argument("--threads", type=int, default=1, help="CPU threads; the tensors are small (default 1)")
    parser.add_argument("--smoke", action="store_true", help="a few seconds, to see that everything runs")
    args = parser.parse_args(argv)
    torch.set_num_threads(args.threads)
    test_seconds, steps, seeds = (2, 20, 1) if args.smoke else (20, args.steps, args.seeds)

    show_refusals()

    module = load(ROTOR)
    print("--- compiled:", {name: facts for name, facts in module.PLAN.items() if isinstance(facts, dict)})
    print("\n--- tested", flush=True)
    property_test(test_seconds)

    runs = [("rotor", layer_class(module), seed) for seed in range(seeds)]
    runs += [(name, layer_class(load(name)), 0) for name in args.rival]
    lengths = (LENGTH, 2 * LENGTH, 4 * LENGTH)
    rows = []
    for label, layer, seed in runs:
        model, seconds = train(layer, label, steps, seed)
        rows.append((label, seed, count(model), seconds, [accuracy(model, n) for n in lengths]))
    print(f"\n--- running sum modulo {MODULUS} (chance {100 / MODULUS:.0f}%), trained on up to {LENGTH} tokens")
    columns = "".join(f"{f'{n} tokens':>12}" for n in lengths)
    print(f"{'layer':<10} {'seed':>4} {'parameters':>10} {'seconds':>8}{columns}")
    for label, seed, parameters, seconds, found in rows:
        print(f"{label:<10} {seed:>4} {parameters:>10,} {seconds:>8.0f}" + "".join(f"{a:>11.1f}%" for a in found))


if __name__ == "__main__":
    main()
