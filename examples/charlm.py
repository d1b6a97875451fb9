"""A character model of the English that Python itself ships, trained in parallel form and sampled token by token.

    python examples/charlm.py                            # train, save, evaluate, sample: within 10 minutes on 2 cores
    python examples/charlm.py --resume                   # go on from the checkpoint, as if nothing had happened
    python examples/charlm.py --layer hgrn               # any causal layer
    python examples/charlm.py --prompt "The with statement"

The text is that of `help("topics")`. Topics share paragraphs; each is kept once, so that the held-out last 10% was
never seen. The text differs between versions of Python, so the yardstick is counted on the same split: a bigram model
with add-one smoothing. What to see here of the layer's state, a named tuple of tensors:

- truncated backpropagation: a piece of text begins where the last one ended, its state carried over, its graph cut;
- evaluation over one long text, piece by piece, exactly as if it had been read whole;
- sampling: the prompt in parallel form, then `step`, one character at a time, at constant cost.
"""

from __future__ import annotations

import argparse
import math
from pathlib import Path
from pydoc_data.topics import topics

import torch
from parts import Block, Progress, count, layer_class, load, parameter_groups
from safetensors import safe_open
from safetensors.torch import save_file
from torch import nn
from torch.nn.functional import cross_entropy

D_MODEL, N_BLOCKS, DROPOUT = 96, 2, 0.1
STEPS, STREAMS, PIECE, PEAK_LR, WARMUP, WEIGHT_DECAY = 500, 32, 128, 4e-3, 50, 0.05


def text() -> str:
    """All help topics, every paragraph once."""
    paragraphs = "\n\n".join(topics[name] for name in sorted(topics)).split("\n\n")
    return "\n\n".join(dict.fromkeys(paragraphs))


class CharacterModel(nn.Module):
    """Embedding, residual blocks, a linear head; what the blocks carry from piece to piece goes in and comes out."""

    def __init__(self, layer: type[nn.Module], n_characters: int) -> None:
        super().__init__()
        self.embed = nn.Embedding(n_characters, D_MODEL)
        self.blocks = nn.ModuleList(Block(layer(D_MODEL), D_MODEL, DROPOUT) for _ in range(N_BLOCKS))
        self.norm = nn.RMSNorm(D_MODEL)
        self.head = nn.Linear(D_MODEL, n_characters)

    def forward(self, tokens: torch.Tensor, states: list | None = None) -> tuple[torch.Tensor, list]:
        """[batch, time] to logits [batch, time, characters], and the states of the blocks after the last character."""
        x, after = self.embed(tokens), []
        for block, state in zip(self.blocks, states or [None] * N_BLOCKS, strict=True):
            x, state = block.carry(x, state)
            after.append(state)
        return self.head(self.norm(x)), after

    def step(self, tokens: torch.Tensor, states: list) -> tuple[torch.Tensor, list]:
        """One character of each sequence, [batch], to logits [batch, characters]."""
        x, after = self.embed(tokens), []
        for block, state in zip(self.blocks, states, strict=True):
            x, state = block.step(x, state)
            after.append(state)
        return self.head(self.norm(x)), after


def detached(states: list) -> list:
    """The states without their history: where truncated backpropagation truncates."""
    return [type(state)(*(v.detach() for v in state)) for state in states]


class Training:
    """The model, its optimizer and its place in the text: all that a checkpoint holds."""

    def __init__(self, layer: type[nn.Module], n_characters: int, seed: int) -> None:
        torch.manual_seed(seed)
        self.model = CharacterModel(layer, n_characters)
        self.optimizer = torch.optim.AdamW(parameter_groups(self.model, WEIGHT_DECAY), lr=PEAK_LR, betas=(0.9, 0.98))
        self.step, self.states = 0, None

    def advance(self, tokens: torch.Tensor, total: int) -> float:
        """One optimizer step on the next piece of each stream; the loss in nats a character."""
        streams = tokens[: len(tokens) // STREAMS * STREAMS].view(STREAMS, -1)
        pieces = (streams.shape[1] - 1) // PIECE
        if self.step % pieces == 0:
            self.states = None  # back at the beginning of every stream
        begin = self.step % pieces * PIECE
        piece = streams[:, begin : begin + PIECE + 1]
        for group in self.optimizer.param_groups:
            group["lr"] = PEAK_LR * min((self.step + 1) / WARMUP, 0.02 + 0.98 * _cosine(self.step / total))
        self.model.train()
        logits, states = self.model(piece[:, :-1], self.states)
        loss = cross_entropy(logits.flatten(0, 1), piece[:, 1:].flatten())
        self.optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(self.model.parameters(), 1.0)
        self.optimizer.step()
        self.step, self.states = self.step + 1, detached(states)
        return loss.item()

    def save(self, path: Path) -> None:
        """Everything as named tensors; `model.*` alone is the trained model."""
        tensors = {f"model.{name}": p for name, p in self.model.state_dict().items()}
        for name, p in self.model.named_parameters():
            tensors |= {f"optimizer.{name}.{key}": v for key, v in self.optimizer.state[p].items()}
        for i, state in enumerate(self.states or []):
            tensors |= {f"state.{i}.{field}": v for field, v in state._asdict().items()}
        tensors["random"] = torch.get_rng_state()
        tensors = {name: v.detach().contiguous() for name, v in tensors.items()}
        save_file(tensors, path, metadata={"step": str(self.step)})

    def load(self, path: Path) -> None:
        """Back to where `save` was: the next step is the one that would have followed."""
        with safe_open(path, "pt") as file:
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (no mapping)
            self.step = int(file.metadata()["step"])
        self.model.load_state_dict({name[6:]: v for name, v in tensors.items() if name.startswith("model.")})
        for name, p in self.model.named_parameters():
            keys = ("step", "exp_avg", "exp_avg_sq")
            self.optimizer.state[p] = {key: tensors[f"optimizer.{name}.{key}"] for key in keys}
        fresh = [block.layer.init_state(STREAMS) for block in self.model.blocks]
        self.states = [
            type(state)(*(tensors[f"state.{i}.{field}"] for field in state._fields)) for i, state in enumerate(fresh)
        ]
        torch.set_rng_state(tensors["random"])


def _cosine(progress: float) -> float:
    return 0.5 + 0.5 * math.cos(math.pi * min(progress, 1.0))


@torch.no_grad()
def held_out_loss(model: CharacterModel, tokens: torch.Tensor, piece: int = 1024) -> float:
    """Nats a character over one long text, read piece by piece with the state carried on."""
    model.eval()
    total, states = 0.0, None
    for begin in range(0, len(tokens) - 1, piece):
        part = tokens[begin : begin + piece + 1][None]
        logits, states = model(part[:, :-1], states)
        total += cross_entropy(logits[0], part[0, 1:], reduction="sum").item()
    return total / (len(tokens) - 1)


def bigram_loss(train: torch.Tensor, held_out: torch.Tensor, n_characters: int) -> float:
    """Nats a character of a bigram model with add-one smoothing."""
    counts = torch.ones(n_characters, n_characters, dtype=torch.float64)
    counts.index_put_((train[:-1], train[1:]), torch.ones(len(train) - 1, dtype=torch.float64), accumulate=True)
    log_p = (counts / counts.sum(1, keepdim=True)).log()
    return -log_p[held_out[:-1], held_out[1:]].mean().item()


@torch.no_grad()
def sample(model: CharacterModel, prompt: torch.Tensor, n: int, temperature: float, seed: int) -> list[int]:
    """The prompt in parallel form; then each character through `step`."""
    model.eval()
    generator = torch.Generator().manual_seed(seed)
    logits, states = model(prompt[None])
    logits, out = logits[:, -1], []
    for _ in range(n):
        token = torch.multinomial((logits / temperature).softmax(-1), 1, generator=generator)[:, 0]
        out.append(int(token))
        logits, states = model.step(token, states)
    return out


def main(argv: list[str] | None = None) -> tuple[float, float]:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--layer", default="mamba", metavar="NAME_OR_SPEC")
    parser.add_argument("--steps", type=int, default=STEPS, help=f"optimizer steps in all (default {STEPS})")
    parser.add_argument("--checkpoint", type=Path, default=Path("charlm.safetensors"))
    parser.add_argument("--resume", action="store_true", help="go on from the checkpoint, up to --steps")
    parser.add_argument("--stop", type=int, help="stop and save after this many steps (of the schedule of --steps)")
    parser.add_argument("--prompt", default="The ")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--threads", type=int, default=2, help="CPU threads (default 2)")
    parser.add_argument("--smoke", action="store_true", help="a few seconds, to see that everything runs")
    args = parser.parse_args(argv)
    torch.set_num_threads(args.threads)
    steps = 4 if args.smoke else args.steps

    whole = text()
    alphabet = sorted(set(whole))
    index = {c: i for i, c in enumerate(alphabet)}
    tokens = torch.tensor([index[c] for c in whole])
    cut = len(tokens) * 9 // 10
    train, held_out = tokens[:cut], tokens[cut:]
    if args.smoke:
        train, held_out = train[: 4 * STREAMS * PIECE], held_out[:2000]

    training = Training(layer_class(load(args.layer)), len(alphabet), args.seed)
    if args.resume:
        training.load(args.checkpoint)
    print(f"{len(train):,} characters to learn from, {len(held_out):,} held out, {len(alphabet)} different")
    stop = min(args.stop or steps, steps)
    print(f"{args.layer}: {count(training.model):,} parameters, steps {training.step} to {stop} of {steps}")
    progress = Progress(args.layer, stop - training.step)
    while training.step < stop:
        progress.advance(f"loss {training.advance(train, steps):.3f}")
    seconds, cpu_seconds = progress.seconds, progress.cpu_seconds
    training.save(args.checkpoint)

    bigram, loss = bigram_loss(train, held_out, len(alphabet)), held_out_loss(training.model, held_out)
    print("\nheld out, nats a character")
    print(f"  bigram, add-one  {bigram:.4f}\n  {args.layer:<15}  {loss:.4f}\n  margin           {bigram - loss:.4f}")
    print(f"trained {seconds:.0f} s ({cpu_seconds:.0f} s of CPU time); checkpoint: {args.checkpoint}\n")
    prompt = torch.tensor([index[c] for c in args.prompt if c in index])
    tail = sample(training.model, prompt, 60 if args.smoke else 500, temperature=0.7, seed=args.seed)
    print(args.prompt + "".join(alphabet[i] for i in tail))
    return bigram, loss


if __name__ == "__main__":
    main()
