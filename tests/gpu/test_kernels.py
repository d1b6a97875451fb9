"""Every kernel of every shipped spec on a GPU, against the token loop in float64. `pytest -m gpu`."""

from __future__ import annotations

import functools
import itertools
import warnings

import pytest
import torch

from tests.harness import Call, capture, cast, check, compare, error, flags, layer_of, modules, random_states, run
from tests.tolerances import FORWARD, LAYER

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU"),
    pytest.mark.filterwarnings("ignore"),
]
MODULES = modules()
SMALLER: dict[str, dict[str, int]] = {  # heads that fit 24 and 40 channels
    "mamba2": {"headdim": 8, "d_state": 24},
    "retnet": {"num_heads": 2},
    "linear_attention": {"num_heads": 1},  # what a normaliser wants is a sum over values: of three, it may cancel
    "rwkv5": {"head_size": 8},
    "rwkv6": {"head_size": 8, "mix_rank": 4, "decay_rank": 8},
    "hgrn2": {"expand_ratio": 8},
}
KERNELS = sorted(n for n, m in MODULES.items() if m.KERNELS)
DTYPES = (torch.float32, torch.bfloat16)


def calls(name: str, B: int, T: int, d_model: int = 24, **arguments) -> list[Call]:
    torch.manual_seed(0)
    module = MODULES[name]
    layer = layer_of(module)(d_model, **SMALLER.get(name, {}), **arguments, device="cuda")
    u = torch.randn(B, T, *_rest(layer, d_model), device="cuda")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return capture(module, layer, u)


def _rest(layer, d_model: int) -> tuple[int, ...]:
    return (d_model,)


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("T", (1, 2, 17, 64, 257))
@pytest.mark.parametrize("name", KERNELS)
def test_lengths(name: str, T: int, dtype: torch.dtype) -> None:
    rows = 2 if T > 2 else 16  # a ratio of root mean squares of few numbers is chance
    for call in calls(name, rows, T):
        states = random_states(call, rows, torch.float32, "cuda")
        floor = 1e-3 if T == 1 else 1e-12  # of one token alone some gradients are nothing but rounding
        check(call, compare(call, dtype, states, "triton", floor=floor), dtype)
        check(call, compare(call, dtype, None, "triton", floor=floor), dtype)


@pytest.mark.parametrize("name", KERNELS)
def test_no_tokens(name: str) -> None:
    for call in calls(name, 2, 3):
        empty = Call(
            call.module,
            call.op,
            {k: v[:, :0] if k in call.tokens() else v for k, v in call.operands.items()},
            call.numbers,
        )
        states = random_states(call, 2, torch.float32, "cuda")
        outs, grads = run(empty, states, "triton")
        many = states if isinstance(states, tuple) else (states,)
        for a, b in zip(outs[-len(many) :], many, strict=True):
            assert torch.equal(a, b)
        assert all(torch.isfinite(torch.view_as_real(g) if g.is_complex() else g).all() for g in grads.values())


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("name", KERNELS)
def test_packed(name: str, dtype: torch.dtype) -> None:
    lengths = [5, 0, 1, 64, 0, 2, 130]
    cu = torch.tensor([0, *itertools.accumulate(lengths)], device="cuda", dtype=torch.int32)
    for call in calls(name, 1, sum(lengths)):
        states = random_states(call, len(lengths), torch.float32, "cuda")
        check(call, compare(call, dtype, states, "triton", cu), dtype)


@pytest.mark.parametrize("name", KERNELS)
def test_splits(name: str) -> None:
    for call in calls(name, 2, 101):
        op = getattr(call.module, call.op)
        whole, last = op(**call.operands, **call.numbers, return_state=True, backend="triton")
        for cut in (1, 50, 64, 100):
            parts, state = [], None
            for piece in (slice(0, cut), slice(cut, None)):
                cuts = {k: v[:, piece] if k in call.tokens() else v for k, v in call.operands.items()}
                y, state = op(**cuts, **call.numbers, initial_state=state, return_state=True, backend="triton")
                parts.append(y)
            if isinstance(whole, tuple):
                for i, w in enumerate(whole):
                    assert error(torch.cat([p[i] for p in parts], 1), w, False) <= FORWARD[torch.float32]
            else:
                assert error(torch.cat(parts, 1), whole, False) <= FORWARD[torch.float32]
            for a, b in zip(
                state if isinstance(state, tuple) else (state,),
                last if isinstance(last, tuple) else (last,),
                strict=True,
            ):
                assert error(a, b, False) <= FORWARD[torch.float32]


@pytest.mark.parametrize("name", KERNELS)
def test_repeatable(name: str) -> None:
    for call in calls(name, 3, 300, d_model=40):
        low = cast(call, torch.bfloat16)
        states = random_states(call, 3, torch.float32, "cuda")
        first, grads = run(low, states, "triton")
        for _ in range(10):
            again, more = run(low, states, "triton")
            assert all(torch.equal(a, b) for a, b in zip(first, again, strict=True))
            assert all(torch.equal(grads[k], more[k]) for k in grads)


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("name", KERNELS)
def test_way_back_in_waves(name: str, dtype: torch.dtype, monkeypatch: pytest.MonkeyPatch) -> None:
    """Launches of three programs, and time in two pieces walked in turn."""
    for call in calls(name, 2, 500):
        module, stem = call.module, f"choose_{call.op.removesuffix('_op')}"
        choose = getattr(module, stem)
        waves = functools.partial(_waves, choose)
        with monkeypatch.context() as m:
            m.setattr(module, stem, waves)
            check(call, compare(call, dtype, random_states(call, 2, torch.float32, "cuda"), "triton"), dtype)


def _waves(choose, *sizes, **more):
    return choose(*sizes, **more)._replace(pieces=1, parts=2, wave=3)


@pytest.mark.parametrize("name", KERNELS)
def test_rows_do_not_see_each_other(name: str) -> None:
    for call in calls(name, 3, 50):
        op = getattr(call.module, call.op)
        want = op(**call.operands, **call.numbers, backend="triton")
        other = {k: v.clone() if k in call.tokens() else v for k, v in call.operands.items()}
        for k in call.tokens():
            if other[k].is_floating_point():
                other[k][1:] = float("nan")
        got = op(**other, **call.numbers, backend="triton")
        for a, b in zip(
            got if isinstance(got, tuple) else (got,), want if isinstance(want, tuple) else (want,), strict=True
        ):
            assert torch.equal(a[:1], b[:1])


@pytest.mark.parametrize("name", KERNELS)
def test_views(name: str) -> None:
    """Operands as views of one wide tensor, as a packed projection gives them."""
    for call in calls(name, 2, 33):
        wide = {}
        for k, v in call.operands.items():
            if k in call.tokens() and v.dim() > 2:
                parent = torch.full(
                    (*v.shape[:2], *v.shape[2:-1], v.shape[-1] * 3 + 5), float("nan"), device="cuda", dtype=v.dtype
                )
                view = parent[..., 2 : 2 + v.shape[-1]]
                view.copy_(v)
                wide[k] = view
            else:
                wide[k] = v
        op = getattr(call.module, call.op)
        got, want = op(**wide, **call.numbers, backend="triton"), op(**call.operands, **call.numbers, backend="triton")
        for a, b in zip(
            got if isinstance(got, tuple) else (got,), want if isinstance(want, tuple) else (want,), strict=True
        ):
            assert torch.equal(a, b)


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("d_state", (1, 2, 8, 17, 64, 128, 256))
def test_state_sizes(d_state: int, dtype: torch.dtype) -> None:
    for call in calls("mamba", 2, 70, d_model=12, d_state=d_state):
        check(call, compare(call, dtype, random_states(call, 2, torch.float32, "cuda"), "triton"), dtype)


@pytest.mark.parametrize("d_model", (1, 3, 65))
def test_widths(d_model: int) -> None:
    for call in calls("mamba", 2, 40, d_model=d_model):
        check(
            call, compare(call, torch.float32, random_states(call, 2, torch.float32, "cuda"), "triton"), torch.float32
        )


@pytest.mark.parametrize("rate", (0.0, -1e-8, -5.0, -50.0, -1e4))
@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_extreme_decays(rate: float, dtype: torch.dtype) -> None:
    """The log decay of every step is the rate."""
    for call in calls("mamba", 2, 200, d_model=16):
        one = call.operands["dt_raw"]
        call.operands["dt_raw"] = torch.full_like(one, 0.5413248546129181)  # softplus of it is 1
        call.operands["A_log"] = torch.full_like(call.operands["A_log"], -rate).log()
        low = cast(call, dtype)
        outs, grads = run(low, None, "triton")
        assert all(torch.isfinite(v).all() for v in (*outs, *(g for k, g in grads.items() if k != "A_log")))
        if rate != 0:
            check(call, compare(call, dtype, None, "triton"), dtype)


@pytest.mark.parametrize("name", KERNELS)
def test_layer_trains_under_autocast(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    module = MODULES[name]
    for dtype in (torch.bfloat16, torch.float16):
        torch.manual_seed(0)
        layer = layer_of(module)(24, **SMALLER.get(name, {}), device="cuda")
        u = torch.randn(2, 60, 24, device="cuda")
        scaler = torch.amp.GradScaler(enabled=dtype == torch.float16)
        optimizer = torch.optim.AdamW(layer.parameters(), lr=1e-3)
        for _ in range(5):
            with torch.autocast("cuda", dtype=dtype):
                loss = layer(u).float().square().mean()
            scaler.scale(loss).backward()
            scaler.step(optimizer)
            scaler.update()
            optimizer.zero_grad()
            assert torch.isfinite(loss)
        with torch.autocast("cuda", dtype=dtype):
            got = layer(u)
        with monkeypatch.context() as patch, torch.autocast("cuda", dtype=dtype):
            patch.setattr(module, "_why_eager", lambda device, dtype: "it is compared with")
            want = layer(u)
        assert error(got, want, True) <= LAYER[dtype]


@pytest.mark.parametrize("name", KERNELS)
def test_compile_fullgraph(name: str) -> None:
    module = MODULES[name]
    layer = layer_of(module)(24, **SMALLER.get(name, {}), device="cuda")
    compiled = torch.compile(layer, fullgraph=True, backend="aot_eager", dynamic=True)
    for T in (33, 64, 127):
        u = torch.randn(2, T, 24, device="cuda", requires_grad=True)
        a, b = compiled(u), layer(u)
        assert error(a, b, False) < 1e-6
        (ga,) = torch.autograd.grad(a.square().sum(), u)
        (gb,) = torch.autograd.grad(b.square().sum(), u)
        assert error(ga, gb, False) < 1e-5


@pytest.mark.parametrize(("name", "tokens"), (("mamba", 9), ("gla", 40)))
def test_opcheck(name: str, tokens: int) -> None:
    for call in calls(name, 2, tokens, d_model=8):
        op = getattr(getattr(torch.ops, call.module.NAMESPACE), call.op.removesuffix("_op")).default
        operands = [v.requires_grad_() for v in call.operands.values()]
        # what is left for the way back has room that nothing writes: two runs are not compared in all they give
        checks = ("test_schema", "test_autograd_registration", "test_faketensor")
        torch.library.opcheck(
            op, (*operands, None, None, *call.numbers.values(), *flags(op), "triton"), test_utils=checks
        )


def test_parent_with_large_strides() -> None:
    """A small view into a parent of more than 2**31 elements."""
    for call in calls("mamba", 2, 40, d_model=16):
        E = call.operands["x"].shape[-1]
        parent = torch.zeros(2, 40, 2**25 + 64, device="cuda", dtype=torch.bfloat16)
        assert parent.numel() > 2**31
        low = cast(call, torch.bfloat16)
        want = getattr(call.module, call.op)(**low.operands, **call.numbers, backend="triton")
        parent[..., :E].copy_(low.operands["x"])
        low.operands["x"] = parent[..., :E]
        got = getattr(call.module, call.op)(**low.operands, **call.numbers, backend="triton")
        assert torch.equal(got, want)
        del parent


@pytest.mark.gpu_long
def test_more_than_2_to_31_elements() -> None:
    B, T, E, N = 8, 65536, 4352, 1
    module = MODULES["mamba"]
    op = module.mamba_op
    g = torch.Generator(device="cuda").manual_seed(0)
    token = {n: torch.randn(B, T, E, device="cuda", dtype=torch.bfloat16, generator=g) for n in ("x", "dt_raw", "z")}
    token |= {n: torch.randn(B, T, N, device="cuda", dtype=torch.bfloat16, generator=g) for n in ("B", "C")}
    assert token["x"].numel() > 2**31
    A_log, D = torch.zeros(E, N, device="cuda"), torch.ones(E, device="cuda")
    leaves = {k: v.requires_grad_() for k, v in token.items()}
    y = op(**leaves, A_log=A_log, D=D, backend="triton")
    y.backward(y.detach())
    row = {k: v.detach()[-1:].clone().requires_grad_() for k, v in token.items()}
    one = op(**row, A_log=A_log, D=D, backend="triton")
    one.backward(one.detach())
    assert error(y[-1:].detach(), one.detach(), True) < 1e-3
    for k in row:
        assert error(leaves[k].grad[-1:], row[k].grad, True) < 1e-2
