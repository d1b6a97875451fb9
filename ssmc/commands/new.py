"""`ssmc new`: a spec to start from, small, commented, and a working selective layer."""

from __future__ import annotations

import re
from pathlib import Path

from ssmc.commands.console import FAILED, OK, Parser, UsageError, say, show
from ssmc.commands.files import STANDARD, write_text

SUMMARY = "write a commented spec to start from"
DESCRIPTION = """Write a small commented spec that compiles, to start from.

Without -o the file is <name>.ssm in the current directory."""
TEMPLATE = """\
# {name}: say in one line what the layer is, and name its paper.
#
# Check it with `ssmc check {file}`, see what the compiler makes of it with `ssmc explain {file}`, and compile it with
# `ssmc compile {file}`.
edition 1

# Arguments of the layer: one without a default must be given, the others may be.
layer {name}(d_model, d_state = 16)
  # Axes have names. Values are [batch, time, axes]; batch and time are never written.
  axis N = d_state
  input u[d_model]

  # Linears contract all axes of a value and yield named outputs. B and C depend on the token: they are selective.
  linear proj(u -> B[N], C[N])
  linear dt_proj(u -> dt_raw[d_model], bias = inv_softplus(log_uniform(1e-3, 1e-1)))
  dt = softplus(dt_raw)

  # Parameters: axes, initial value, tags. A is negative whatever A_log is trained to, so the state cannot grow.
  param A_log[d_model, N] = log(index(N) + 1) no_decay
  param D[d_model] = 1 no_decay
  A = -exp(A_log)

  # The state, as a differential equation and how it is discretized. The discrete form would be
  #   state h[d_model, N]: h = exp(dt * A) * prev(h) + dt * B * u
  state h[d_model, N]: h' = A * h + B * u by zoh(A), euler(B), step dt

  # A value is broadcast over the axes it lacks; a sum names the axis it removes.
  y = sum[N](C * h) + D * u
  linear out_proj(y -> [d_model])
  return out_proj
"""
_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_]{0,63}")


def run(argv: list[str]) -> int:
    """Write a new spec; a file that is there already stays."""
    from ssmc.codegen.names import snake
    from ssmc.diagnostics.span import Source
    from ssmc.driver import run as compile_

    parser = Parser("new", DESCRIPTION)
    parser.add_argument("name", metavar="NAME", help="the layer's name, as in MyLayer")
    parser.add_argument("-o", "--output", metavar="FILE", help="the file to write, or - for standard output")
    args = parser.parse_args(argv)
    if not _NAME.fullmatch(args.name):
        raise UsageError(f"`{args.name}` is no name for a layer: letters, digits and _, a letter first, as in MyLayer")
    target = args.output or f"{snake(args.name)}.ssm"
    text = TEMPLATE.format(name=args.name, file=f"{snake(args.name)}.ssm" if target == STANDARD else Path(target).name)
    source = Source(target, text)
    done = compile_(source, until="plan")
    if done.failed:  # a name that the language needs for itself
        show(done.diagnostics, source)
        return FAILED
    if target != STANDARD and Path(target).exists():
        raise UsageError(f"{target}: there is such a file already; -o names another")
    write_text(target, text)
    if target != STANDARD:
        say(f"{target}: written; next: ssmc explain {target}")
    return OK
