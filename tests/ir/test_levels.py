"""All levels on every spec: layer == stabilised layer == partition == program == generated code, and the program's adjoint == finite
differences == the generated backward. Each comparison names the two levels and the value.
"""

from __future__ import annotations

import inspect
import warnings
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import torch

import ssmc
from ssmc.diagnostics.span import Source
from ssmc.driver import Compilation, run
from ssmc.ir.interpret import Argument, Array
from ssmc.ir.program import Program
from ssmc.ir.run import Carried, resolve, run_layer
from ssmc.ir.run_filter import run_filter
from ssmc.ir.run_outer import run_outer
from ssmc.ir.run_partition import run_partition
from ssmc.ir.run_program import run_adjoint, run_program
from ssmc.options import Options
from tests.ir.small_specs import SMALL
from tests.specs.layers import SMALL as SIZES
from tests.tolerances import FP64_EAGER

ROOT = Path(__file__).parents[2]
SHIPPED = sorted((ROOT / "specs").glob("*.ssm"))
FILES = {p.stem: p for p in (*SHIPPED, *sorted((ROOT / "tests" / "specs" / "variants").glob("*.ssm")))}
ARGS: dict[str, dict[str, Argument]] = {
    "mamba": {"d_model": 2, "d_state": 3},
    "rglru": {"d_model": 3, "lru_width": 4, "num_heads": 2},
    "liquid_s4": {"d_model": 3, "d_state": 4},
    "dss": {"d_model": 3, "d_state": 4},
    "lti": {"d_model": 3, "d_state": 4},
    "s4d": {"d_model": 3, "d_state": 4},
    "s5": {"d_model": 3, "d_state": 4},
    "gss": {"d_model": 4, "d_ssm": 3, "d_state": 4},
    "hgrn": {"d_model": 2, "expand_ratio": 2},
}
SETTINGS: dict[str, dict[str, Argument]] = {
    "mingru-proj_out": {"proj_out": True},
    "s4d-both_ways": {"bidirectional": True, "disc": "bilinear"},
    "s5-both_ways": {"bidirectional": True, "clip_eigs": True},
    "mega_ema-both_ways": {"bidirectional": True},
    "lti-euler": {"rule": "euler"},
}
BATCH, TIME = 2, 5
NAMES = [*FILES, *SETTINGS, *SMALL]


@dataclass(frozen=True)
class Case:
    """One spec at every level, with numbers for everything it takes."""

    done: Compilation
    module: ModuleType
    layer: Any
    args: dict[str, Argument]
    sizes: dict[str, int]
    inputs: dict[str, Array]
    params: dict[str, Array]

    @property
    def programs(self) -> list[Program]:
        assert self.done.plan is not None
        return [p.program for p in self.done.plan.programs]

    def op(self, i: int) -> Any:
        return getattr(self.module, list(self.module.OPS)[i])


@cache
def case(name: str) -> Case:
    stem, settings = name.split("-")[0], SETTINGS.get(name, {})
    text = SMALL[stem] if stem in SMALL else FILES[stem].read_text()
    done = run(Source(f"{stem}.ssm", text), Options(settings))
    assert done.text is not None and done.layer is not None, done.rendered()
    small = SIZES[stem].args if stem in SIZES else {}
    given = ARGS.get(stem) or small or {a.name: 4 for a in done.layer.args if a.default is None and not a.choices}
    args, sizes = resolve(done.layer, given)
    rng = np.random.default_rng(len(name))
    inputs = {}
    for i in done.layer.inputs.values():
        shape = (BATCH, TIME, *(sizes[a] for a in i.axes))
        inputs[i.name] = rng.normal(size=shape) if i.default is None else rng.integers(0, 2, shape) - 0.5
    torch.manual_seed(len(name))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        module = ssmc.load(text, options=Options(settings))
        layer = getattr(module, module.__all__[0])(**given, **settings_of(module, settings), dtype=torch.float64)
    with torch.no_grad():
        for p in layer.parameters():
            p.add_(0.1 * torch.randn_like(p))
    params = {k: v.numpy() for k, v in layer.state_dict().items()}
    return Case(done, module, layer, {**args, **settings}, sizes, inputs, params)


def settings_of(module: ModuleType, settings: dict[str, Argument]) -> dict[str, Argument]:
    taken = inspect.signature(getattr(module, module.__all__[0])).parameters
    return {k: v for k, v in settings.items() if k in taken}


def same(found: Array, wanted: Array, what: str, tolerance: float = FP64_EAGER) -> None:
    """Equal to within the tolerance, relative to the largest entry."""
    found, wanted = (x + 0.0 if x.dtype == bool else x for x in map(np.asarray, (found, wanted)))
    assert found.shape == wanted.shape, f"{what}: shape {found.shape}, not {wanted.shape}"
    if wanted.size:
        assert np.isfinite(found).all(), f"{what}: not finite"
        worst = float(np.abs(found - wanted).max() / max(float(np.abs(wanted).max()), 1.0))
        assert worst <= tolerance, f"{what}: off by {worst:.2g}"


def layer_values(c: Case) -> tuple[Array, dict[str, Array], Carried]:
    assert c.done.partition is not None
    return run_layer(c.done.partition.layer, c.inputs, c.params, c.args)


def partition_values(
    c: Case, inputs: dict[str, Array], state: Carried | None = None
) -> tuple[Array, dict[str, Array], Carried]:
    assert c.done.partition is not None
    return run_partition(c.done.partition, inputs, c.params, c.args, state)


def operands(c: Case, p: Program) -> dict[str, Array]:
    """What the op is given when the layer is called with the case's numbers."""
    _, values, _ = partition_values(c, c.inputs)
    values |= {"t": np.broadcast_to(np.arange(TIME, dtype=float), (BATCH, TIME))}
    out = {o.name: values[o.name] if o.token else values[o.name][0, 0] for o in p.recurrence.operands}
    return {k: v.copy() for k, v in out.items()}


def states(c: Case, p: Program, seed: int) -> dict[str, Array]:
    """Some numbers in the shapes of the op's states."""
    rng = np.random.default_rng(seed)
    return {k.of: noise(rng, (BATCH, *(c.sizes[a] for a in k.axes)), k.dtype) for k in p.recurrence.carried}


def noise(rng: np.random.Generator, shape: tuple[int, ...], dtype: str = "real") -> Array:
    x = rng.normal(size=shape)
    return x + 1j * rng.normal(size=shape) if dtype == "complex" else x


def cotangents(c: Case, p: Program) -> dict[str, Array]:
    rng = np.random.default_rng(7)
    kinds = {r.name: "complex" if len(r.parts) > 1 else "real" for r in p.results}
    return {r.name: noise(rng, (BATCH, TIME, *(c.sizes[a] for a in r.axes)), kinds[r.name]) for r in p.results}


@pytest.mark.parametrize("name", NAMES)
def test_stabilised_layer_is_the_layer(name: str) -> None:
    c = case(name)
    layer = c.done.layer
    assert layer is not None and c.done.partition is not None
    gauges = c.done.partition.layer.gauges
    if c.done.partition.layer is layer:
        assert not gauges, "stabilised: a gauge without a change"
        return
    wanted, plain, _ = run_layer(layer, c.inputs, c.params, c.args)
    y, values, _ = layer_values(c)
    same(y, wanted, "stabilised: the result is not the layer's")
    for g in gauges:
        for n in g.written:
            scale = values[g.scale].reshape(*values[g.scale].shape, *(1,) * (values[n].ndim - values[g.scale].ndim))
            same(values[n] * np.exp(scale), plain[n], f"stabilised: `{n}` is not the layer's divided by e^{g.scale}")
    for n in set(plain) & set(values) - {n for g in gauges for n in g.written}:
        same(values[n], plain[n], f"stabilised: value `{n}` is not the layer's")


@pytest.mark.parametrize("name", NAMES)
def test_partition_is_the_layer(name: str) -> None:
    c = case(name)
    y, values, carried = layer_values(c)
    y_2, values_2, carried_2 = partition_values(c, c.inputs)
    for n in values:
        if n in values_2:
            same(values_2[n], values[n], f"partition: value `{n}` is not the layer's")
    assert set(values) - set(values_2) <= set(c.done.partition.layer.convs), "values that no region writes"  # type: ignore[union-attr]
    same(y_2, y, "partition: the result is not the layer's")
    for n in carried_2.previous:
        if n in carried.previous:
            same(carried_2.previous[n], carried.previous[n], f"partition: `{n}` is not carried as in the layer")
    assert reverses(c) or set(carried.previous) <= set(carried_2.previous), "partition: something is not carried"
    for n, taps in carried.taps.items():
        same(carried_2.taps[n].reshape(taps.shape), taps, f"partition: the taps of `{n}` are not the layer's")


@pytest.mark.parametrize("name", NAMES)
def test_partition_in_pieces(name: str) -> None:
    c = case(name)
    if reverses(c):
        pytest.skip("a layer that reads the future has no state to carry")
    whole, _, _ = partition_values(c, c.inputs)
    pieces, state = [], Carried()
    for i, j in ((0, 2), (2, 2), (2, 3), (3, TIME)):
        y, _, state = partition_values(c, {n: x[:, i:j] for n, x in c.inputs.items()}, state)
        pieces.append(y)
    same(np.concatenate(pieces, 1), whole, "partition: a split sequence is not the whole one")


def reverses(c: Case) -> bool:
    part = c.done.partition
    assert part is not None
    return any(r.reverse for r in part.recurrences.values()) or any(d.offset > 0 for d in part.delays.values())


@pytest.mark.parametrize("name", NAMES)
def test_program_is_the_partition(name: str) -> None:
    c = case(name)
    _, values, _ = partition_values(c, c.inputs)
    for p in c.programs:
        op = p.recurrence.name
        done = run_program(p, operands(c, p), None, c.sizes, c.args)
        for n, x in done.results.items():
            same(x, values[n], f"program `{op}`: result `{n}` is not the partition's")
        for n, x in done.last.items():
            last = values[n][:, 0 if p.recurrence.reverse else -1]
            same(x, last, f"program `{op}`: the last `{n}` is not the partition's")


@pytest.mark.parametrize("name", NAMES)
def test_filter_is_the_program(name: str) -> None:
    c = case(name)
    for p in c.programs:
        if p.filter is None or any(k.init is not None for k in p.recurrence.carried):
            continue
        given = operands(c, p)
        want = run_program(p, given, None, c.sizes, c.args).results
        for n, x in run_filter(p, given, c.sizes, c.args).items():
            same(x, want[n], f"filter `{p.recurrence.name}`: result `{n}` is not the program's")


@pytest.mark.parametrize("name", NAMES)
def test_outer_products_are_the_program(name: str) -> None:
    c = case(name)
    for p in c.programs:
        if p.outer is None or any(k.init is not None for k in p.recurrence.carried):
            continue
        given = operands(c, p)
        want = run_program(p, given, None, c.sizes, c.args).results
        for n, x in run_outer(p, given, c.sizes, c.args).items():
            same(x, want[n], f"outer products `{p.recurrence.name}`: result `{n}` is not the program's")


def leaf(x: Array, dtype: str) -> torch.Tensor:
    v = torch.tensor(np.asarray(x))
    return v if dtype == "bool" else v.requires_grad_()


def call_op(
    c: Case, i: int, given: list[torch.Tensor], start: list[torch.Tensor], how: dict[str, object]
) -> tuple[list[torch.Tensor], list[torch.Tensor]]:
    op = c.op(i)
    taken = {
        k: c.args[k] if k in c.args else c.sizes[k]
        for k, v in inspect.signature(op).parameters.items()
        if v.kind is v.KEYWORD_ONLY and k not in HOW
    }
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        state = start[0] if len(start) == 1 else tuple(start)
        y, last = op(*given, **taken, initial_state=state, return_state=True, **how)
    return list(y) if isinstance(y, tuple) else [y], list(last) if isinstance(last, tuple) else [last]


HOW = ("initial_state", "return_state", "cu_seqlens", "backend", "inplace")


@pytest.mark.parametrize("name", NAMES)
def test_generated_layer_is_the_layer(name: str) -> None:
    c = case(name)
    y, _, carried = layer_values(c)
    first, *others = c.inputs
    given = {n: torch.tensor(x) for n, x in c.inputs.items()}
    state: dict[str, torch.Tensor] = {}
    with warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter("ignore")
        if reverses(c):
            found = c.layer(given[first], **{n: given[n] for n in others})
        else:
            found, last = c.layer(given[first], **{n: given[n] for n in others}, return_state=True)
            state = last._asdict() if last is not None else {}
    same(found.numpy(), y, "generated: the layer's result is not the interpreter's")
    assert c.done.partition is not None
    of = {d.name: d.of for d in c.done.partition.delays.values()}
    for n, x in state.items():
        if of.get(n, n) in carried.previous:
            same(x.numpy(), carried.previous[of.get(n, n)], f"generated: the last `{n}` is not the interpreter's")


@pytest.mark.parametrize("name", NAMES)
def test_generated_op_and_its_backward_are_the_programs(name: str) -> None:
    c = case(name)
    for i, p in enumerate(c.programs):
        r, x, start = p.recurrence, operands(c, p), states(c, p, 3)
        g, g_last = cotangents(c, p), states(c, p, 4)
        done = run_program(p, x, start, c.sizes, c.args)
        d_x, d_start = run_adjoint(p, done, g, g_last)
        given = [leaf(x[o.name], o.dtype) for o in r.operands]
        first = [leaf(start[k.of], k.dtype) for k in r.carried]
        y, last = call_op(c, i, given, first, {})
        for res, v in zip(p.results, y, strict=True):
            same(
                v.detach().numpy(),
                done.results[res.name],
                f"generated op `{r.name}`: `{res.name}` is not the program's",
            )
        for k, v in zip(r.carried, last, strict=True):
            same(
                v.detach().numpy(), done.last[k.of], f"generated op `{r.name}`: the last `{k.of}` is not the program's"
            )
        out = [*y, *last]
        seeds = [torch.tensor(v) for v in (*(g[res.name] for res in p.results), *(g_last[k.of] for k in r.carried))]
        leaves = [v for v in (*given, *first) if v.requires_grad]
        grads = dict(zip(map(id, leaves), torch.autograd.grad(out, leaves, seeds, allow_unused=True), strict=True))
        wanted = [*((o.name, d_x[o.name]) for o in r.operands), *((k.of, d_start[k.of]) for k in r.carried)]
        for (n, d), v in zip(wanted, (*given, *first), strict=True):
            if not v.requires_grad:
                continue
            found = grads[id(v)]
            same(
                np.zeros_like(d) if found is None else found.numpy(),
                d,
                f"generated op `{r.name}`: the gradient of `{n}` is not the adjoint's",
            )


@pytest.mark.parametrize("name", NAMES)
def test_adjoint_is_the_derivative(name: str) -> None:
    c = case(name)
    rng = np.random.default_rng(11)
    for p in c.programs:
        r, x, start = p.recurrence, operands(c, p), states(c, p, 5)
        g, g_last = cotangents(c, p), states(c, p, 6)
        done = run_program(p, x, start, c.sizes, c.args)
        d_x, d_start = run_adjoint(p, done, g, g_last)

        def loss(
            x: dict[str, Array],
            start: dict[str, Array],
            p: Program = p,
            g: dict[str, Array] = g,
            g_last: dict[str, Array] = g_last,
        ) -> float:
            out = run_program(p, x, start, c.sizes, c.args)
            both = [*((g[n], v) for n, v in out.results.items()), *((g_last[n], v) for n, v in out.last.items())]
            return float(sum((np.conj(w) * v).real.sum() for w, v in both))

        for table, slopes in ((x, d_x), (start, d_start)):
            for n, value in table.items():
                if value.dtype == bool or n == "t":
                    continue
                v = noise(rng, value.shape, "complex" if np.iscomplexobj(value) else "real")
                eps = 1e-5
                ends = [
                    loss(*({**part, n: value + s * eps * v} if part is table else part for part in (x, start)))
                    for s in (1, -1)
                ]
                found, slope = float((np.conj(v) * slopes[n]).real.sum()), (ends[0] - ends[1]) / (2 * eps)
                assert abs(found - slope) <= 1e-6 * max(1.0, abs(slope)), (
                    f"adjoint `{r.name}`: `{n}` has slope {slope}, not {found}"
                )
