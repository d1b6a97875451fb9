"""Every shipped spec: the generated op against the token loop, and the layer against itself in every way of calling
it."""

import importlib.util
import itertools
import re
import sys

import pytest
import torch
import torch.nn as nn

from tests.harness import Call, capture, cast, check, compare, error, flags, random_states, run
from tests.specs.layers import SMALL, SPECS, close, given, gradients, make, module_of
from tests.tolerances import FP64_EAGER, LAYER

LENGTHS = (0, 1, 2, 3, 17, 64, 67)
every_spec = pytest.mark.parametrize("spec", SMALL)


def calls(spec, batch, time, dtype=torch.float64):
    """The ops of a layer with the operands its forward gives them."""
    m, layer = make(spec, dtype)
    u, inputs = given(spec, batch, time, dtype)
    return capture(m, layer, u, **inputs)


def states_of(spec, rows):
    """Random initial states for each op."""
    return [random_states(call, rows, torch.float64, "cpu") for call in calls(spec, 1, 1)]


def check_op(call, states, cu_seqlens=None):
    """Outputs, last states and all gradients of the op and of the token loop."""
    got, got_grads = run(call, states, "eager", cu_seqlens)
    want, want_grads = run(call, states, None, cu_seqlens)
    for i, (a, b) in enumerate(zip(got, want, strict=True)):
        close(a, b, FP64_EAGER, f"{call.op} output {i}")
    for k in want_grads:
        # what cancels, as a quotient's weights do at the first token, is nothing but rounding
        close(got_grads[k], want_grads[k], FP64_EAGER, f"{call.op} gradient of {k}", floor=1e-4)


def test_every_shipped_spec_is_here():
    assert set(SMALL) == {p.stem for p in SPECS.glob("*.ssm")}


# --- the op -----------------------------------------------------------------------------------------------------------


@every_spec
@pytest.mark.parametrize("time", LENGTHS)
def test_op_is_the_token_loop(spec, time):
    for call, states in zip(calls(spec, 2, time), states_of(spec, 2), strict=True):
        check_op(call, states)
        check_op(call, None)


@every_spec
@pytest.mark.parametrize("bounds", [(0, 0, 4, 4, 11, 17), (0, 17), (0, 0), (0, 1, 2, 17, 17)])
def test_packed_op_is_the_token_loop(spec, bounds):
    cu = torch.tensor(bounds)
    rows = len(bounds) - 1
    for call, states in zip(calls(spec, 1, bounds[-1]), states_of(spec, rows), strict=True):
        check_op(call, states, cu)
        check_op(call, None, cu.int())


@every_spec
def test_op_takes_views(spec):
    """Strided, expanded and offset operands give the same values as contiguous ones."""
    for call, states in zip(calls(spec, 2, 9), states_of(spec, 2), strict=True):
        tokens = set(call.tokens())
        views = {}
        for k, v in call.operands.items():
            if k not in tokens:
                views[k] = torch.stack([v, v], -1)[..., 0]
            elif v.dim() == 2:
                views[k] = v.t().contiguous().t()
            else:
                wide = torch.cat([v, v], -1).transpose(0, 1).contiguous().transpose(0, 1)
                views[k] = wide[..., v.shape[-1] :]
        for a, b in zip(
            *(run(c, states, "eager")[0] for c in (Call(call.module, call.op, views, call.numbers), call)), strict=True
        ):
            close(a, b, 1e-14)  # torch's own functions round differently by stride


@every_spec
def test_op_repeats_bitwise_and_rows_are_independent(spec):
    for call, states in zip(calls(spec, 3, 17), states_of(spec, 3), strict=True):
        first, grads = run(call, states, "eager")
        second, again = run(call, states, "eager")
        assert all(torch.equal(a, b) for a, b in zip(first, second, strict=True))
        assert all(torch.equal(grads[k], again[k]) for k in grads)
        tokens = set(call.tokens())
        other = {
            k: torch.cat([v[:1], 3 * v[1:]]) if k in tokens and v.is_floating_point() else v
            for k, v in call.operands.items()
        }
        third, _ = run(Call(call.module, call.op, other, call.numbers), states, "eager")
        assert all(torch.equal(a[:1], b[:1]) for a, b in zip(first, third, strict=True))


@every_spec
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
def test_op_in_low_precision(spec, dtype):
    for call, states in zip(calls(spec, 2, 67, torch.float64), states_of(spec, 2), strict=True):
        low = tuple(_low(v) for v in states) if isinstance(states, tuple) else _low(states)
        check(call, compare(call, dtype, low, "eager"), dtype)


def _low(v):
    return v.to(torch.complex64 if v.is_complex() else torch.float32)


def _leaves(call, states):
    out = {k: v.detach().clone() for k, v in call.operands.items()}
    out = {k: v.requires_grad_() if v.is_floating_point() or v.is_complex() else v for k, v in out.items()}
    many = states if isinstance(states, tuple) else (states,)
    return out, tuple(v.detach().clone().requires_grad_() for v in many)


@every_spec
def test_derivatives_by_differences(spec):
    for call, states in zip(calls(spec, 1, 3), states_of(spec, 1), strict=True):
        leaves, starts = _leaves(call, states)
        names = [k for k, v in leaves.items() if v.requires_grad]

        def f(*values, call=call, leaves=leaves, names=names, states=states):
            n = len(names)
            initial = values[n:] if isinstance(states, tuple) else values[n]
            y, last = getattr(call.module, call.op)(
                **{**leaves, **dict(zip(names, values, strict=False))},
                **call.numbers,
                initial_state=initial,
                return_state=True,
                backend="eager",
            )
            return (*(y if isinstance(y, tuple) else (y,)), *(last if isinstance(last, tuple) else (last,)))

        values = (*(leaves[k] for k in names), *starts)
        assert torch.autograd.gradcheck(f, values, fast_mode=True)
        assert torch.autograd.gradgradcheck(f, values, fast_mode=True)


@every_spec
def test_opcheck(spec):
    for call, states in zip(calls(spec, 2, 3), states_of(spec, 2), strict=True):
        leaves, starts = _leaves(call, states)
        op = getattr(getattr(torch.ops, call.module.NAMESPACE), call.op.removesuffix("_op")).default
        numbers = (*call.numbers.values(), *flags(op))
        torch.library.opcheck(op, (*leaves.values(), *starts, None, *numbers, "eager"))
        torch.library.opcheck(op, (*leaves.values(), *(None for _ in starts), None, *numbers, "eager"))


# --- the layer --------------------------------------------------------------------------------------------------------


@every_spec
@pytest.mark.parametrize("cuts", [(5,), (0, 1, 2, 17), (3, 3, 16), (1, 8, 9)])
def test_splits(spec, cuts):
    """Any split with the state carried over gives the same outputs, states and gradients."""
    _, layer = make(spec)
    u, inputs = given(spec, 2, 17)
    u.requires_grad_()
    leaves = {"u": u, **dict(layer.named_parameters())}
    y, last = layer(u, **inputs, return_state=True)
    want = gradients([y, *last], leaves)
    parts, state = [], None
    for a, z in zip((0, *cuts), (*cuts, 17), strict=True):
        part, state = layer(u[:, a:z], state, **{k: v[:, a:z] for k, v in inputs.items()}, return_state=True)
        parts.append(part)
    close(torch.cat(parts, 1), y, FP64_EAGER, "output")
    for name, a, b in zip(last._fields, state, last, strict=True):
        close(a, b, FP64_EAGER, f"state {name}") if a.dtype != torch.int64 else _equal(a, b)
    got = gradients([torch.cat(parts, 1), *state], leaves)
    for k in want:
        close(got[k], want[k], FP64_EAGER, f"gradient of {k}")


def _equal(a, b):
    assert torch.equal(a, b)


@every_spec
def test_state_methods(spec):
    _, layer = make(spec)
    u, inputs = given(spec, 3, 5)
    with torch.no_grad():
        _, state = layer(u, **inputs, return_state=True)
        copy = state.clone()
        assert all(a.data_ptr() != b.data_ptr() for a, b in zip(state, copy, strict=True))
        rows = torch.tensor([2, 0])
        v, more = given(spec, 3, 4, seed=5)
        want = layer(v, state, **more)[rows]
        got = layer(v[rows], state.index_select(rows), **{k: x[rows] for k, x in more.items()})
        close(got, want, FP64_EAGER)
        state.reset(layer.init_state(1), torch.tensor([1]))
        want = torch.cat(
            [
                layer(
                    v[i : i + 1],
                    None if i == 1 else copy.index_select(torch.tensor([i])),
                    **{k: x[i : i + 1] for k, x in more.items()},
                )
                for i in range(3)
            ]
        )
        close(layer(v, state, **more), want, FP64_EAGER)


@every_spec
@pytest.mark.parametrize("bounds", [(0, 0, 4, 4, 11, 17), (0, 1, 2, 17, 17)])
@pytest.mark.parametrize("started", [False, True])
def test_packed_layer(spec, bounds, started):
    """Everything carried in time restarts at each sequence."""
    _, layer = make(spec)
    u, inputs = given(spec, 1, 17)
    u.requires_grad_()
    leaves = {"u": u, **dict(layer.named_parameters())}
    rows, state = len(bounds) - 1, None
    if started:
        v, more = given(spec, rows, 3, seed=7)
        with torch.no_grad():
            _, state = layer(v, **more, return_state=True)
    y, last = layer(u, state, **inputs, cu_seqlens=torch.tensor(bounds), return_state=True)
    parts, lasts = [], []
    for i, (a, z) in enumerate(itertools.pairwise(bounds)):
        one = None if state is None else state.index_select(torch.tensor([i]))
        part, end = layer(u[:, a:z], one, **{k: x[:, a:z] for k, x in inputs.items()}, return_state=True)
        parts.append(part)
        lasts.append(end)
    want, ends = torch.cat(parts, 1), [torch.cat(v) for v in zip(*lasts, strict=True)]
    close(y, want, FP64_EAGER)
    for a, b in zip(last, ends, strict=True):
        close(a, b, FP64_EAGER) if a.dtype != torch.int64 else _equal(a, b)
    got, want = gradients([y, *last], leaves), gradients([want, *ends], leaves)
    for k in want:
        close(got[k], want[k], FP64_EAGER, k)


@every_spec
def test_empty_batch_and_length(spec):
    _, layer = make(spec)
    for batch, time in ((0, 5), (2, 0), (0, 0)):
        u, inputs = given(spec, batch, time)
        y, state = layer(u, **inputs, return_state=True)
        assert y.shape[:2] == (batch, time)
        assert all(v.shape[0] == batch for v in state)
        y.sum().backward()


# --- torch's machinery ----------------------------------------------------------------------------------------------


@every_spec
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_autocast(spec, dtype):
    """Trains under autocast (with a GradScaler in fp16); close to float32, and no further than the Linears'
    rounding."""
    _, layer = make(spec, torch.float32)
    u, inputs = given(spec, 2, 17, torch.float32)
    want = layer(u, **inputs)
    with torch.autocast("cpu", dtype=dtype):
        y, state = layer(u, **inputs, return_state=True)
    assert all(
        v.dtype in (torch.float32, torch.complex64)
        for v, n in zip(state, state._fields, strict=True)
        if n in ("h", "x")
    )
    assert error(y, want, True) <= LAYER[dtype]
    scaler = torch.amp.GradScaler("cpu", enabled=dtype == torch.float16)
    optimizer = torch.optim.SGD(layer.parameters(), 1e-3)
    scaler.scale(y.float().pow(2).mean()).backward()
    scaler.step(optimizer)
    scaler.update()
    assert all(p.grad is not None and torch.isfinite(p.grad).all() for p in layer.parameters())


@every_spec
def test_halved_module_keeps_its_params(spec):
    m = module_of(spec)
    layer = getattr(m, m.__all__[0])(**SMALL[spec].args, dtype=torch.bfloat16)
    children = {
        id(p) for child in layer.modules() if isinstance(child, nn.Linear | nn.Conv1d) for p in child.parameters()
    }
    for name, p in layer.named_parameters():
        assert p.dtype == (torch.bfloat16 if id(p) in children else torch.float32), name
    u, inputs = given(spec, 2, 5, torch.bfloat16)
    y, _state = layer(u, **inputs, return_state=True)
    assert y.dtype == torch.bfloat16
    y.float().sum().backward()
    y, _ = layer.step(u[:, 0], layer.init_state(2, dtype=torch.bfloat16), **{k: v[:, 0] for k, v in inputs.items()})
    assert y.dtype == torch.bfloat16


@every_spec
def test_compile_without_a_break(spec):
    _, layer = make(spec)
    u, inputs = given(spec, 2, 5)
    leaves = dict(layer.named_parameters())
    torch._dynamo.reset()
    f = torch.compile(layer, fullgraph=True, backend="aot_eager")
    got, want = f(u, **inputs), layer(u, **inputs)
    close(got, want, FP64_EAGER)
    a, b = gradients([got], leaves), gradients([want], leaves)
    for k in b:
        close(a[k], b[k], FP64_EAGER, k)


@every_spec
def test_export(spec):
    """Dynamic batch and time."""
    _, layer = make(spec)
    u, inputs = given(spec, 2, 6)
    batch, time = torch.export.Dim("batch", min=1, max=64), torch.export.Dim("time", min=2, max=512)
    dynamic = {"u": {0: batch, 1: time}, **{k: {0: batch, 1: time} for k in inputs}}
    with torch.no_grad():
        program = torch.export.export(layer, (u,), inputs, dynamic_shapes=dynamic, strict=False)
        v, more = given(spec, 3, 11, seed=9)
        close(program.module()(v, **more), layer(v, **more), FP64_EAGER)


@every_spec
def test_meta_device_and_initial_values(spec):
    m = module_of(spec)
    cls = getattr(m, m.__all__[0])
    torch.manual_seed(3)
    want = cls(**SMALL[spec].args)
    with torch.device("meta"):
        layer = cls(**SMALL[spec].args)
    assert all(p.is_meta for p in layer.parameters())
    layer = layer.to_empty(device="cpu")
    for p in (*layer.parameters(), *layer.buffers()):
        p.data.fill_(float("nan"))
    torch.manual_seed(3)
    layer.reset_parameters()
    for (k, p), (_, q) in zip(layer.state_dict().items(), want.state_dict().items(), strict=True):
        assert torch.isfinite(p).all(), k
        assert p.shape == q.shape
        assert torch.allclose(p.float().std(unbiased=False), q.float().std(unbiased=False), rtol=2, atol=0.2), k


@every_spec
def test_state_dict_round_trip(spec, tmp_path):
    _, layer = make(spec)
    _, other = make(spec, seed=11)
    torch.save(layer.state_dict(), tmp_path / "layer.pt")
    other.load_state_dict(torch.load(tmp_path / "layer.pt", weights_only=True))
    u, inputs = given(spec, 2, 5)
    assert torch.equal(layer(u, **inputs), other(u, **inputs))


class LowRank(nn.Module):
    """What a LoRA library puts in a Linear's place."""

    def __init__(self, base):
        super().__init__()
        self.base = base
        self.a = nn.Parameter(0.1 * torch.randn(2, base.in_features, dtype=base.weight.dtype))
        self.b = nn.Parameter(0.1 * torch.randn(base.out_features, 2, dtype=base.weight.dtype))

    def forward(self, x):
        return self.base(x) + x @ self.a.T @ self.b.T


@every_spec
def test_linears_may_be_hooked_and_replaced(spec):
    _, layer = make(spec)
    _, merged = make(spec)
    linears = [n for n, c in layer.named_children() if isinstance(c, nn.Linear)]
    u, inputs = given(spec, 2, 5)
    heard = []
    for n in linears:
        getattr(layer, n).register_forward_hook(lambda *_, n=n: heard.append(n))
    layer(u, **inputs)
    assert sorted(heard) == sorted(linears)
    for n in linears:
        lora = LowRank(getattr(layer, n))
        setattr(layer, n, lora)
        with torch.no_grad():
            getattr(merged, n).weight += lora.b @ lora.a
    close(layer(u, **inputs), merged(u, **inputs), FP64_EAGER)


def test_a_replaced_convolution_runs_itself():
    _, layer = make("mamba")
    u, _ = given("mamba", 2, 7)
    want, state = layer(u, return_state=True)

    class Mine(nn.Conv1d):
        pass

    old = layer.conv1d
    new = Mine(old.in_channels, old.out_channels, 4, groups=old.groups, padding=3, dtype=torch.float64)
    new.load_state_dict(old.state_dict())
    layer.conv1d = new
    with pytest.warns(UserWarning, match="replaced"):
        got, again = layer(u, return_state=True)
    close(got, want, FP64_EAGER)
    for a, b in zip(state, again, strict=True):
        close(a, b, FP64_EAGER)
    with pytest.raises(RuntimeError, match="packed"):
        layer(u[:1], cu_seqlens=torch.tensor([0, 7]))


def test_kernels_are_not_asked_for_float64():
    """They compute in float32: who asks for both is told, before anything runs."""
    m, layer = make("mamba")
    assert layer.A_log.dtype == torch.float64
    for call in capture(m, layer, given("mamba", 1, 3)[0]):
        with pytest.raises(RuntimeError, match=r"backend='triton', but .* float64"):
            getattr(m, call.op)(**call.operands, **call.numbers, backend="triton")


@every_spec
def test_strict(spec, monkeypatch):
    m, layer = make(spec)
    u, inputs = given(spec, 1, 2)
    monkeypatch.setenv("SSMC_STRICT", "1")
    if not m.OPS:  # nothing in it has a kernel
        layer(u, **inputs)
        return
    assert layer.backend == "eager"
    with pytest.raises(RuntimeError, match="SSMC_STRICT"):
        layer(u, **inputs)
    monkeypatch.setenv("SSMC_STRICT", "0")
    m._say.cache_clear()
    with pytest.warns(UserWarning, match="eager backend"):
        m._fall_back("a reason")


@every_spec
def test_importing_twice(spec):
    """The operators of a file are registered once, and both modules use them."""
    m, layer = make(spec)
    found = importlib.util.spec_from_file_location(f"again_{spec}", m.__file__)
    again = importlib.util.module_from_spec(found)
    sys.modules[found.name] = again
    found.loader.exec_module(again)
    other = getattr(again, m.__all__[0])(**SMALL[spec].args, dtype=torch.float64)
    other.load_state_dict(layer.state_dict())
    u, inputs = given(spec, 2, 5)
    assert torch.equal(layer(u, **inputs), other(u, **inputs))


@every_spec
def test_no_weight_decay(spec):
    """`no_decay` reaches the parameters."""
    text = (SPECS / f"{spec}.ssm").read_text()
    _, layer = make(spec)
    marked = [k for k, p in layer.named_parameters() if getattr(p, "_no_weight_decay", False)]
    assert len(marked) == len(set(re.findall(r"^ +param (\w+).* no_decay\b", text, re.MULTILINE)))


@every_spec
def test_a_wrong_shape_names_the_operand(spec):
    for call in calls(spec, 2, 3):
        for name in call.operands:
            bad = {**call.operands, name: call.operands[name][..., None]}
            with pytest.raises(ValueError, match=name):
                getattr(call.module, call.op)(**bad, **call.numbers)
    _, layer = make(spec)
    with pytest.raises(ValueError, match=f"{spec}.ssm"):
        layer(torch.zeros(2, 3, 99, dtype=torch.float64))


def test_cast_keeps_params():
    """The harness rounds what streams, and keeps parameters wide."""
    call = calls("mamba", 1, 2)[0]
    low = cast(call, torch.bfloat16)
    assert low.operands["x"].dtype == torch.bfloat16
    assert low.operands["A_log"].dtype == torch.float32
