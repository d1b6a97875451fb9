"""Every function of the table as the kernels write it, in the interpreter, against float64."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from ssmc.backends.triton.contexts import TritonFile
from ssmc.backends.triton.functions import CALLS, closure
from ssmc.backends.triton.printer import TilePrinter
from ssmc.backends.triton.tiles import tile_of
from ssmc.codegen.emit import environment
from ssmc.ir import build as b
from ssmc.ir.expr import Node, const
from ssmc.ir.functions import FUNCTIONS
from ssmc.ir.numerics import compute

ROOT = Path(__file__).parents[2]
X = np.concatenate([[-90.0, -30.5, -12.25, -7.5, -3.0, -2.5, -1.0, -0.5, -0.4999, -0.3, -0.1, -1e-3, -1e-6, 0.0]])
POINTS = np.concatenate([X, -X[::-1][1:], [0.7, 1.5, 2.0, 80.0, 1234.5]]).astype(np.float32)
OTHER = np.resize(np.array([1.5, -0.75, 2.0, 0.25, -3.0, 0.5, 4.0], np.float32), POINTS.shape)
POSITIVE = {"log", "sqrt", "rsqrt", "inv_softplus", "sqrt_clip"}
SKIPPED = {"complex", "re", "im", "conj", "pi", "inf"}
REFER, OTHERS = b.ref("x", ("E",), "real"), b.ref("y", ("E",), "real")


def call(fn: str) -> Node:
    arity = FUNCTIONS[fn].arity
    if fn in ("and", "or"):
        return b.apply(fn, b.apply("gt", REFER, b.ZERO), b.apply("gt", OTHERS, b.ZERO))
    if fn == "not":
        return b.apply("not", b.apply("gt", REFER, b.ZERO))
    if fn == "where":
        return b.apply("where", b.apply("gt", REFER, OTHERS), REFER, OTHERS)
    if fn == "clip":
        return b.apply("clip", REFER, const(-1), b.apply("abs", OTHERS))
    return b.apply(fn, *[REFER, OTHERS, REFER][: 2 if arity < 0 else arity])


def points(fn: str) -> tuple[np.ndarray, np.ndarray]:
    x = np.abs(POINTS) + np.float32(1e-4) if fn in POSITIVE else POINTS
    if fn == "log1p":
        x = np.where(POINTS <= -1, -0.875 + 1e-3 * POINTS, POINTS).astype(np.float32)
    return x, np.abs(OTHER) if fn == "sqrt_clip" else OTHER


@pytest.fixture(scope="module")
def found(tmp_path_factory) -> dict[str, list[float]]:
    """The values that the interpreter finds for every function."""
    folder = tmp_path_factory.mktemp("functions")
    tile = tile_of(("E",), (), ())
    names = sorted(set(FUNCTIONS) - SKIPPED)
    helpers: set[str] = set()
    lines = []
    for fn in names:
        printer = TilePrinter(tile, lambda r: r.name, lambda n: "")
        printer.dims.update({("x", 0): (0,), ("y", 0): (0,)})
        code = printer(call(fn)).code
        helpers |= printer.helpers
        lines.append(f"    @triton.jit\n    def k_{fn}(x, y, out, BE: tl.constexpr):\n        o = tl.arange(0, BE)\n")
        lines.append("        b_x = tl.load(x + o)\n        b_y = tl.load(y + o)\n")
        lines.append(f"        tl.store(out + o, ({code}).to(tl.float32))\n\n")
    shared = TritonFile(closure(helpers), (), (), (), (), (), *([False] * 6))
    text = "import json, sys, torch, triton, triton.language as tl\nif True:\n"
    text += environment().get_template("triton/functions.py.jinja").render(shared=shared) + "".join(lines)
    text += "data = json.load(sys.stdin)\nresult = {}\nfor fn, (x, y) in data.items():\n"
    text += "    x, y = torch.tensor(x), torch.tensor(y)\n    out = torch.empty_like(x)\n"
    text += "    globals()[f'k_{fn}'][(1,)](x, y, out, BE=len(x))\n    result[fn] = out.tolist()\n"
    text += "print(json.dumps(result))\n"
    path = folder / "kernels.py"
    path.write_text(text)
    data = {fn: [np.resize(v, 64).tolist() for v in points(fn)] for fn in names}
    run = subprocess.run(
        [sys.executable, path],
        input=json.dumps(data),
        capture_output=True,
        text=True,
        cwd=ROOT,
        env={"TRITON_INTERPRET": "1", "PATH": ""},
    )
    assert run.returncode == 0, run.stderr[-3000:]
    return json.loads(run.stdout)


@pytest.mark.parametrize("fn", sorted(set(FUNCTIONS) - SKIPPED))
def test_values(fn: str, found) -> None:
    x, y = (np.resize(v, 64).astype(np.float64) for v in points(fn))
    with np.errstate(all="ignore"):
        if fn in ("and", "or"):
            want = compute(fn, [x > 0, y > 0])
        elif fn == "not":
            want = compute(fn, [x > 0])
        elif fn == "where":
            want = np.where(x > y, x, y)
        elif fn == "clip":
            want = np.minimum(np.maximum(x, -1), np.abs(y))
        elif fn == "pow":
            want = torch.pow(torch.tensor(x), torch.tensor(y)).numpy()
        else:
            want = compute(fn, [x, y][: 2 if FUNCTIONS[fn].arity < 0 else FUNCTIONS[fn].arity])
    got = np.array(found[fn])
    want = np.asarray(want, dtype=np.float64)
    small = np.abs(want) < 3.4e38
    same = np.isnan(got) & np.isnan(want) | (got == want.astype(np.float32)) | (~small & np.isinf(got))
    size = np.maximum(np.abs(want), 1e-30)
    tolerance = 2e-5 if fn in ("pow", "sin", "cos") else 3e-6
    growing = fn in ("exp", "expm1", "phi1", "phi1_slope")
    tolerance = np.maximum(tolerance, 2e-7 * np.abs(x)) if growing else tolerance
    absolute = np.abs(x) * 3e-7 + 1e-7 if fn in ("sin", "cos", "mod", "floordiv", "gelu", "gelu_tanh", "silu") else 0.0
    error = np.where(same, 0.0, np.abs(got - want))
    flushed = np.abs(want) < 1.2e-38
    bad = ~(same | (error <= tolerance * size + absolute) | (flushed & (np.abs(got) < 1.2e-38)))
    assert not bad.any(), [(x[i], y[i], got[i], want[i]) for i in np.flatnonzero(bad)[:5]]


def test_all_are_written() -> None:
    inline = {
        "add",
        "sub",
        "mul",
        "div",
        "neg",
        "lt",
        "le",
        "gt",
        "ge",
        "eq",
        "ne",
        "and",
        "or",
        "not",
        "where",
        "clip",
        "square",
    }
    assert set(CALLS) | inline == set(FUNCTIONS) - SKIPPED
