"""Do the checks see? Every adjoint rule, and every pass on the way to it, is broken on purpose; the comparison of an op
with its token loop must then turn red. The reference shares the front end, and torch differentiates it: no rule here
reaches its gradients."""

import itertools

import pytest
import torch

import ssmc
from ssmc.calculus import derivatives, reverse
from ssmc.ir import build as b
from ssmc.ir.expr import Pointwise, Reduce
from ssmc.lower import pairs
from tests.harness import capture, random_states, run

ONE = """
layer One(width)
  input u[width]
  input v[width]
  param p[width] = normal(0, 1)
  state h[width]: h = sigmoid(p) * prev(h) + {}
  return h
"""
TWO = """
layer Two(width, order)
  axis N = order
  input u[width]
  input B[N]
  param A[width, N] complex = complex(normal(0, 1), normal(0, 1))
  state h[width, N]: h = exp(complex(-softplus(re(A)), im(A))) * prev(h) + B * u
  return re(sum[N](h * A)) * im(sum[N](h * A)) + u
"""
THREE = """
layer Three(width)
  input u[width]
  param a[width] = normal(0, 1)
  state h[width]: h = tanh(a * prev(h) + u) * prev(h) + u
  y = prev(h) * h
  return y
"""

counter = itertools.count()


def red(spec, edit=None):
    """Whether a fresh compilation of a spec fails the comparison, or cannot even run."""
    text = ssmc.compile_source(f"# {next(counter)}\n{spec}", options=ssmc.options.Options(backend="eager"))
    if edit is not None:
        assert edit[0] in text, f"nothing to break: {edit[0]}"
        text = text.replace(*edit)
    namespace = text.split('NAMESPACE = "')[1].split('"')[0]
    text = text.replace(namespace, f"ssmc_mutant_{next(counter)}")
    module = _module(text)
    torch.manual_seed(0)
    layer = getattr(module, module.__all__[0])(
        **dict(zip(("width", "order"), (3, 2), strict=False)) if "order" in spec else {"width": 3}, dtype=torch.float64
    )
    names = [line.split()[1].split("[")[0] for line in spec.splitlines() if line.strip().startswith("input")]
    sizes = {"B": 2}
    values = {n: torch.rand(2, 6, sizes.get(n, 3), dtype=torch.float64) + 0.3 for n in names}
    try:
        call = capture(module, layer, values.pop("u"), **values)[0]
        states = random_states(call, 2, torch.float64, "cpu")
        got, got_grads = run(call, states, "eager")
        want, want_grads = run(call, states, None)
    except Exception:
        return True
    pairs_of = [*zip(got, want, strict=True), *((got_grads[k], want_grads[k]) for k in want_grads)]
    return not all(a.shape == z.shape and torch.allclose(a, z, rtol=1e-9, atol=1e-9) for a, z in pairs_of)


def _module(text):
    import importlib.util
    import sys
    import tempfile
    from pathlib import Path

    path = Path(tempfile.mkdtemp(prefix="ssmc_")) / f"mutant_{next(counter)}.py"
    path.write_text(text)
    found = importlib.util.spec_from_file_location(path.stem, path)
    module = importlib.util.module_from_spec(found)
    sys.modules[path.stem] = module
    found.loader.exec_module(module)
    return module


UNARY = {
    **{f: f"{f}(u * v)" for f in ("exp", "expm1", "log", "log1p", "sin", "cos", "tanh", "square", "phi1", "sqrt", "rsqrt", "abs")},
    **{f: f"{f}(u - v)" for f in ("sigmoid", "log_sigmoid", "softplus", "silu", "gelu", "gelu_tanh", "relu", "elu", "erf")},
    "inv_softplus": "inv_softplus(u * v)", "neg": "sin(-u) * v",
}  # fmt: skip
OTHERS = {
    "add": "sin(u + v)", "sub": "sin(u - v)", "mul": "sin(u * v)", "div": "sin(u / v)", "pow": "u ** v", "clip": "clip(u, 0.4, v)",
    "min": "min(u, v)", "max": "max(u, v)", "where": "where(u > 0.7, u * u, v)", "sqrt_clip": "sqrt(u * v, clip = 1e-3)",
}  # fmt: skip


def test_unbroken_is_green():
    for body in (*UNARY.values(), *OTHERS.values()):
        assert not red(ONE.format(body)), body
    assert not red(TWO)
    assert not red(THREE)


@pytest.mark.parametrize("fn", [*UNARY, *OTHERS])
def test_a_broken_rule_is_seen(fn, monkeypatch):
    """The sign of the rule's last slope is flipped."""
    original = derivatives.pullback

    def broken(node, cotangent):
        slopes = original(node, cotangent)
        if node.fn != fn:
            return slopes
        last = max(i for i, s in enumerate(slopes) if s is not None)
        return tuple(b.neg(s) if i == last else s for i, s in enumerate(slopes))

    monkeypatch.setattr(reverse, "pullback", broken)
    assert red(ONE.format({**UNARY, **OTHERS}[fn]))


def test_a_lost_contribution_is_seen(monkeypatch):
    def last_only(cotangents, node, part):
        cotangents[node] = part

    monkeypatch.setattr(reverse, "_gather", last_only)
    assert red(ONE.format("sin(u) * exp(sin(u))"))


def test_a_lost_sum_is_seen(monkeypatch):
    original = reverse._unbroadcast

    def averaged(g, have, want):
        out = original(g, have, want)
        return b.div(out, b.size(out.over[0])) if isinstance(out, Reduce) else out

    monkeypatch.setattr(reverse, "_unbroadcast", averaged)
    assert red(TWO)


def test_a_wrong_part_is_seen(monkeypatch):
    """The imaginary part of a product with one sign flipped; conjugation forgotten in the adjoint."""
    original = pairs._mul

    def broken(x, y):
        re, im = original(x, y)
        return re, None if im is None else b.neg(im)

    monkeypatch.setattr(pairs, "_mul", broken)
    assert red(TWO)


def test_a_wrong_offset_is_seen(monkeypatch):
    """What the epilogue wants of the field before a token is taken for the field after it."""
    original = reverse.pull

    def broken(root, seed):
        return [
            ((name, 0 if isinstance(root, Pointwise) and root.fn == "mul" else offset), g)
            for (name, offset), g in original(root, seed)
        ]

    monkeypatch.setattr(reverse, "pull", broken)
    assert red(THREE)


@pytest.mark.parametrize(
    ("spec", "old", "new"),
    [
        (TWO, "late = [], a.conj().resolve_conj()", "late = [], a"),
        (TWO, "d_h = d_h + reads[:, -1]", "d_h = reads[:, -1]"),
        (ONE.format("u * v"), "torch.addcmul(b_t, a_t, h)", "torch.addcmul(b_t, a_t, h, value=-1)"),
        (ONE.format("u * v"), "reads.unbind(1)[-2::-1]", "reads.unbind(1)[:-1]"),
        (THREE, "c if r is None else c + r[:, i]", "c if r is None else r[:, i]"),
        (THREE, "torch.cat((before[:, 1:]", "torch.cat((before[:, :-1]"),
        (THREE, "torch.cat((start[:, None], states[:, :-1]), 1)", "states"),
    ],
)
def test_a_broken_skeleton_is_seen(spec, old, new):
    assert red(spec, (old, new))
