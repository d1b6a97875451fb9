"""Put the compiled layer into a Hugging Face Mamba: same weights, same logits, same generation.

    python examples/load_hf_mamba.py

The names in specs/mamba.ssm are those of the checkpoints, so `load_state_dict` is the whole conversion of a mixer.
Nothing is downloaded: the model is a small one with random weights. `replace_mixers` serves a real one as well, such as
`MambaForCausalLM.from_pretrained("state-spaces/mamba-130m-hf")`.
"""

from __future__ import annotations

import argparse
import copy
import os

os.environ.setdefault("HF_HUB_OFFLINE", "1")  # before the import: nothing here may reach a hub

import torch
from parts import layer_class, load
from torch import nn
from transformers import MambaConfig, MambaForCausalLM
from transformers.utils import logging

logging.set_verbosity_error()  # no word about kernels that are not installed


class Mixer(nn.Module):
    """The compiled layer behind the interface of Hugging Face's mixer.

    Its state, a named tuple, travels in the model's cache object: a prompt goes through `forward`, after which every
    new token goes through `step`. Greedy search and sampling work; beam search would have to reorder the states
    (`state.index_select`), and prompts of different lengths would have to be packed (`cu_seqlens`).
    """

    def __init__(self, layer: nn.Module, index: int) -> None:
        super().__init__()
        self.layer, self.index = layer, index

    def forward(self, hidden_states, cache_params=None, attention_mask=None, **_):
        if attention_mask is not None and attention_mask.dim() == 2 and not attention_mask.all():
            raise ValueError("padding: pass prompts of equal length")
        if cache_params is None:
            return self.layer(hidden_states)
        states = cache_params.__dict__.setdefault("ssmc_states", {})
        state = states.get(self.index)
        if state is not None and hidden_states.shape[1] == 1:
            y, states[self.index] = self.layer.step(hidden_states[:, 0], state)
            return y[:, None]
        y, states[self.index] = self.layer(hidden_states, state, return_state=True)
        return y


def replace_mixers(model: MambaForCausalLM) -> MambaForCausalLM:
    """A copy of the model with the compiled layer in place of every mixer."""
    model, config = copy.deepcopy(model), model.config
    layer = layer_class(load("mamba"))
    for i, block in enumerate(model.backbone.layers):
        compiled = layer(
            config.hidden_size,
            d_state=config.state_size,
            expand=config.intermediate_size // config.hidden_size,
            d_conv=config.conv_kernel,
            dt_rank=int(config.time_step_rank),
            bias=config.use_bias,
            conv_bias=config.use_conv_bias,
            dtype=block.mixer.in_proj.weight.dtype,
        )
        compiled.load_state_dict(block.mixer.state_dict())  # strict: every key fits
        block.mixer = Mixer(compiled, i)
    return model


def random_model(dtype: torch.dtype) -> MambaForCausalLM:
    """A small Mamba whose weights are spread out enough that the logits differ from token to token."""
    torch.manual_seed(0)
    config = MambaConfig(
        vocab_size=97, hidden_size=48, state_size=8, num_hidden_layers=3, time_step_rank=5, conv_kernel=4, use_bias=True
    )
    model = MambaForCausalLM(config).eval()
    with torch.no_grad():
        for name, p in model.named_parameters():
            if p.dim() == 2 and "A_log" not in name:
                p.normal_(0, p.shape[1] ** -0.5)
    return model.to(dtype)


def relative_error(found: torch.Tensor, wanted: torch.Tensor) -> float:
    """The largest difference, relative to the largest value."""
    return ((found - wanted).abs().max() / wanted.abs().max()).item()


@torch.no_grad()
def compare(dtype: torch.dtype, tolerance: float, length: int, new: int) -> list[tuple[str, str, bool]]:
    """(what, how it came out, whether that is right) for one dtype."""
    original = random_model(dtype)
    replaced = replace_mixers(original)
    prompt = torch.randint(1, 97, (2, length), generator=torch.Generator().manual_seed(1))
    wanted, found = (model(prompt, use_cache=False).logits for model in (original, replaced))
    error = relative_error(found, wanted)

    options = {"max_new_tokens": new, "do_sample": False, "pad_token_id": 0, "eos_token_id": None}
    options |= {"return_dict_in_generate": True, "output_logits": True}
    mask = torch.ones_like(prompt)
    runs = [model.generate(prompt, attention_mask=mask, **options) for model in (original, replaced)]
    same = torch.equal(runs[0].sequences, runs[1].sequences)
    drift = max(relative_error(b, a) for a, b in zip(runs[0].logits, runs[1].logits, strict=True))
    name = str(dtype).removeprefix("torch.")
    shown = f"{new} of {new} tokens agree" if same else "the tokens differ"
    limit = f"(at most {tolerance:.0e})"
    return [
        (f"{name}: logits of {length} tokens", f"relative error {error:.1e} {limit}", error <= tolerance),
        (f"{name}: greedy generation", shown, same),
        (f"{name}: logits, token by token", f"relative error {drift:.1e} {limit}", drift <= tolerance),
    ]


def main(argv: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--threads", type=int, default=2, help="CPU threads (default 2)")
    parser.add_argument("--smoke", action="store_true", help="a few seconds, to see that everything runs")
    args = parser.parse_args(argv)
    torch.set_num_threads(args.threads)
    length, new = (24, 6) if args.smoke else (200, 60)
    # Hugging Face rounds A, D and the bias of the step to float32 in a float64 model as well, hence 1e-6.
    found = [*compare(torch.float64, 1e-6, length, new), *compare(torch.float32, 2e-6, length, new)]
    for what, how, right in found:
        print(f"{'ok ' if right else 'BAD'}  {what:<36} {how}")
    if not all(right for _, _, right in found):
        raise SystemExit("the compiled layer and the original disagree")


if __name__ == "__main__":
    main()
