"""Random layers whose state gathers outer products: decays, groups, late and several reads, bonuses, gates, skips."""

from __future__ import annotations

import random


def matrix_spec(seed: int) -> str:
    """A layer, the same for the same seed."""
    rng = random.Random(seed)
    grouped, keyed = rng.random() < 0.4, rng.random() < 0.5
    heads = "axis G = 2, J = 2, H = G * J" if grouped else "axis H = 2"
    own = "G" if grouped else "H"
    values, params, lines = [f"q[{own}, K]", f"k[{own}, K]", "v[H, V]"], [], []
    decay, added = _keyed(rng, values, params) if keyed else _by_head(rng, values, params, lines)
    key = rng.choice(["k", "silu(k)", "k * K ** -0.5"])
    if rng.random() < 0.3:
        params.append("param gain[V] = 1")
        added = f"gain * {added}"
    more = f"{key} * ({added})"
    reads = _reads(rng, own, more, values, params)
    lines.append(f"state S[H, K, V]: S = {decay}prev(S) + {more}")
    lines += [f"a{i} = {read}" for i, read in enumerate(reads)]
    a = "a0" if len(reads) == 1 else rng.choice(["(a0 + a1)", "a0 * (1 + tanh(a1))"])
    result = rng.choice(["{}", "{} * silu(z)", "tanh({})", "{} + D * v", "({} + D * v) * silu(z)"]).format(a)
    values += ["z[H, V]"] if "z" in result else []
    params += [rng.choice(["param D[H] = 1", "param D[H, V] = 1"])] if "D" in result else []
    sizes = f"K = {rng.choice([3, 8, 17, 20, 32])}, V = {rng.choice([2, 5, 17, 32])}"
    body = [f"{heads}, {sizes}", "input u[d_model]", f"linear all(u -> {', '.join(values)})", *params, *lines]
    return "\n  ".join(["layer Drawn(d_model)", *body, f"y[H, V] = {result}", "return mean[H, V](y) + u"]) + "\n"


def _keyed(rng: random.Random, values: list[str], params: list[str]) -> tuple[str, str]:
    kind = rng.choice(["gate", "param", "both"])
    values += ["g[H, K]"] if kind != "param" else []
    params += ["param w[H, K] = 0.5"] if kind != "gate" else []
    gate = rng.choice(["sigmoid(g)", "exp(-softplus(g))", "exp(-exp(g))"])
    return {"gate": gate, "param": "exp(-exp(w))", "both": "exp(-softplus(g + w))"}[kind] + " * ", "v"


def _by_head(rng: random.Random, values: list[str], params: list[str], lines: list[str]) -> tuple[str, str]:
    kind = rng.choice(["gate", "param", "none", "step"])
    values += ["g[H]"] if kind in ("gate", "step") else []
    params += ["param w[H] = 1"] if kind in ("param", "step") else []
    lines += ["dt = softplus(g)"] if kind == "step" else []
    gate = rng.choice(["sigmoid(g) * ", "exp(-softplus(g)) * "])
    decay = {"gate": gate, "param": "exp(-exp(w)) * ", "none": "", "step": "exp(-dt * exp(w)) * "}[kind]
    return decay, "dt * v" if kind == "step" else "v"


def _reads(rng: random.Random, own: str, more: str, values: list[str], params: list[str]) -> list[str]:
    kind = rng.choice(["plain", "plain", "late", "two", "bonus", "key"])
    values += [f"r[{own}, K]"] if kind == "two" else []
    params += ["param bonus[H, K] = 0.3"] if kind == "bonus" else []
    return {
        "plain": ["sum[K](q * S)"],
        "late": ["sum[K](q * prev(S))"],
        "two": ["sum[K](q * S)", "sum[K](r * prev(S))"],
        "bonus": [f"sum[K](q * (prev(S) + bonus * {more}))"],
        "key": ["sum[K](q * S)", "sum[K](k * S)"],
    }[kind]
