"""The one tolerance table (DESIGN, section 6). Errors are relative to the largest value; `RMS` marks ratios of root
mean
squares. CI never softens it."""

import torch

FP64_EAGER = 1e-10
FORWARD = {torch.float64: FP64_EAGER, torch.float32: 2e-5, torch.bfloat16: 5e-3, torch.float16: 5e-3}
GRADIENT = {torch.float64: FP64_EAGER, torch.float32: 1e-4, torch.bfloat16: 5e-3, torch.float16: 5e-3}
SENSITIVE = {torch.bfloat16: 2e-2, torch.float16: 2e-2}  # decay, dt and beta: they stand in an exponent
PARAMETER = {torch.bfloat16: 1e-2, torch.float16: 1e-2}
LAYER = {torch.bfloat16: 1e-2, torch.float16: 1e-2}  # a whole layer against eager under the same autocast
FORWARD_LONG = 1e-4  # float32 beyond length 4,096
RMS = (torch.bfloat16, torch.float16)
