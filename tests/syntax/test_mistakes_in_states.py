"""States and derivatives that are written wrongly, and what the compiler says to them."""

from __future__ import annotations

import pytest
from syntax_helpers import cases, check

CATALOGUE = r"""
> h' = -h + u
error[SSM0141]: only a state has a derivative
  --> test.ssm:3:3
   |
 3 |   h' = -h + u
   |   ^^
   |
   = help: declare a state: `state h[N]: h' = ... by zoh, step dt`

> dh/dt = -h
error[SSM0141]: a derivative is written with `'`
  --> test.ssm:3:3
   |
 3 |   dh/dt = -h
   |   ^^^^^
   |
   = help: declare a state: `state h[N]: h' = ...`

> state h[N]: dh/dt = -h by zoh, step 1
error[SSM0141]: a derivative is written with `'`
  --> test.ssm:3:15
   |
 3 |   state h[N]: dh/dt = -h by zoh, step 1
   |               ^^^^^
   |
   = help: write `h'`

> state h[N]: h'(t) = -h by zoh, step 1
error[SSM0140]: time is not written
  --> test.ssm:3:17
   |
 3 |   state h[N]: h'(t) = -h by zoh, step 1
   |                 ^^^
   |
   = note: `h'` is the derivative at the present time, `h` the value
   = help: remove it

> x'(t) = u
error[SSM0141]: only a state has a derivative
  --> test.ssm:3:3
   |
 3 |   x'(t) = u
   |   ^^^^^
   |
   = note: `x'` is the derivative at the present time, `x` the value
   = help: declare a state: `state x[N]: x' = ... by zoh, step dt`

> state h[N]
error[SSM0142]: the state `h` has no update
  --> test.ssm:3:13
   |
 3 |   state h[N]
   |             ^ the update is missing
   |
   = help: say what `h` becomes: `state h[N]: h = ...`, with `prev(h)` for the value before

> state h[N]:
error[SSM0142]: the state `h` has no update
  --> test.ssm:3:14
   |
 3 |   state h[N]:
   |              ^ the update is missing
   |
   = help: say what `h` becomes: `state h[N]: h = ...`, with `prev(h)` for the value before

> state h[N] = prev(h) + u
error[SSM0142]: a state's update follows a `:`
  --> test.ssm:3:14
   |
 3 |   state h[N] = prev(h) + u
   |              ^
   |
   = help: write `: h = ...`

> state h[N] h = prev(h) + u
error[SSM0116]: `:` is missing before the update
  --> test.ssm:3:13
   |
 3 |   state h[N] h = prev(h) + u
   |             ^
   |
   = help: write `:`

> state h[N]: h' = -h
error[SSM0143]: the continuous state `h` has no discretization
  --> test.ssm:3:22
   |
 3 |   state h[N]: h' = -h
   |                      ^ `by METHOD, step dt` is missing
   |
   = help: write how the equation becomes a step: `by zoh, step dt`

> state h[N]: h' = -h by zoh
error[SSM0143]: `by` without `step`
  --> test.ssm:3:23
   |
 3 |   state h[N]: h' = -h by zoh
   |                       ^^^^^^ the step is missing
   |
   = help: say what the step is: `, step dt`

> state h[N]: h' = -h by zoh step 1
error[SSM0143]: a `,` is missing before `step`
  --> test.ssm:3:30
   |
 3 |   state h[N]: h' = -h by zoh step 1
   |                              ^^^^
   |
   = help: write `, step`

> state h[N]: h' = -h, step 1
error[SSM0143]: `step` without `by`
  --> test.ssm:3:24
   |
 3 |   state h[N]: h' = -h, step 1
   |                        ^^^^
   |
   = help: write how the equation becomes a step: `by zoh, step dt`

> state h[N]: h' = -h step 1
error[SSM0143]: `step` without `by`
  --> test.ssm:3:23
   |
 3 |   state h[N]: h' = -h step 1
   |                       ^^^^
   |
   = help: write how the equation becomes a step: `by zoh, step dt`

> state h[N]: h = prev(h) by zoh, step 1
error[SSM0144]: a discrete state has no method
  --> test.ssm:3:27
   |
 3 |   state h[N]: h = prev(h) by zoh, step 1
   |                           ^^^^^^^^^^^^^^
   |
   = note: `by` discretizes a continuous equation, `h' = ...`; this one is discrete
   = help: remove it

> state s[N] unstable: s = prev(s)
error[SSM0101]: expected `:` or `allow`
  --> test.ssm:3:14
   |
 3 |   state s[N] unstable: s = prev(s)
   |              ^^^^^^^^ not expected here
"""


@pytest.mark.parametrize(("text", "rendering"), cases(CATALOGUE))
def test_mistake(text: str, rendering: str) -> None:
    check(text, rendering)
