"""What right specs mean: axes, renames, definitions, discretizations, conditions, time, complex values."""

from __future__ import annotations

import pytest

from ssmc.diagnostics.span import Source
from ssmc.driver import run
from ssmc.ir.layer import Layer, Time
from ssmc.options import Options


def layer(
    body: str, head: str = "layer M(d_model)\n  input u[d_model]\n", **settings: int | float | bool | str
) -> Layer:
    text = head + "".join(f"  {line}\n" for line in body.strip("\n").split("\n"))
    done = run(Source("test.ssm", text), Options(settings), until="layer")
    assert done.layer is not None, done.rendered()
    return done.layer


AXES = "axis H = 2, K = 3, V = 4, E = H * V, M = K, One = 1\nparam q[H, K]\nparam v[H, V]\nparam e[E]\nparam s[One]\n"


@pytest.mark.parametrize(
    ("equation", "axes"),
    [
        ("y = q * v", "H K V"),
        ("y = v * q", "H V K"),
        ("y[V, K, H] = q * v", "V K H"),
        ("y = sum[K](q * v)", "H V"),
        ("y = sum[H, K](q * v)", "V"),
        ("y = e + 1", "E"),
        ("y = sum[H](e)", "V"),
        ("y = e * q", "E K"),
        ("y = q * e", "H K V"),
        ("y[E, K] = q * e", "E K"),
        ("y[E] = v", "E"),
        ("y = q[K as M]", "H M"),
        ("y = q * q[K as M]", "H K M"),
        ("y = softmax[K](q)", "H K"),
        ("y = s * q", "One H K"),
        ("y = sum[One](s)", ""),
        ("y = index(E) * q", "H V K"),
    ],
)
def test_axes_of_a_value(equation: str, axes: str) -> None:
    found = layer(AXES + equation + "\nz = sum[H, V](e)\nreturn u * sum[M](index(M))")
    assert found.values["y"].axes == tuple(axes.split())


def test_a_composite_axis_stays_whole_until_a_factor_is_named() -> None:
    body = "axis H = 2, P = 3, E = H * P\nlinear l(u -> x[E])\n"
    whole, split = layer(body + "linear o(x -> [d_model])\nreturn o"), layer(body + "return u * sum[H, P](x)")
    assert "E" not in whole.axes.split and "E" in split.axes.split
    assert split.axes.atoms(("E",)) == ("H", "P")


def test_a_product_of_arguments_is_only_a_size() -> None:
    found = layer("axis H = 2, E = 3 * H\nparam e[E]\nparam h[H]\nreturn u * sum[E](e) * sum[H](h)")
    assert found.axes.axes["E"].factors == ()


def test_the_axis_of_an_int_argument() -> None:
    found = layer("param w[d_model, n]\nreturn sum[n](u * w)", head="layer M(d_model, n = 3)\n  input u[d_model]\n")
    assert list(found.axes.axes) == ["d_model", "n"]


EQUAL = [
    ("def g(v) = where(v >= 0, v + 0.5, sigmoid(v))\ny = g(u)", "y = where(u >= 0, u + 0.5, sigmoid(u))"),
    ("def f(v, w) = v * w\ndef g(v) = f(v, v) + 1\ny = g(u - 1)", "y = (u - 1) * (u - 1) + 1"),
    ("y = u if true else 2 * u", "y = u + 0"),
    ("y = 1 * sum[d_model](u - 0)", "y = --sum[d_model](u)"),
    ("y = u * 2 ** 3", "y = u * 8"),
    ("y = u * (1 / 4 + 1 / 4)", "y = u * 0.5"),
    ("y = where(start, 0, u)", "y = where(t == 0, 0, u)"),
]


@pytest.mark.parametrize(("one", "other"), EQUAL)
def test_two_ways_to_write_one_value(one: str, other: str) -> None:
    end = "\nreturn y * 2"
    assert layer(one + end).values["y"].node is layer(other + end).values["y"].node


A_B = "param A[d_model] = -1\nparam dt[d_model] = 1\nB = u\n"
DISCRETIZED = [
    ("h' = A * h + B by zoh(A), euler(B), step dt", "h = exp(dt * A) * prev(h) + dt * B"),
    ("h' = A * h + B by euler, step dt", "h = (1 + dt * A) * prev(h) + dt * B"),
    ("h' = A * h + B by backward_euler, step dt", "h = 1 / (1 - dt * A) * prev(h) + dt / (1 - dt * A) * B"),
]


@pytest.mark.parametrize(("continuous", "discrete"), DISCRETIZED)
def test_discretizations(continuous: str, discrete: str) -> None:
    one = layer(A_B + f"state h[d_model]: {continuous}\nreturn h")
    other = layer(A_B + f"state h[d_model]: {discrete}\nreturn h")
    assert one.states["h"].update is other.states["h"].update
    assert one.states["h"].continuous is not None and other.states["h"].continuous is None


def test_each_term_has_its_rule() -> None:
    found = layer(
        A_B
        + "param C[d_model]\nstate h[d_model]: h' = A * h + B + C by zoh(A), euler(B), bilinear(C), step dt\nreturn h"
    )
    origin = found.states["h"].continuous
    assert origin is not None and origin.rule == "zoh" and [r for _, r in origin.terms] == ["euler", "bilinear"]


def test_gbt_has_the_others_as_cases() -> None:
    for alpha, rule in (("0", "euler"), ("1", "backward_euler"), ("0.5", "bilinear")):
        found = [
            layer(A_B + f"state h[d_model]: h' = A * h + B by {m}, step dt\nreturn h")
            for m in (f"gbt(alpha = {alpha})", rule)
        ]
        assert found[0].states["h"].update.dtype == "real" and found[1].states["h"].continuous is not None


def test_a_nonlinear_equation_by_euler() -> None:
    one = layer(A_B + "state h[d_model]: h' = -tanh(h) + B by euler, step dt\nreturn h")
    other = layer(A_B + "state h[d_model]: h = prev(h) + dt * (-tanh(prev(h)) + B)\nreturn h")
    assert one.states["h"].update is other.states["h"].update


def test_discretizations_as_functions() -> None:
    one = layer(A_B + "a, b = zoh(A, B, dt)\nstate h[d_model]: h = a * prev(h) + b\nreturn h")
    assert set(one.values) == {"B", "a", "b"} and one.times["a"] == Time.PARAMETER and one.times["b"] == Time.TOKEN


CONDITIONS = "layer M(d_model, gate = false, disc = zoh | euler | bilinear)\n  input u[d_model]\n"


@pytest.mark.parametrize(
    ("settings", "names"),
    [
        ({}, {"a", "z"}),
        ({"gate": True}, {"b", "z"}),
        ({"disc": "euler"}, {"a", "e"}),
        ({"gate": True, "disc": "bilinear"}, {"b", "o"}),
    ],
)
def test_conditions(settings: dict[str, bool | str], names: set[str]) -> None:
    body = (
        "if not gate:\n  a = u * 2\n  y = a * 1.5\nelse:\n  b = u * 3\n  y = b * 1.5\n"
        "if disc == zoh:\n  z = y * 2\n  r = z + 1\nelif disc == euler and true:\n  e = y * 2\n  r = e + 1\nelse:\n  o = y * 3\n  r = o + 1\n"
        "return r"
    )
    found = layer(body, CONDITIONS, **settings)
    assert set(found.values) == names | {"y", "r"}
    assert {a.name: a.fixed for a in found.args}["gate"] == settings.get("gate", False)


def test_a_condition_that_is_not_tested_is_not_fixed() -> None:
    found = layer("linear l(u -> [d_model], bias = gate)\nreturn l", CONDITIONS)
    assert all(a.fixed is None for a in found.args) and found.linears["l"].bias == "gate"


def test_time() -> None:
    found = layer(
        "input reset = 0\nparam s[d_model]\nparam w = 2\nk = w * 3\nx = prev(prev(u, 1), s)\nn = next(u)\np = where(start, 0, t)\n"
        "state h[d_model]: h = k * prev(h, s) + x + n + p * reset\nreturn h"
    )
    assert found.times["w"] == found.times["k"] == Time.PARAMETER
    assert found.times["x"] == found.times["n"] == found.times["p"] == Time.TOKEN and found.times["h"] == Time.STATE
    assert found.inputs["reset"].default is not None and found.inputs["u"].default is None
    assert any(v.anonymous for v in found.values.values())


def test_complex_values_are_found() -> None:
    found = layer(
        "axis N = 4\nparam A[N] complex = hippo_diagonal(lin, N)\nparam c[N]\n"
        "state h[d_model, N]: h = exp(A) * prev(h) + u\nstate g[d_model, N]: g = c * prev(g) + h\nq = g * 2\n"
        "return re(sum[N](q)) + abs(sum[N](h))"
    )
    assert [found.states[n].dtype for n in "hg"] == ["complex", "complex"]
    assert found.values["q"].node.dtype == "complex"


def test_a_complex_equation_through_its_own_past() -> None:
    found = layer("y[d_model] = complex(0.5, 0.5) * prev(y) + u\nreturn re(y)")
    assert found.values["y"].node.dtype == "complex"


def test_order_does_not_matter() -> None:
    lines = ["a = sigmoid(w)", "param w[d_model] = 1", "state h[d_model]: h = a * prev(h) + b", "b = (1 - a) * u"]
    one, other = layer("\n".join([*lines, "return h"])), layer("\n".join([*reversed(lines), "return h"]))
    assert one.states["h"].update is other.states["h"].update


def test_initial_values_follow_other_parameters() -> None:
    found = layer("param g[d_model] = exp(-n)\nparam n[d_model] = uniform(0, 1)\nreturn u * g * n")
    assert list(found.params) == ["g", "n"]


def test_a_layer_without_a_state() -> None:
    found = layer("linear l(u -> [d_model])\nreturn silu(l)")
    assert not found.states
