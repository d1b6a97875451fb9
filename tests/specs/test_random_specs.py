"""Random specs: compiled without an exception, classified as they were written, and computing what the equations say.

The generated layer is compared with the interpreter of the Layer (numpy, token by token, another road from the
equations),
its ops with the generated token loop in outputs and gradients, and its step with its forward.
"""

import itertools
import os

import numpy as np
import torch
from hypothesis import HealthCheck, Phase, given, note, settings

import ssmc
from ssmc.diagnostics.span import Source
from ssmc.driver import run as compile_run
from ssmc.ir.run import run_layer
from tests.harness import capture, random_states, run
from tests.specs.layers import close
from tests.specs.random_specs import SIZES, specs
from tests.tolerances import FP64_EAGER

EXAMPLES = int(os.environ.get("SSMC_RANDOM_SPECS", "45"))
TIME = 5


def check(spec):
    """Everything the file's docstring says, of one spec."""
    done = compile_run(Source("random.ssm", spec.text), until="plan")
    assert not done.failed, done.rendered()
    assert done.layer is not None
    m = ssmc.load(spec.text)
    classes = {n: v["class"] for n, v in m.PLAN.items() if isinstance(v, dict) and "class" in v}
    for names, letter in spec.classes.items():
        found = [classes[n] for n in names if n in classes]
        kinds = [letter] if letter in "PX" else [letter, "LTI", "O1", "O2"]  # as coefficient and input are made
        assert len(found) == 1 and found[0] in kinds, (names, letter, classes)

    torch.manual_seed(0)
    layer = m.Random(SIZES["E"], SIZES["N"], dtype=torch.float64)
    batch = 2
    values = {
        n: torch.randn(batch, TIME, *(SIZES[a] for a in axes), dtype=torch.float64) for n, axes in spec.inputs.items()
    }
    first, *others = values
    u, inputs = values[first], {n: values[n] for n in others}

    y = layer(u, **inputs)
    params = {k: v.detach().numpy() for k, v in layer.state_dict().items()}
    with np.errstate(all="ignore"):
        want, _, _ = run_layer(
            done.layer, {n: v.numpy() for n, v in values.items()}, params, {"width": SIZES["E"], "order": SIZES["N"]}
        )
    close(y, torch.tensor(want), FP64_EAGER, "the layer and its interpreter")

    for call in capture(m, layer, u, **inputs):
        for states in (None, random_states(call, batch, torch.float64, "cpu")):
            got, got_grads = run(call, states, "eager")
            want, want_grads = run(call, states, None)
            for i, (a, b) in enumerate(zip(got, want, strict=True)):
                close(a, b, FP64_EAGER, f"{call.op} output {i}", floor=1e-3)
            for k in want_grads:
                close(got_grads[k], want_grads[k], FP64_EAGER, f"{call.op} gradient of {k}", floor=1e-3)

    bounds = (0, 2, 2, TIME)
    whole = layer(u[:1], **{k: v[:1] for k, v in inputs.items()}, cu_seqlens=torch.tensor(bounds))
    cut = [layer(u[:1, a:z], **{k: v[:1, a:z] for k, v in inputs.items()}) for a, z in itertools.pairwise(bounds)]
    close(whole, torch.cat(cut, 1), FP64_EAGER, "packed")
    if hasattr(layer, "step"):
        state, outs = layer.init_state(batch), []
        for i in range(TIME):
            out, state = layer.step(u[:, i], state, **{k: v[:, i] for k, v in inputs.items()})
            outs.append(out)
        close(torch.stack(outs, 1), y, FP64_EAGER, "steps")
    else:
        assert spec.ahead


# A failure is shown as found: each step of shrinking compiles, and takes seconds. SSMC_SHRINK=1 asks for it.
PHASES = (Phase.explicit, Phase.generate, *((Phase.shrink,) if os.environ.get("SSMC_SHRINK") else ()))


@settings(
    max_examples=EXAMPLES, deadline=None, derandomize=True, database=None, phases=PHASES, report_multiple_bugs=False,
    suppress_health_check=list(HealthCheck),
)  # fmt: skip
@given(specs())
def test_random_specs(spec):
    note(spec.text)
    check(spec)
