"""The interpreter against hand-written numpy: broadcasting by name, reductions, edges of a sequence, whole layers."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest

from ssmc.diagnostics.span import Source
from ssmc.ir import build as b
from ssmc.ir import layer as L
from ssmc.ir.axes import Axis, AxisTable
from ssmc.ir.expr import NOWHERE, Node, const
from ssmc.ir.functions import FUNCTIONS
from ssmc.ir.interpret import evaluate
from ssmc.ir.numerics import FUNCTIONS as MEANINGS
from ssmc.ir.run import Carried, run_layer

RNG = np.random.default_rng(0)


def axis(name: str, size: Node | int, factors: tuple[str, ...] = ()) -> Axis:
    return Axis(name, const(size) if isinstance(size, int) else size, factors, NOWHERE)


def make(axes: list[Axis], split: set[str] | None = None, **kw: object) -> L.Layer:
    table = AxisTable({a.name: a for a in axes}, frozenset(split or ()))
    empty: dict[str, object] = {n: {} for n in ("inputs", "params", "linears", "convs", "values", "states", "times")}
    base = {"name": "Test", "doc": "", "source": Source("t", ""), "args": (), "axes": table, "span": NOWHERE}
    return L.Layer(**{**base, **empty, **kw})  # type: ignore[arg-type]


def test_every_function_has_a_meaning() -> None:
    assert set(FUNCTIONS) == set(MEANINGS)


def test_broadcast_by_name_and_reduce() -> None:
    k, v = b.ref("k", ("H", "K"), "real"), b.ref("v", ("V", "H"), "real")
    node = b.mul(k, v)
    kk, vv = RNG.normal(size=(5, 2, 3)), RNG.normal(size=(5, 4, 2))
    sizes = {"H": 2, "K": 3, "V": 4}
    assert node.axes == ("H", "K", "V")
    np.testing.assert_allclose(evaluate(node, {k: kk, v: vv}, sizes), np.einsum("bhk,bvh->bhkv", kk, vv))
    total = b.reduce("sum", ("K", "H"), node)
    np.testing.assert_allclose(evaluate(total, {k: kk, v: vv}, sizes), np.einsum("bhk,bvh->bv", kk, vv))
    top = b.reduce("max", ("H",), node)
    np.testing.assert_allclose(evaluate(top, {k: kk[0], v: vv[0]}, sizes), np.einsum("hk,vh->hkv", kk[0], vv[0]).max(0))


def test_relabel_makes_dense_products() -> None:
    w, h = b.ref("w", ("N", "M"), "real"), b.ref("h", ("N",), "real")
    node = b.reduce("sum", ("M",), b.mul(w, b.relabel((("N", "M"),), h)))
    ww, hh = RNG.normal(size=(3, 3)), RNG.normal(size=(2, 3))
    np.testing.assert_allclose(evaluate(node, {w: ww, h: hh}, {"N": 3, "M": 3}), hh @ ww.T)


def test_leaves_and_truth_values() -> None:
    n = b.index("N")
    node = b.add(b.apply("lt", n, const(2)), b.mul(b.size("N"), b.arg("p", "real")))
    np.testing.assert_allclose(evaluate(node, {}, {"N": 3}, {"p": 2}), [7, 7, 6])
    assert evaluate(b.apply("eq", b.position(), b.ZERO), {}, {}, position=0).dtype == bool


def test_accuracy_near_zero() -> None:
    x = b.ref("x", (), "real")
    for fn, expected in (("phi1", 1 + 5e-13), ("expm1", 1e-12), ("log1p", 1e-12 - 5e-25), ("sigmoid", 0.5 + 2.5e-13)):
        assert evaluate(b.apply(fn, x), {x: np.asarray(1e-12)}, {}).item() == pytest.approx(expected, rel=1e-15)
    z = b.ref("z", (), "complex")
    assert evaluate(b.apply("phi1", z), {z: np.asarray(1e-9j)}, {}).item() == pytest.approx(1 + 5e-10j, rel=1e-15)
    assert evaluate(b.apply("softplus", x), {x: np.asarray(-800.0)}, {}).item() == 0.0
    assert evaluate(b.apply("silu", x), {x: np.asarray(-800.0)}, {}).item() == 0.0


def selective() -> L.Layer:
    """u[D] -> linear -> conv -> h' = exp(dt*A) * prev(h) + dt*B*x, y = sum[N](C*h) + prev(x, 1)."""
    u, x_in = L.Input("u", ("D",), None, NOWHERE), ("E",)
    conv = L.Conv("conv", "x_in", L.Output("conv", x_in), const(3), True, None, None, "mix.conv", NOWHERE)
    outputs = (L.Output("x_in", x_in), L.Output("B", ("N",)))
    lins = {"in_proj": L.Linear("in_proj", "u", outputs, "bias", None, None, "in", NOWHERE)}
    a_log = L.Param("A_log", ("E", "N"), "real", b.ZERO, None, False, True, "ssm.A", NOWHERE)
    c, rb, x = b.ref("conv", x_in, "real"), b.ref("B", ("N",), "real"), b.ref("x", x_in, "real")
    h, hp = b.ref("h", ("E", "N"), "real"), b.ref("h", ("E", "N"), "real", -1)
    decay = b.apply("exp", b.neg(b.apply("exp", b.ref("A_log", ("E", "N"), "real"))))
    update = b.add(b.mul(decay, hp), b.mul(rb, x))
    late = b.ref("x", x_in, "real", -1, b.ONE)
    values = {
        "x": L.Value("x", x_in, b.apply("silu", c), NOWHERE),
        "y": L.Value("y", x_in, b.add(b.reduce("sum", ("N",), h), b.add(late, b.position())), NOWHERE),
    }
    d = b.arg("d", "real")
    args = (L.LayerArg("d", "int", None, (), None, NOWHERE), L.LayerArg("bias", "bool", const(True), (), None, NOWHERE))
    state = L.State("h", ("E", "N"), "real", update, None, False, NOWHERE)
    return make(
        [axis("D", d), axis("E", b.mul(const(2), b.size("D"))), axis("N", 3)],
        args=args, inputs={"u": u}, linears=lins, convs={"conv": conv}, params={"A_log": a_log},
        values=values, states={"h": state}, result="y",
    )  # fmt: skip


def test_a_selective_layer_by_hand() -> None:
    layer, (bs, time, d) = selective(), (2, 6, 2)
    params = {
        "in.weight": RNG.normal(size=(4 + 3, d)), "in.bias": RNG.normal(size=7), "ssm.A": RNG.normal(size=(4, 3)),
        "mix.conv.weight": RNG.normal(size=(4, 1, 3)), "mix.conv.bias": RNG.normal(size=4),
    }  # fmt: skip
    u = RNG.normal(size=(bs, time, d))
    y, values, carried = run_layer(layer, {"u": u}, params, {"d": d})
    proj = u @ params["in.weight"].T + params["in.bias"]
    padded = np.concatenate([np.zeros((bs, 2, 4)), proj[..., :4]], 1)
    conv = sum(params["mix.conv.weight"][:, 0, k] * padded[:, k : k + time] for k in range(3)) + params["mix.conv.bias"]
    x = conv / (1 + np.exp(-conv))
    h, before = np.zeros((bs, 4, 3)), np.ones((bs, 4))
    for t in range(time):
        h = np.exp(-np.exp(params["ssm.A"])) * h + proj[:, t, None, 4:] * x[:, t, :, None]
        np.testing.assert_allclose(y[:, t], h.sum(-1) + before + t, rtol=1e-12)
        before = x[:, t]
    np.testing.assert_allclose(carried.previous["h"], h, rtol=1e-12)
    assert carried.position == time
    assert values["x_in"].shape == (bs, time, 4)
    pieces, state = [], Carried()
    for i, j in ((0, 1), (1, 1), (1, 4), (4, 6)):
        piece, _, state = run_layer(layer, {"u": u[:, i:j]}, params, {"d": d}, state)
        pieces.append(piece)
    np.testing.assert_allclose(np.concatenate(pieces, 1), y, rtol=1e-12)


def test_next_runs_backwards_and_composite_axes() -> None:
    u = L.Input("u", ("E",), None, NOWHERE)
    ur = b.ref("u", ("H", "P"), "real")
    g = L.Value("g", ("E",), b.add(ur, b.mul(const(Fraction(1, 2)), b.ref("g", ("H", "P"), "real", 1))), NOWHERE)
    y = L.Value("y", ("P",), b.reduce("sum", ("H",), b.ref("g", ("H", "P"), "real")), NOWHERE)
    axes = [axis("H", 2), axis("P", 3), axis("E", b.mul(b.size("H"), b.size("P")), ("H", "P"))]
    layer = make(axes, {"E"}, inputs={"u": u}, values={"g": g, "y": y}, result="y")
    uu = RNG.normal(size=(1, 4, 6))
    out, values, _ = run_layer(layer, {"u": uu}, {})
    expected = np.zeros(6)
    for t in reversed(range(4)):
        expected = uu[0, t] + expected / 2
        np.testing.assert_allclose(values["g"][0, t], expected)
        np.testing.assert_allclose(out[0, t], expected.reshape(2, 3).sum(0))


def test_a_cycle_is_named() -> None:
    v = {n: L.Value(n, (), b.add(b.ref(m, (), "real"), b.ONE), NOWHERE) for n, m in (("p", "q"), ("q", "p"))}
    layer = make([], inputs={"u": L.Input("u", (), None, NOWHERE)}, values=v, result="p")
    with pytest.raises(ValueError, match="depends on itself"):
        run_layer(layer, {"u": np.zeros((1, 2))}, {})


def test_complex_parameters_come_as_pairs() -> None:
    lam = L.Param("lam", ("N",), "complex", b.ZERO, None, True, True, "lam", NOWHERE)
    hp = b.ref("h", ("N",), "complex", -1)
    update = b.add(b.mul(b.ref("lam", ("N",), "complex"), hp), b.ref("u", (), "real"))
    h = L.State("h", ("N",), "complex", update, None, False, NOWHERE)
    y = L.Value("y", (), b.reduce("sum", ("N",), b.apply("re", b.ref("h", ("N",), "complex"))), NOWHERE)
    layer = make(
        [axis("N", 2)], inputs={"u": L.Input("u", (), None, NOWHERE)}, params={"lam": lam},
        values={"y": y}, states={"h": h}, result="y",
    )  # fmt: skip
    pair, u = RNG.normal(size=(2, 2)) / 2, RNG.normal(size=(1, 5))
    out, _, _ = run_layer(layer, {"u": u}, {"lam": pair})
    lam_c = pair[:, 0] + 1j * pair[:, 1]
    for t in range(5):
        assert out[0, t] == pytest.approx(sum((lam_c ** (t - j)).sum().real * u[0, j] for j in range(t + 1)))
