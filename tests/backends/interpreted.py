"""Runs a spec's kernels in Triton's interpreter against the token loop in float64. `python interpreted.py < job.json`.

The interpreter must be chosen before triton is imported, so this is a process of its own.
"""

from __future__ import annotations

import copy
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
    fixed = {k: case[k] for k in ("pieces", "parts", "wave", "halves", "lanes") if k in case}
    before = cut(module, fixed) if fixed else {}
    if case.get("chunks"):
        for name in ("choose_chunks", "choose_head_chunks"):
            if hasattr(module, name):
                before[name] = getattr(module, name)
                setattr(module, name, partial(_chunks, before[name], case["chunks"]))
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
        if "tokens" not in case.get("chunks", {}):
            errors[f"{case} {call.op} as told"] = as_told(harness, torch, call, states, cu)
        if case.get("poisoned"):
            errors |= poisoned(harness, call, states, cu, case.get("idle"))
        if case.get("step"):
            errors |= step(harness, torch, call)
    if case.get("conv"):
        errors |= convolutions(harness, torch, module, cu)
    if case.get("layer"):
        errors |= whole(harness, torch, module, layer, u, case["layer"])
        errors |= strides(harness, torch, module, layer, u)
    vars(module).update(before)
    return errors


def as_told(harness, torch, call, states, cu):
    """Whether an operator gives what torch is told it does: tensors of these shapes and dtypes; infinity if not."""
    stem = call.op.removesuffix("_op")
    op = getattr(getattr(torch.ops, call.module.NAMESPACE), stem).default
    if states is None:
        rows = call.operands[call.tokens()[0]].shape[0] if cu is None else len(cu) - 1
        states = harness.random_states(call, rows, torch.float32, "cpu")
    states = states if isinstance(states, tuple) else (states,)
    args = (*call.operands.values(), *states, cu, *call.numbers.values(), *harness.flags(op), "triton")
    found, told = op(*args), getattr(call.module, f"_{stem}_fake")(*args)
    same = [(v.shape, v.dtype) for v in found] == [(v.shape, v.dtype) for v in told]
    return 0.0 if same else float("inf")


def whole(harness, torch, module, layer, u, forbidden):
    """The layer by its kernels, twice through one graph, against itself in float64; then its second derivatives, and the
    first ones of what it carries over. On the way back none of the `forbidden` operations reads or makes a tensor of
    more numbers than u has."""
    from torch.utils._python_dispatch import TorchDispatchMode

    seen = []

    class Watch(TorchDispatchMode):
        def __torch_dispatch__(self, func, types, args=(), kwargs=None):
            out = func(*args, **(kwargs or {}))
            if str(func).split(".")[1] in forbidden:
                large = [v for v in (out, *args) if isinstance(v, torch.Tensor) and v.numel() > u.numel()]
                seen.extend([str(func)] * (len(large) > 0))
            return out

    wide, g = copy.deepcopy(layer).double(), torch.randn(*u.shape)

    def run(layer, u, g):
        y, state = layer(u := u.detach().requires_grad_(), return_state=True)
        leaves = [u, *layer.parameters()]
        alone = [torch.autograd.grad((v * v).sum(), leaves, retain_graph=True, materialize_grads=True) for v in state]
        first = torch.autograd.grad(y, leaves, g, retain_graph=True)
        kept = [d.clone() for d in first]
        with Watch():
            again = torch.autograd.grad(y, leaves, g, retain_graph=True)
        same = all(torch.equal(a, b) and torch.equal(a, c) for a, b, c in zip(first, kept, again, strict=True))
        grads = torch.autograd.grad(y, leaves, g, create_graph=True)
        again = torch.autograd.grad(sum((d**2).sum() for d in grads), leaves)
        return same, [y.detach(), *first, *again, *(d for many in alone for d in many)]

    _, wants = run(wide, u.double(), g.double())
    seen.clear()
    before = {"_why_eager": module._why_eager, "_use_triton": module._use_triton}
    vars(module).update(_why_eager=lambda device, dtype: None, _use_triton=lambda backend, device, dtype: True)
    same, found = run(layer, u, g)
    vars(module).update(before)
    errors = {f"layer {i}": harness.error(a, b, False) for i, (a, b) in enumerate(zip(found, wants, strict=True))}
    return errors | {"layer, again": 0.0 if same else float("inf"), f"layer: {seen}": float("inf") if seen else 0.0}


def strides(harness, torch, module, layer, u):
    """The gradients of the layer's ops lie where their shapes without numbers say: `torch.compile` relies on it."""
    from torch._subclasses.fake_tensor import FakeTensorMode

    errors = {}
    for call in harness.capture(module, layer, u):
        name = call.op.removesuffix("_op")
        backward, operands = getattr(module._ops, f"{name}_backward"), call.operands.values()
        y, last = getattr(module, call.op)(**call.operands, return_state=True)
        given = [torch.randn_like(y), torch.randn_like(last), *operands, None, None]
        walked = any(a.name == "keep" for a in backward.default._schema.arguments)
        given, flags = [*given, *([y.new_empty(0)] if walked else [])], [True] * walked
        real = backward(*given, *flags, "triton")
        with FakeTensorMode() as mode:
            fake = backward(*(None if v is None else mode.from_tensor(v) for v in given), *flags, "triton")
        same = [a.stride() == b.stride() and a.shape == b.shape for a, b in zip(real, fake, strict=True)]
        wide = sum(v.stride() == d.stride() and not d.is_contiguous() for v, d in zip(operands, real, strict=False))
        errors |= {f"strides {name} {i}": 0.0 if s else float("inf") for i, s in enumerate(same)}
        errors[f"strides {name}, in wide rows"] = 0.0 if wide == 1 else float("inf")
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
            errors |= conv_apart(harness, torch, module, stem, (x, weight, bias, taps), (g, g_last), cu)
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


def conv_apart(harness, torch, module, stem, operands, cotangents, cu):
    """The same in three pieces of time, its input a part of wider rows, the cotangent given as two numbers to be added,
    and the input's gradient written between others."""
    leaves = [None if v is None else v.double().requires_grad_() for v in operands]
    x, (g, g_last) = operands[0], cotangents
    part = torch.cat((x, torch.full_like(x, float("nan"))), -1)[..., : x.shape[-1]]
    more = torch.randn_like(g)
    rows = torch.full((*x.shape[:2], 3 * x.shape[-1]), 7.0)
    d_x = rows[..., x.shape[-1] : 2 * x.shape[-1]]
    name, choose = f"choose_{stem}", getattr(module, f"choose_{stem}")
    setattr(module, name, lambda *sizes: choose(*sizes)._replace(pieces=3))
    y, _ = getattr(module, f"_{stem}_triton")(part, *operands[1:], cu)
    found = getattr(module, f"_{stem}_triton_backward")(g, g_last, part, *operands[1:], cu, more, d_x)
    setattr(module, name, choose)
    wants = getattr(module, f"_{stem}")(*leaves, cu, "eager")
    loss = (wants[0] * (g + more)).sum() + (wants[1] * g_last).sum()
    grads = iter(torch.autograd.grad(loss, [v for v in leaves if v is not None]))
    pairs = [(y, wants[0].detach()), *((d, next(grads)) for d, v in zip(found, leaves, strict=True) if v is not None)]
    kept = (rows[..., : x.shape[-1]] == 7).all() and (rows[..., 2 * x.shape[-1] :] == 7).all() and found[0] is d_x
    errors = {f"{stem} apart {i} {list(x.shape)}": harness.error(a, b, False) for i, (a, b) in enumerate(pairs)}
    return errors | {f"{stem} apart, written beside": 0.0 if kept else float("inf")}


def _pieces(choose, fixed, *sizes, **more):
    return choose(*sizes, **more)._replace(tokens=2, parts=1)._replace(**fixed)


def _chunks(choose, fields, *sizes):
    config = choose(*sizes)
    whole = {"part", "block"} if sizes[-1] else set()  # keys that have to stay together
    return config._replace(**{k: v for k, v in fields.items() if k in config._fields and k not in whole})


def cut(module, fixed):
    """Fix these of the configuration of every op that is walked, but for pieces where there are none, and let pieces be
    short; gives back what was there."""
    import triton.language as tl

    found = {k: vars(module)[k] for k in ("_ALIGN", "_PIECE") if k in vars(module)}
    vars(module).update({"_ALIGN": tl.constexpr(4), "_PIECE": 2} if found else {})
    for name, original in list(vars(module).items()):
        stem = name.removeprefix("choose_")
        if name != stem and hasattr(module, f"{stem}_keep_kernel"):
            whole = {} if hasattr(module, f"{stem}_piece_kernel") else {"pieces": 1}
            found[name] = original
            setattr(module, name, partial(_pieces, original, fixed | whole))
    return found


if __name__ == "__main__":
    main()
