"""The one tolerance table (DESIGN, section 6); CI never softens it. Errors are relative to the largest value, in the
dtypes of `RMS` ratios of root mean squares. The design would allow gradients of decays and steps 2e-2 in half precision;
none needs it.
"""

import torch

FP64_EAGER = 1e-10
FORWARD = {torch.float64: FP64_EAGER, torch.float32: 2e-5, torch.bfloat16: 5e-3, torch.float16: 5e-3}
FORWARD_LONG = 1e-4  # float32 beyond length 4,096
GRADIENT = {torch.float64: FP64_EAGER, torch.float32: 1e-4, torch.bfloat16: 5e-3, torch.float16: 5e-3}
PARAMETER = {torch.float64: FP64_EAGER, torch.float32: 1e-4, torch.bfloat16: 1e-2, torch.float16: 1e-2}
LAYER = {torch.bfloat16: 1e-2, torch.float16: 1e-2}  # a whole layer against eager under the same autocast
RMS = (torch.bfloat16, torch.float16)


def limit(kind: str, dtype: torch.dtype) -> float:
    """What an error may be: of an `output`, of the gradient of a `stream` or `state`, or of that of a `parameter`."""
    table = {"output": FORWARD, "stream": GRADIENT, "state": GRADIENT, "parameter": PARAMETER}[kind]
    return table[dtype]
