"""Decoding on a GPU: steps against forward, and steps in place inside a CUDA graph. `pytest -m gpu`."""

from __future__ import annotations

import pytest
import torch

from tests.gpu.test_kernels import DTYPES, KERNELS, MODULES, SMALLER, calls
from tests.harness import cast, error, layer_of, random_states
from tests.tolerances import FORWARD

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU"),
    pytest.mark.filterwarnings("ignore"),
]


@pytest.mark.parametrize("name", KERNELS)
def test_step_and_graph(name: str) -> None:
    module = MODULES[name]
    layer = layer_of(module)(24, **SMALLER.get(name, {}), device="cuda")
    u = torch.randn(4, 9, 24, device="cuda")
    if not hasattr(layer, "step"):
        pytest.skip("runs backward in time")
    with torch.no_grad():
        want, last = layer(u, return_state=True)
        state = layer.init_state(4)
        for t in range(9):
            y, state = layer.step(u[:, t], state)
            assert error(y, want[:, t], False) <= FORWARD[torch.float32]
        for a, b in zip(state, last, strict=True):
            assert error(a.double(), b.double(), False) <= FORWARD[torch.float32]
        live = layer.init_state(4)
        places = [v.data_ptr() for v in live]
        token = u[:, 0].clone()
        layer.step(token, live, inplace=True)
        live.reset(layer.init_state(1))
        torch.cuda.synchronize()
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph):
            y, _ = layer.step(token, live, inplace=True)
        live.reset(layer.init_state(1))
        for t in range(9):
            token.copy_(u[:, t])
            graph.replay()
            assert error(y, want[:, t], False) <= FORWARD[torch.float32]
        for a, b in zip(live, last, strict=True):
            assert error(a.double(), b.double(), False) <= FORWARD[torch.float32]
        assert [v.data_ptr() for v in live] == places


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("name", KERNELS)
def test_op_steps_in_a_graph(name: str, dtype: torch.dtype) -> None:
    """The operator that steps in place, captured once and replayed for every token, against one call for all of them."""
    for call in calls(name, 4, 9):
        low = cast(call, dtype)
        op, tokens = getattr(low.module, low.op), low.tokens()
        states = random_states(call, 4, torch.float32, "cuda")
        live = tuple(v.clone() for v in states) if isinstance(states, tuple) else states.clone()
        token = {k: v[:, :1].clone() if k in tokens else v for k, v in low.operands.items()}

        def many(x) -> tuple[torch.Tensor, ...]:
            return x if isinstance(x, tuple) else (x,)

        def step(op=op, token=token, numbers=low.numbers, live=live):
            return op(**token, **numbers, initial_state=live, inplace=True, backend="triton")

        with torch.no_grad():
            want, last = op(**low.operands, **low.numbers, initial_state=states, return_state=True, backend="triton")
            step()
            torch.cuda.synchronize()
            graph = torch.cuda.CUDAGraph()
            with torch.cuda.graph(graph):
                got = step()
            for v, s in zip(many(live), many(states), strict=True):
                v.copy_(s)
            for t in range(9):
                for k in tokens:
                    token[k].copy_(low.operands[k][:, t : t + 1])
                graph.replay()
                for a, b in zip(many(got), many(want), strict=True):
                    assert error(a, b[:, t : t + 1], dtype != torch.float32) <= FORWARD[dtype]
        for a, b in zip(many(live), many(last), strict=True):
            assert error(a, b, False) <= FORWARD[torch.float32]
