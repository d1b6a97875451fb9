"""Names of the output. A spec's names are kept where Python and the file allow it; others get a trailing underscore."""

from __future__ import annotations

import builtins
import keyword
from collections.abc import Iterable

MODULE = [
    "torch",
    "nn",
    "F",
    "tl",
    "triton",
    "math",
    "os",
    "warnings",
    "self",
    "cls",
    "state",
    "device",
    "dtype",
    "backend",
    "cu_seqlens",
    "initial_state",
    "return_state",
    "inplace",
    "forward",
    "step",
    "init_state",
    "reset_parameters",
    "parameters",
    "buffers",
    "modules",
    "children",
    "named_parameters",
    "state_dict",
    "train",
    "eval",
    "to",
    "cuda",
    "cpu",
    "half",
    "float",
    "double",
    "bfloat16",
    "apply",
    "register_buffer",
    "register_parameter",
    "training",
    "rows",
    "batch",
    "time",
]
RESERVED = frozenset((*keyword.kwlist, *keyword.softkwlist, *dir(builtins), *MODULE))


class Names:
    """Identifiers for one scope of the output, each handed out once. `h:prev` asks for `h_prev`."""

    def __init__(self, reserved: Iterable[str] = ()) -> None:
        self._taken: set[str] = {*RESERVED, *reserved}
        self._given: dict[str, str] = {}

    def __call__(self, name: str) -> str:
        """The identifier of a name; the same one every time."""
        if name not in self._given:
            wish = name.replace(":", "_").replace(".", "_")
            if wish.startswith("__"):  # Python changes such names inside a class
                wish = f"v{wish}"
            while wish in self._taken:
                wish += "_"
            self._taken.add(wish)
            self._given[name] = wish
        return self._given[name]

    def fresh(self, wish: str) -> str:
        """An identifier nobody else has, near the wish."""
        while wish in self._taken:
            wish += "_"
        self._taken.add(wish)
        return wish


GLOBALS = ("PLAN", "OPS", "TESTED", "KERNELS", "NAMESPACE", "NamedTuple", "nullcontext", "lru_cache")


def class_name(name: str) -> str:
    """The name of the layer's class: the spec's, unless Python or the file needs that word. Helpers begin with `_`."""
    own = name.lstrip("_") or "Layer"
    own = own if own[0].isalpha() else f"Layer{own}"
    return f"{own}_" if own in RESERVED or own in GLOBALS else own


# What functions, operators and kernels are called after a stem: `_mamba_eager`, `mamba_step_kernel`.
TAILS = frozenset(
    [
        *("op", "reference", "fake", "adjoint", "backward", "eager", "eager_backward", "step", "step_fake", "sums"),
        *("triton", "triton_step", "triton_backward", "starts", "activation", "activation_vjp"),
        *("fresh", "fresh_backward", "system", "filter", "reads", "gradient", "seen"),
        *("walk", "piece", "piece_adjoint", "chunks", "chunks_backward", "gathered", "gathered_backward", "filtered"),
        *("filtered_backward", "eager_by_mode", "eager_by_mode_backward", "triton_by_mode", "triton_by_mode_backward"),
    ]
)


def distinct(wishes: Iterable[str], taken: Iterable[str] = ()) -> list[str]:
    """Stems near the wishes, so that no function of one is called as a function of another, or as one of `taken`, which
    every file has; nor a constant, whose letters are all great."""
    out: list[str] = []
    bare = [name.removeprefix("choose").lstrip("_") for name in taken]
    for wish in wishes:
        while any(_clash(wish, other) or _clash(other, wish) for other in out) or any(_clash(t, wish) for t in bare):
            wish += "_"
        out.append(wish)
    return out


def _clash(a: str, b: str) -> bool:
    return a.upper() == b.upper() or (a.startswith(f"{b}_") and a.removeprefix(f"{b}_") in TAILS)


def snake(name: str) -> str:
    """`S4DLin` as `s4d_lin`: the stem of a layer's functions."""
    out = ""
    for i, c in enumerate(name):
        before = name[i - 1] if i else ""
        after = name[i + 1] if i + 1 < len(name) else ""
        if c.isupper() and i and (before.islower() or (after.islower() and before != "_" and not before.isdigit())):
            out += "_"
        out += c.lower()
    return out
