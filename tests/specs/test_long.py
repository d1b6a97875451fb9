"""Long sequences in single precision, on the eager backend, against double precision with the same parameters."""

import pytest
import torch

from tests.specs.layers import close, module_of
from tests.tolerances import FORWARD_LONG

LENGTH = 16_384
LAYERS = {
    "dss": {"d_state": 16},
    "gss": {"d_model": 4, "d_ssm": 4, "d_state": 16},
    "lru": {"d_state": 16},
    "lru, a narrow ring": {"d_state": 16, "r_min": 0.9, "r_max": 0.999, "max_phase": 0.314},
    "lti": {"d_state": 16},
    "mega_ema": {"ndim": 8},
    "s4d": {"d_state": 32},
    "s4d, inv": {"d_state": 32, "init": "inv"},
    "s4d, legs": {"d_state": 32, "init": "legs"},
    "s5": {"d_state": 32},
}


@pytest.mark.parametrize("name", LAYERS)
def test_long_sequences(name):
    spec = name.split(",")[0]
    module = module_of(spec)
    make = getattr(module, module.__all__[0])
    args = {"d_model": 4, **LAYERS[name]}
    torch.manual_seed(0)
    low = make(**args)
    high = make(**args, dtype=torch.float64)
    high.load_state_dict({k: v.double() for k, v in low.state_dict().items()})
    u = torch.randn(1, LENGTH, 4)
    with torch.no_grad():
        (y, last), (want, end) = low(u, return_state=True), high(u.double(), return_state=True)
    assert y.dtype == torch.float32
    close(y.double(), want, FORWARD_LONG, "output")
    assert want[:, LENGTH // 2 :].abs().max() > 0.01 * want.abs().max(), "the second half says something"
    for name, a, b in zip(last._fields, last, end, strict=True):
        close(a.to(b.dtype), b, FORWARD_LONG, name)
