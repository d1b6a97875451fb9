"""Brackets and blocks that do not close or begin, and what the compiler says to them."""

from __future__ import annotations

import pytest
from syntax_helpers import cases, check

CATALOGUE = r"""
> y = f(u
error[SSM0114]: `(` is never closed
  --> test.ssm:3:10
   |
 3 |   y = f(u
   |        - opened here
   |          ^ still open here
   |
   = help: write `)` here

> y[N = u
error[SSM0114]: `[` is never closed
  --> test.ssm:3:6
   |
 3 |   y[N = u
   |    - opened here
   |      ^ still open here
   |
   = help: write `]` here

> y = sum[N](u * (u + 1
error[SSM0114]: `(` is never closed
  --> test.ssm:3:24
   |
 3 |   y = sum[N](u * (u + 1
   |             - opened here
   |                        ^ still open here
   |
   = help: close all 2: write `))`

> y = u)
error[SSM0115]: `)` closes nothing
  --> test.ssm:3:8
   |
 3 |   y = u)
   |        ^
   |
   = help: remove the `)`

> y = (u]
error[SSM0114]: `(` is closed by `]`
  --> test.ssm:3:9
   |
 3 |   y = (u]
   |       - opened here
   |         ^
   |
   = help: write `)`

> y = f(u
> z = f(u, 3
> linear g(u -> w[N])
error[SSM0114]: `(` is never closed
  --> test.ssm:3:10
   |
 3 |   y = f(u
   |        - opened here
   |          ^ still open here
   |
   = help: write `)` here

error[SSM0114]: `(` is never closed
  --> test.ssm:4:13
   |
 4 |   z = f(u, 3
   |        - opened here
   |             ^ still open here
   |
   = help: write `)` here

> if gate
>   y = 3
error[SSM0116]: `:` is missing after `if`
  --> test.ssm:3:10
   |
 3 |   if gate
   |          ^
   |
   = help: write `:` at the end of the line

> if gate then
>   y = 3
error[SSM0116]: `:` is missing after `if`
  --> test.ssm:3:11
   |
 3 |   if gate then
   |           ^^^^ not a keyword
   |
   = help: write `:`

> if gate: y = 3
error[SSM0112]: a block begins on its own line
  --> test.ssm:3:12
   |
 3 |   if gate: y = 3
   |            ^
   |
   = help: write it on the next line, indented deeper

> if gate:
> y = 3
error[SSM0112]: no statement is indented under `if`
  --> test.ssm:3:3
   |
 3 |   if gate:
   |   ^^^^^^^^
   |
   = help: indent the statements of the block deeper

> else:
>   y = 3
error[SSM0113]: `else` without `if`
  --> test.ssm:3:3
   |
 3 |   else:
   |   ^^^^
   |
   = note: it must stand at the same column as its `if`, right behind its block

> if gate:
>   y = 3
> else if N > 3:
>   y = 4
error[SSM0113]: `else if` is one word
  --> test.ssm:5:3
   |
 5 |   else if N > 3:
   |   ^^^^^^^
   |
   = help: write `elif`

> if gate:
>   y = 1
>   elif N > 3:
>   y = 2
error[SSM0113]: `elif` without `if`
  --> test.ssm:5:5
   |
 5 |     elif N > 3:
   |     ^^^^
   |
   = note: it must stand at the same column as its `if`, right behind its block
"""


@pytest.mark.parametrize(("text", "rendering"), cases(CATALOGUE))
def test_mistake(text: str, rendering: str) -> None:
    check(text, rendering)
