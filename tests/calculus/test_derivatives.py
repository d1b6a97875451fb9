"""Every local derivative against SymPy, finite differences of the interpreter, torch, and at extremes."""

from __future__ import annotations

import math
from fractions import Fraction

import numpy as np
import pytest
import sympy as sp
import torch

from ssmc.calculus.derivatives import pullback
from ssmc.ir import build as b
from ssmc.ir.expr import Node, Pointwise, const
from ssmc.ir.functions import FUNCTIONS
from ssmc.ir.interpret import evaluate

X, Y, Z, G = (b.ref(n, ("N",), "real") for n in "xyzg")
COMPLEX_ONLY = {"complex", "re", "im", "conj"}  # lowered to pairs before differentiation
DERIVATIVE_ONLY = {"phi1_slope"}
REAL = sorted(set(FUNCTIONS) - COMPLEX_ONLY - DERIVATIVE_ONLY)

POINTS = np.array([-7.3, -2.15, -0.9, -1e-3, 1e-3, 0.37, 0.9, 2.4, 8.1])
POSITIVE = np.abs(POINTS) + 0.05
OTHER = np.array([1.3, -0.7, 2.2, 0.4, -1.9, 0.8, 3.1, -2.6, 0.55])
THIRD = OTHER + 2.9

s, u, w = sp.symbols("s u w", real=True)
SYMPY: dict[str, sp.Expr] = {
    "add": s + u, "sub": s - u, "mul": s * u, "div": s / u, "neg": -s, "pow": s**u,
    "exp": sp.exp(s), "expm1": sp.exp(s) - 1, "log": sp.log(s), "log1p": sp.log(1 + s), "sin": sp.sin(s),
    "cos": sp.cos(s), "tanh": sp.tanh(s), "square": s**2, "phi1": (sp.exp(s) - 1) / s, "sqrt": sp.sqrt(s),
    "rsqrt": 1 / sp.sqrt(s), "abs": sp.Abs(s), "sigmoid": 1 / (1 + sp.exp(-s)),
    "log_sigmoid": -sp.log(1 + sp.exp(-s)), "softplus": sp.log(1 + sp.exp(s)), "inv_softplus": sp.log(sp.exp(s) - 1),
    "silu": s / (1 + sp.exp(-s)), "gelu": s * (1 + sp.erf(s / sp.sqrt(2))) / 2,
    "gelu_tanh": s * (1 + sp.tanh(sp.sqrt(2 / sp.pi) * (s + sp.Rational(44715, 1000000) * s**3))) / 2,
    "relu": sp.Max(s, 0), "elu": sp.Piecewise((s, s > 0), (sp.exp(s) - 1, True)), "erf": sp.erf(s),
    "mod": s - u * sp.floor(s / u), "max": sp.Max(s, u, w), "min": sp.Min(s, u, w), "sqrt_clip": sp.sqrt(s),
    "clip": sp.Min(sp.Max(s, u), w), "pi": sp.pi,
}  # fmt: skip
NO_DERIVATIVE = {"lt", "le", "gt", "ge", "eq", "ne", "and", "or", "not", "floordiv", "sign", "floor", "ceil"}
NO_DERIVATIVE |= {"round", "where", "inf"}


def call(fn: str) -> Pointwise:
    function = FUNCTIONS[fn]
    args: list[Node] = [X, Y, Z][: 3 if function.arity < 0 else function.arity]
    if fn == "where":
        args[0] = b.apply("gt", Z, const(2))
    if fn in ("and", "or", "not"):
        args = [b.apply("gt", a, b.ZERO) for a in args]
    node = b.apply(fn, *args)
    assert isinstance(node, Pointwise)
    return node


def points(fn: str) -> dict[str, np.ndarray]:
    domain = fn in ("log", "log1p", "sqrt", "rsqrt", "inv_softplus", "pow", "sqrt_clip")
    y = np.full(9, 1e-9) if fn == "sqrt_clip" else OTHER
    return {"x": POSITIVE if domain else POINTS, "y": y, "z": THIRD, "g": np.ones(9)}


def value(node: Node, at: dict[str, np.ndarray]) -> np.ndarray:
    env = {r: at[r.name] for r in (X, Y, Z, G)}
    return np.broadcast_to(evaluate(node, env, {"N": 9}), (len(at["g"]),))


def slope(node: Pointwise, i: int, at: dict[str, np.ndarray]) -> np.ndarray:
    found = pullback(node, G)[i]
    return np.zeros(len(at["g"])) if found is None else value(found, at)


@pytest.mark.parametrize("fn", REAL)
def test_every_real_function_has_an_entry(fn: str) -> None:
    node = call(fn)
    assert len(pullback(node, G)) == len(node.args)
    assert fn in SYMPY or fn in NO_DERIVATIVE


@pytest.mark.parametrize("fn", sorted(SYMPY))
def test_against_sympy(fn: str) -> None:
    node, at = call(fn), points(fn)
    symbols = (s, u, w)[: len(node.args)]
    for i, symbol in enumerate(symbols):
        if fn == "sqrt_clip" and i:
            assert pullback(node, G)[i] is None
            continue
        formula = SYMPY[fn].diff(symbol).replace(sp.Derivative, lambda *_: sp.Integer(0))
        for k in range(9):
            exact = formula.subs({v: sp.Rational(at[n][k]) for v, n in ((s, "x"), (u, "y"), (w, "z"))}).doit()
            expected = float(exact.evalf(30, maxn=300))
            assert slope(node, i, at)[k] == pytest.approx(expected, rel=3e-12, abs=1e-13), (fn, i, k)


@pytest.mark.parametrize("fn", REAL)
def test_against_finite_differences(fn: str) -> None:
    node, at, eps = call(fn), points(fn), 1e-6
    for i, name in enumerate("xyz"[: len(node.args)]):
        if fn in ("and", "or", "not") or (fn == "where" and i == 0):
            assert pullback(node, G)[i] is None
            continue
        if fn == "sqrt_clip" and i == 1:
            continue
        moved = [dict(at, **{name: at[name] + d * eps}) for d in (1, -1)]
        high, low = (np.asarray(value(node, m), float) for m in moved)
        np.testing.assert_allclose(slope(node, i, at), (high - low) / (2 * eps), rtol=2e-5, atol=1e-7)


@pytest.mark.parametrize("n", [Fraction(k, 2) for k in range(-6, 9)])
def test_constant_powers(n: Fraction) -> None:
    node = b.apply("pow", X, const(n))
    if not (isinstance(node, Pointwise) and node.fn == "pow"):
        return
    at = points("pow")
    np.testing.assert_allclose(slope(node, 0, at), float(n) * at["x"] ** float(n - 1), rtol=1e-13)
    assert pullback(node, G)[1] is None


def test_general_power_at_zero_is_torch() -> None:
    at = {"x": np.array([0.0, 0.0, 2.0]), "y": np.array([2.0, 0.0, 3.0]), "z": np.zeros(3), "g": np.ones(3)}
    x, y = (torch.tensor(at[n], requires_grad=True) for n in "xy")
    (x**y).sum().backward()
    node = call("pow")
    np.testing.assert_allclose(slope(node, 0, at), x.grad.numpy())
    np.testing.assert_allclose(slope(node, 1, at), y.grad.numpy())


KINKS = {"abs": torch.abs, "relu": torch.relu, "elu": torch.nn.functional.elu, "max": torch.maximum,
         "min": torch.minimum, "clip": torch.clamp, "sign": torch.sign}  # fmt: skip


@pytest.mark.parametrize("fn", sorted(KINKS))
def test_kinks_are_torch(fn: str) -> None:
    at = {"x": np.array([0.0, 1.0, -1.0, 2.0]), "y": np.array([0.0, 1.0, 2.0, 1.0]), "g": np.ones(4)}
    at["z"] = np.array([0.0, 1.0, 3.0, 2.0])
    count = 2 if fn in ("max", "min") else FUNCTIONS[fn].arity
    tensors = [torch.tensor(at[n], requires_grad=True) for n in "xyz"[:count]]
    KINKS[fn](*tensors).sum().backward()
    node = b.apply(fn, *(X, Y, Z)[:count])
    assert isinstance(node, Pointwise)
    for i, tensor in enumerate(tensors):
        assert tensor.grad is not None
        np.testing.assert_array_equal(slope(node, i, at), tensor.grad.numpy())


SAFE = ["silu", "softplus", "gelu", "gelu_tanh", "log_sigmoid", "sigmoid"]
SAFE += ["tanh", "erf", "elu", "relu", "expm1", "phi1"]


@pytest.mark.parametrize("fn", SAFE)
def test_no_overflow(fn: str) -> None:
    big = np.array([-1e30, -1e5, -700.0, -90.0, 30.0, 300.0, 700.0, 1e5, 1e30])
    if fn in ("expm1", "phi1"):
        big = -np.abs(big)
    at = {"x": big, "y": OTHER, "z": THIRD, "g": np.ones(9)}
    found = slope(call(fn), 0, at)
    assert np.isfinite(found).all()
    assert (np.abs(found) <= 1.2).all()


@pytest.mark.parametrize("z", [0.0, 1e-12, -1e-8, 1e-5, -1e-3, 0.1, -0.3, 0.499, -0.501, 0.6, -2.0, 5.0, -30.0, -1e4])
def test_slope_of_phi1_is_accurate(z: float) -> None:
    x = sp.Symbol("x")
    formula = (sp.exp(x) * (x - 1) + 1) / x**2
    exact = sp.Rational(1, 2) if z == 0 else formula.subs(x, sp.Rational(z)).evalf(40, maxn=500)
    at = {"x": np.full(9, z), "y": OTHER, "z": THIRD, "g": np.ones(9)}
    assert slope(call("phi1"), 0, at)[0] == pytest.approx(float(exact), rel=2e-15 * max(1, abs(z)))


def test_sqrt_clip_slope() -> None:
    at = {"x": np.array([0.0, 1e-9, 0.25, 4.0]), "y": np.full(4, 1e-6), "z": np.zeros(4), "g": np.ones(4)}
    expected = 1 / np.sqrt(np.maximum(4 * at["x"], 1e-6))
    np.testing.assert_allclose(slope(call("sqrt_clip"), 0, at), expected)


def test_contributions_carry_the_cotangent() -> None:
    at = points("mul")
    at["g"] = np.linspace(-1, 2, 9)
    ones = dict(at, g=np.ones(9))
    for fn in ("mul", "div", "silu", "max", "where", "clip", "relu", "gelu_tanh"):
        node = call(fn)
        for i in range(len(node.args)):
            np.testing.assert_allclose(slope(node, i, at), at["g"] * slope(node, i, ones), rtol=1e-12, atol=1e-300)


def test_constants_and_conditions_get_nothing() -> None:
    two_x = b.mul(const(2), X)
    assert isinstance(two_x, Pointwise)
    assert pullback(two_x, G)[0] is None
    assert math.isclose(slope(two_x, 1, points("mul"))[0], 2.0)
