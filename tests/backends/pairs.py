"""What the kernels of chunks make of pairs of tokens, in Triton's interpreter, against autograd in float64: by one pivot where
decays are mild, by pivots between blocks otherwise. `python -m tests.backends.pairs`: errors by case, as JSON."""

from __future__ import annotations

import json
import math
import os
import sys

os.environ["TRITON_INTERPRET"] = "1"

import torch
import triton
import triton.language as tl

import ssmc
from tests.backends.test_chunks import LAYERS

module = ssmc.load(LAYERS["wide"])
tl_leave, tl_since, tl_since_start, tl_enter = module.tl_leave, module.tl_since, module.tl_since_start, module.tl_enter
tl_near, tl_scores, tl_mild = module.tl_near, module.tl_scores, module.tl_mild
tl_near_back, tl_scores_back = module.tl_near_back, module.tl_scores_back
T, K, LEVELS = 32, 16, 5


@triton.jit
def pairs_kernel(
    q, k, z, g, g_turned, dq, scores, seen, d_q, d_k, d_z, mild,
    NEAR: tl.constexpr, LATE: tl.constexpr, BT: tl.constexpr, BK: tl.constexpr, STEPS: tl.constexpr,
):  # fmt: skip
    """Scores, queries as they see the state before the chunk, and what q, k and z are given, one way or the other."""
    o_tk = tl.arange(0, BT)[:, None] * BK + tl.arange(0, BK)[None, :]
    o_tt = tl.arange(0, BT)[:, None] * BT + tl.arange(0, BT)[None, :]
    b_q, b_k, b_z, b_dq = tl.load(q + o_tk), tl.load(k + o_tk), tl.load(z + o_tk), tl.load(dq + o_tk)
    b_g, b_turned = tl.load(g + o_tt), tl.load(g_turned + o_tt)
    b_pairs = tl.where(tl.arange(0, BT)[:, None] > tl.arange(0, BT)[None, :], b_g, b_turned)
    b_dk, b_dz = tl.zeros([BT, BK], tl.float32), tl.zeros([BT, BK], tl.float32)
    if NEAR:
        b_seen = b_q * tl_since(b_z, LATE, tl.float32)
        b_scores = tl_near(b_seen, b_k * tl_leave(b_z, tl.float32), LATE, tl.float32)
        b_seen *= tl_since_start(b_z, tl.float32)[None, :]
        b_dq, b_dk, b_dz = tl_near_back(b_pairs, b_q, b_k, b_z, b_dq, b_dk, b_dz, LATE, tl.float32)
    else:
        b_seen = b_q * tl_enter(b_z, LATE, tl.float32)
        b_scores = tl_scores(b_q, b_k, b_z, LATE, tl.float32, STEPS)
        b_dq, b_dk, b_dz = tl_scores_back(b_pairs, b_q, b_k, b_z, b_dq, b_dk, b_dz, LATE, tl.float32, STEPS)
    tl.store(scores + o_tt, b_scores)
    tl.store(seen + o_tk, b_seen)
    tl.store(d_q + o_tk, b_dq)
    tl.store(d_k + o_tk, b_dk)
    tl.store(d_z + o_tk, b_dz)
    tl.store(mild, tl_mild(tl.sum(b_z, 0)).to(tl.int32))


def errors(total: float, late: bool, near: bool) -> dict[str, float]:
    """Of a chunk that leaves 2**total of a key at most, relative to the largest number."""
    torch.manual_seed(0)
    q, k, dq = torch.randn(T, K), torch.randn(T, K), torch.randn(T, K)
    z = -torch.rand(T, K)
    z *= total / z.sum(0).min()
    g = torch.randn(T, T).tril(-1 if late else 0)
    found = [torch.empty(T, T), *(torch.empty(T, K) for _ in range(4)), torch.empty(1, dtype=torch.int32)]
    pairs_kernel[(1,)](q, k, z, g, g.T.contiguous(), dq, *found, near, late, T, K, LEVELS)
    q, k, z, dq, g = (v.double().requires_grad_() for v in (q, k, z, dq, g))
    i, j, n = torch.arange(T)[:, None, None], torch.arange(T)[None, :, None], torch.arange(T)
    between = (n > j) & ((n < i) if late else (n <= i))
    decay = torch.where((j < i) if late else (j <= i), torch.exp2(between.double() @ z), 0.0)
    scores = torch.einsum("ik,jk,ijk->ij", q, k, decay)
    seen = q * torch.exp2(torch.tril(torch.ones(T, T, dtype=q.dtype), -1 if late else 0) @ z)
    wanted = torch.autograd.grad([scores, seen], [q, k, z], [g.detach(), dq.detach()])
    truth = [scores.detach(), seen.detach(), *wanted[:2], wanted[2] / math.log(2)]  # decays are powers of 2 there
    names = ("scores", "seen", "d q", "d k", "d z")
    out = {n: float((a - b).abs().max() / b.abs().max()) for n, a, b in zip(names, found, truth, strict=False)}
    return out | {"mild": float(found[5])}


if __name__ == "__main__":
    cases = [(-63.5, late, near) for late in (False, True) for near in (False, True)]
    cases += [(total, late, False) for late in (False, True) for total in (-64.5, -1e4)]
    cases += [(-1e-6, late, True) for late in (False, True)]
    json.dump([[*case, errors(*case)] for case in cases], sys.stdout)
