"""Names and texts of a spec are data: whatever they are, the generated file imports, runs and computes the same."""

from __future__ import annotations

import ast
import importlib.util
import re
import sys
from pathlib import Path
from types import ModuleType

import pytest
import torch

import ssmc
from ssmc.codegen.names import TAILS
from ssmc.diagnostics.span import Source
from ssmc.driver import compile_text
from ssmc.options import Options

PLAIN = """\
# A layer with one of everything.
layer Plain(dim, n_state = 3)
  axis ax = n_state, two = 2
  input first[dim]
  input second = 0
  param weight_0[dim, ax] = 0.1 * index(ax) + 0.2
  param weight_1[dim] complex = complex(0.3, 0.2)
  linear child(first -> left[dim], right[ax])
  conv taps(left, width = 3, bias)
  def twice(arg_0) = 2 * arg_0 + 1
  mixed = tanh(taps) * sigmoid(twice(second))
  state memory[dim, ax]: memory = exp(-weight_0) * prev(memory) + mixed * right + prev(first)
  state ring[dim]: ring = weight_1 * prev(ring) + first
  total = sum[ax](memory) + re(ring)
  linear last(total * mixed -> [dim])
  return last
"""
NAMES = [
    "dim",
    "n_state",
    "ax",
    "two",
    "first",
    "second",
    "weight_0",
    "weight_1",
    "child",
    "left",
    "right",
    "taps",
    "twice",
    "arg_0",
    "mixed",
    "memory",
    "ring",
    "total",
    "last",
    "Plain",
]
HOSTILE = [
    "lambda",
    "self",
    "tl",
    "torch",
    "x_ptr",
    "d_x",
    "h_prev",
    "forward",
    "T",
    "rows",
    "dtype",
    "nn",
    "F",
    "triton",
    "class",
    "import",
    "cls",
    "device",
    "backend",
    "cu_seqlens",
    "initial_state",
    "return_state",
    "step",
    "init_state",
    "reset_parameters",
    "train",
    "eval",
    "math",
    "os",
    "warnings",
    "print",
    "len",
    "range",
    "type",
    "object",
    "super",
    "batch",
    "time",
    "u",
    "y",
    "t_0",
    "op",
    "backward",
    "Tensor",
    "_",
    "__init__",
    "__name__",
    "annotations",
    "NamedTuple",
    "PLAN",
    "OPS",
    "TESTED",
    "result",
    "previous",
    "count",
    "wide",
    "of",
    "of_param",
    "position",
    "tuple",
    "list",
    "int",
    "float",
    "bool",
    "property",
    "staticmethod",
    "parameters",
    "buffers",
    "to",
    "apply",
    "half",
    "cuda",
    "modules",
    "state_dict",
    "training",
    "inplace",
    "grad",
    "mamba_op",
    "plain_op",
    "plain_reference",
    "plain_memory_op",
    "save_for_backward",
    "ctx",
    "BT",
    "BN",
    "p_x",
    "b_h",
    "i_b",
    "grad_y",
    "y_ptr",
    "next_",
    "adj_x",
    "memory_prev",
    "total_sum",
    "mask",
    "chunk",
    "length",
    "start_",
    "jinja",
    "loop",
    "range_",
    "async",
    "await",
    "match",
    "case",
]


def load(text: str, folder: Path, name: str = "plain.ssm") -> ModuleType:
    generated = compile_text(Source(name, text), Options())
    path = folder / f"generated_{abs(hash(generated))}.py"
    path.write_text(generated, encoding="utf-8")
    found = importlib.util.spec_from_file_location(path.stem, path)
    assert found is not None and found.loader is not None
    module = importlib.util.module_from_spec(found)
    sys.modules[path.stem] = module
    found.loader.exec_module(module)
    return module


def outputs(module: ModuleType) -> tuple[torch.Tensor, ...]:
    """Forward in pieces, gradients and a step of the layer, its parameters filled in order."""
    torch.manual_seed(0)
    layer = getattr(module, module.__all__[0])(4).double()
    torch.manual_seed(1)
    with torch.no_grad():
        for p in layer.parameters():
            p.copy_(0.3 * torch.randn_like(p))
    x = torch.randn(2, 5, 4, dtype=torch.float64)
    y, state = layer(x, return_state=True)
    z, _ = layer.step(x[:, 0], state)
    y.sum().backward()
    return y.detach(), z.detach(), *(p.grad for p in layer.parameters())


def renamed(names: dict[str, str]) -> str:
    return re.sub(r"\b[A-Za-z_]\w*\b", lambda m: names.get(m[0], m[0]), PLAIN)


KEYWORDS = {"t", "start", "pi", "inf", "bias", "complex"}


@pytest.mark.parametrize("shift", range(0, len(HOSTILE), 3))
def test_names(shift: int, tmp_path: Path) -> None:
    turned = HOSTILE[shift:] + HOSTILE[:shift]
    names = dict(zip(NAMES, turned, strict=False))
    expected = outputs(load(PLAIN, tmp_path))
    found = outputs(load(renamed(names), tmp_path))
    assert all(torch.allclose(a, b, atol=1e-12) for a, b in zip(found, expected, strict=True))


CONVOLVED = """\
layer Convolved(dim)
  input x[dim]
  conv taps(x, width = 3, bias)
  mixed = silu(taps)
  state h[dim]: h = 0.9 * prev(h) + mixed
  return h
"""


@pytest.mark.parametrize("name", sorted(TAILS))
def test_a_convolution_called_as_a_function_of_the_file(name: str, tmp_path: Path) -> None:
    expected = outputs(load(CONVOLVED, tmp_path))
    found = outputs(load(CONVOLVED.replace("taps", name), tmp_path))
    assert all(torch.equal(a, b) for a, b in zip(found, expected, strict=True))


TEXTS = [
    '"""',
    "'''", "\\", "\\N{BELL} \\x41 \\u0041 \\", "{{ 7 * 7 }} {% for x in y %} {# c #}", "{}{0}%s%d", '" + str(1) + "',
    "\x0b\u2028é漢",
    "\\\"\"\"\nimport os\n\"\"\"", "# coding: latin-1", "$(rm) `x` \t tab",
]  # fmt: skip


@pytest.mark.parametrize("text", TEXTS, ids=range(len(TEXTS)))
def test_texts(text: str, tmp_path: Path) -> None:
    doc = "".join(f"# {line}\n" for line in re.split(r"[\n\x0b\u2028]", text))
    module = load(doc + PLAIN.split("\n", 1)[1], tmp_path)
    tree = ast.parse(Path(module.__file__ or "").read_text(encoding="utf-8"))
    assert not any(isinstance(n, ast.Import) and n.names[0].name == "os" and n.col_offset for n in ast.walk(tree))
    assert "49" not in (module.__doc__ or "") and torch.isfinite(outputs(module)[0]).all()


@pytest.mark.parametrize(
    "name", ["a'b.ssm", 'a"b.ssm', 'x"""y.ssm', "a b/{{ 1 }}.ssm", "\\.ssm", "a\nb.ssm", "é.ssm", "-o.ssm", "$(x).ssm"]
)
def test_file_names(name: str, tmp_path: Path) -> None:
    module = load(PLAIN, tmp_path, name)
    assert torch.isfinite(outputs(module)[0]).all()


@pytest.mark.parametrize("name", ("Scan", "Start", "Pass", "Chunks", "RowsOf", "Sms", "Define"))
def test_a_layer_called_as_a_function_of_the_file(name: str) -> None:
    text = ssmc.compile_source(
        f"layer {name}(d)\n  input u[d]\n  param a[d] = 1\n  state h[d]: h = sigmoid(a) * prev(h) + u\n  return h\n"
    )
    defined = re.findall(r"^def (\w+)\(", text, re.MULTILINE)
    assert len(defined) == len(set(defined))
