"""Runs a spec's kernels in Triton's interpreter against the token loop in float64. `python interpreted.py < job.json`.

The interpreter must be chosen before triton is imported, so this is a process of its own.
"""

from __future__ import annotations

import json
import os
import sys
import time
import warnings
from collections import defaultdict
from functools import partial

os.environ["TRITON_INTERPRET"] = "1"


def main() -> None:
    job = json.load(sys.stdin)
    import torch

    import ssmc
    from ssmc.options import Options
    from tests import harness

    warnings.simplefilter("ignore")
    torch.set_num_threads(1)
    out = {}
    for name, spec in job["specs"].items():
        start = time.time()
        try:
            module = ssmc.load(spec["text"], options=Options(mode=spec.get("mode", "auto")))
            out[name] = {}
            for case in spec["cases"]:
                out[name].update(one(harness, torch, module, spec, case))
        except Exception as error:
            import traceback

            out[name] = {"failed": "".join(traceback.format_exception(error))[-2500:]}
        print(name, f"{time.time() - start:.1f} s", file=sys.stderr)
    json.dump(out, sys.stdout)


def one(harness, torch, module, spec, case):
    """Worst relative errors of one case: rows, tokens, whether packed, with or without states."""
    from tests.bounds import bounded

    torch.manual_seed(0)
    layer = harness.layer_of(module)(*spec.get("arguments", [6]), **spec.get("keywords", {}))
    with torch.no_grad():
        for p in layer.parameters():
            p.add_(0.3 * torch.randn_like(p))
    packed = case.get("cu_seqlens")
    rows, T = (1, packed[-1]) if packed else (case.get("rows", 2), case["T"])
    u = torch.randn(rows, T, *spec.get("inner", [spec.get("arguments", [6])[0]]))
    cu = torch.tensor(packed, dtype=torch.int32) if packed else None
    fixed = {k: case[k] for k in ("pieces", "parts", "wave", "halves") if k in case}
    before = cut(module, fixed) if fixed else {}
    if case.get("chunks"):
        before["choose_chunks"] = module.choose_chunks
        module.choose_chunks = partial(_chunks, module.choose_chunks, case["chunks"])
    errors = {}
    more = {k: torch.randn(rows, T, *v) for k, v in spec.get("inputs", {}).items()}
    for call in harness.capture(module, layer, u, **({"cu_seqlens": cu} if packed else {}), **more):
        if case.get("strides"):
            for k in call.tokens():
                v = call.operands[k]
                wide = (
                    torch.full((v.shape[1], v.shape[0], *v.shape[2:]), float("nan")) if v.is_floating_point() else None
                )
                if wide is not None:
                    wide = wide.transpose(0, 1)
                    wide.copy_(v)
                    call.operands[k] = wide
        states = (
            harness.random_states(call, len(packed) - 1 if packed else rows, torch.float32, "cpu")
            if case.get("states")
            else None
        )
        with bounded():
            found = harness.compare(call, torch.float32, states, "triton", cu, spec.get("floor", 1e-12))
        errors |= {f"{case} {call.op} {k}": v for k, v in found.items()}
        if case.get("poisoned"):
            errors |= poisoned(harness, call, states, cu, case.get("idle"))
        if case.get("step"):
            errors |= step(harness, torch, call)
    if case.get("conv"):
        errors |= convolutions(harness, torch, module, cu)
    vars(module).update(before)
    return errors


def step(harness, torch, call):
    """One token in place against the reference, once in states that lie apart from each other."""
    first = {k: (v[:, :1] if k in call.tokens() else v) for k, v in call.operands.items()}
    rows = next(first[k].shape[0] for k in call.tokens())
    states = harness.random_states(call, rows, torch.float32, "cpu")
    many = states if isinstance(states, tuple) else (states,)
    want, last = call.reference(**first, **call.numbers, initial_state=states, return_state=True)
    wants = want if isinstance(want, tuple) else (want,)
    lasts = last if isinstance(last, tuple) else (last,)
    errors = {}
    for apart in (False, True):
        given = tuple(torch.stack([v, v], -1)[..., 0] if apart else v.clone() for v in many)
        start = given if isinstance(states, tuple) else given[0]
        op = getattr(call.module, call.op)
        got = op(**first, **call.numbers, initial_state=start, inplace=True, backend="triton")
        pairs = [*zip(got if isinstance(got, tuple) else (got,), wants, strict=True), *zip(given, lasts, strict=True)]
        errors |= {f"step {call.op} {apart} {i}": harness.error(a, b, False) for i, (a, b) in enumerate(pairs)}
    return errors


def poisoned(harness, call, states, cu, idle):
    """The kernels where memory that nobody has written to is NaN: what reads it is infinitely wrong. `idle`: the kernel of
    that name is never launched, so that its results are what the memory held."""
    from tests.poison import reads_of_unwritten_memory

    def both():
        outs, grads = harness.run(call, states, "triton", cu)
        return [*outs, *grads.values()]

    own, name = vars(call.module), f"{call.op.removesuffix('_op')}_{idle or 'walk'}_kernel"
    kernel = own[name]
    own[name] = defaultdict(lambda: lambda *args, **named: None) if idle else kernel
    wrong = reads_of_unwritten_memory(both)
    own[name] = kernel
    return {f"poisoned {call.op}": 0.0} | {f"poisoned {call.op} {i}": float("inf") for i in wrong}


def convolutions(harness, torch, module, cu):
    """Every convolution of the module against its eager formula in float64."""
    from tests.poison import reads_of_unwritten_memory

    errors = {}
    for stem in [n.removeprefix("_").removesuffix("_sums") for n in vars(module) if n.endswith("_sums")]:
        for T, E, W, biased, start in (
            (13, 5, 4, True, True),
            (2, 3, 4, False, False),
            (9, 4, 1, True, True),
            (70, 2, 3, True, False),
        ):
            T = T if cu is None else int(cu[-1])
            rows = 2 if cu is None else len(cu) - 1
            x = torch.randn(2 if cu is None else 1, T, E)
            weight, bias = torch.randn(E, 1, W), torch.randn(E) if biased else None
            taps = torch.randn(rows, W - 1, E) if start else None
            g, g_last = torch.randn_like(x), torch.randn(rows, W - 1, E)
            passes = partial(conv_passes, torch, module, stem, (x, weight, bias, taps), (g, g_last), cu)
            found = [passes(), passes("eager", torch.float64)]
            wrong = reads_of_unwritten_memory(passes)
            errors |= {f"poisoned {stem} {T} {i}": float("inf") for i in wrong}
            errors |= {
                f"{stem} {T} {E} {W} packed {cu is not None} {i}": harness.error(a, b, False)
                for i, (a, b) in enumerate(zip(*found, strict=True))
            }
            if cu is None and taps is not None:
                own = taps.clone()
                y = getattr(module._ops, f"{stem}_step")(x[:, :1], weight, bias, own, "triton")
                want, last = getattr(module, f"_{stem}_eager")(x[:, :1], weight, bias, taps)
                errors |= {f"{stem} step {W}": max(harness.error(y, want, False), harness.error(own, last, False))}
    return errors


def conv_passes(torch, module, stem, operands, cotangents, cu, backend="triton", dtype=None):
    """A convolution forward and backward: its result, last inputs, and gradients."""
    leaves = [None if v is None else v.to(dtype or v.dtype).requires_grad_() for v in operands]
    out = getattr(module._ops, stem)(*leaves, cu, backend)
    loss = sum((v * g.to(v.dtype)).sum() for v, g in zip(out, cotangents, strict=True))
    return [*(v.detach() for v in out), *torch.autograd.grad(loss, [v for v in leaves if v is not None])]


def _pieces(choose, fixed, *sizes, **more):
    return choose(*sizes, **more)._replace(tokens=2, parts=1)._replace(**fixed)


def _chunks(choose, fields, *sizes):
    whole = {"part", "block", "span"} if sizes[-1] else set()  # blocks of keys that have to stay together
    return choose(*sizes)._replace(**{k: v for k, v in fields.items() if k not in whole})


def cut(module, fixed):
    """Fix these of the configuration of every op that is walked, but for pieces where there are none; gives back what
    was there."""
    found = {}
    for name, original in list(vars(module).items()):
        stem = name.removeprefix("choose_")
        if name != stem and hasattr(module, f"{stem}_keep_kernel"):
            whole = {} if hasattr(module, f"{stem}_piece_kernel") else {"pieces": 1}
            found[name] = original
            setattr(module, name, partial(_pieces, original, fixed | whole))
    return found


if __name__ == "__main__":
    main()
