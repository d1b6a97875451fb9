"""Arguments that `__init__` decides: each combination is the layer that the spec describes, whatever their names are."""

import itertools

import pytest
import torch

WORDS = ("half", "both", "none")
FLAGS = """
layer Flags(d_model, step = false, forward = half | both | none)
  input u[d_model]
  state h[d_model]: h = 0.5 * prev(h) + u
  linear mix(h -> m[d_model])
  param scale[d_model] = 2
  s = scale * m
  if forward == both:
    linear value(s -> v[d_model])
  else:
    v = s
  if forward == none:
    g = v
  else:
    linear gate(s -> raw[d_model])
    g = v * sigmoid(raw)
  if step:
    linear out(g -> y[d_model])
  else:
    y = 3 * g
  return y
"""


@pytest.mark.parametrize(("step", "word"), itertools.product((False, True), WORDS))
def test_every_combination(load, step, word):
    torch.manual_seed(0)
    layer = load(FLAGS).Flags(3, step, word, dtype=torch.float64)
    u = torch.randn(2, 5, 3, dtype=torch.float64)
    h, rows = torch.zeros(2, 3, dtype=torch.float64), []
    for t in range(5):
        h = 0.5 * h + u[:, t]
        rows.append(h)
    s = layer.scale * layer.mix(torch.stack(rows, 1))
    v = layer.value(s) if word == "both" else s
    g = v if word == "none" else v * torch.sigmoid(layer.gate(s))
    assert torch.allclose(layer(u), layer.out(g) if step else 3 * g, rtol=0, atol=1e-12)
    names = {n for n, _ in layer.named_children()}
    wanted = {"mix": True, "value": word == "both", "gate": word != "none", "out": step}
    assert names == {n for n, there in wanted.items() if there}


def test_a_word_that_is_none_of_them(load):
    with pytest.raises(ValueError, match="one of"):
        load(FLAGS).Flags(3, False, "all")


def test_statements_of_all_words_stand_once(load):
    """Three words do not write the whole of forward three times."""
    module = load(FLAGS)
    with open(module.__file__) as f:
        text = f.read()
    assert text.count("flags_op(\n") == 1
    assert text.count("= self.mix(") == 1


def test_a_fixed_argument_is_called_by_the_name_it_is_set_by(load):
    text = FLAGS.replace("0.5 * prev(h)", "(0.5 if step else 0.25) * prev(h)")
    with pytest.raises(ValueError, match=r"--set step=\.\.\."):
        load(text).Flags(3, True)
