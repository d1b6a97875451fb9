"""Brackets, lines, blocks and first words that are wrong, and what the compiler says to them."""

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

> y = u
>     z = 3
error[SSM0111]: this line continues the statement above it
  --> test.ssm:4:7
   |
 4 |       z = 3
   |       ^ indented deeper
   |
   = note: a line that is indented deeper than the statement's first line continues it
   = help: align it with the statement above

> y = u
>     linear f(u -> z[N])
error[SSM0111]: this line continues the statement above it
  --> test.ssm:4:7
   |
 4 |       linear f(u -> z[N])
   |       ^^^^^^ indented deeper
   |
   = note: a line that is indented deeper than the statement's first line continues it
   = help: align it with the statement above

> if gate:
>     y = u
>   z = 3
error[SSM0111]: the statement is not aligned with those above it
  --> test.ssm:5:5
   |
 4 |       y = u
   |       - the statement above begins here
 5 |     z = 3
   |     ^
   |
   = help: begin it at the same column

> lienar f(u -> y[N])
error[SSM0130]: unknown word `lienar`
  --> test.ssm:3:3
   |
 3 |   lienar f(u -> y[N])
   |   ^^^^^^
   |
   = help: write `linear`

> parm A[N] = 1
error[SSM0130]: unknown word `parm`
  --> test.ssm:3:3
   |
 3 |   parm A[N] = 1
   |   ^^^^
   |
   = help: write `param`

> frobnicate y = 3
error[SSM0130]: unknown word `frobnicate`
  --> test.ssm:3:3
   |
 3 |   frobnicate y = 3
   |   ^^^^^^^^^^ not a statement
   |
   = note: a statement begins with one of `axis`, `input`, `param`, `linear`, `conv`, `state`, `def`, `if`, `elif`, `else`, `return`, or is an equation `name = ...`

> for i in range(3):
>   y = 3
error[SSM0129]: there is no `for`
  --> test.ssm:3:3
   |
 3 |   for i in range(3):
   |   ^^^
   |
   = note: an equation holds at every token and along every axis; what a loop would carry is a `state`

> let y = 3
error[SSM0129]: an equation needs no keyword
  --> test.ssm:3:3
   |
 3 |   let y = 3
   |   ^^^
   |
   = help: remove `let`

> import torch
error[SSM0129]: there is no `import`
  --> test.ssm:3:3
   |
 3 |   import torch
   |   ^^^^^^
   |
   = note: everything a spec may use is part of the language

> // a comment
error[SSM0129]: a comment begins with `#`
  --> test.ssm:3:3
   |
 3 |   // a comment
   |   ^^
   |
   = note: `//` is whole division
   = help: write `#`

> 1 = u
error[SSM0101]: no statement begins with `1`
  --> test.ssm:3:3
   |
 3 |   1 = u
   |   ^
   |
   = note: a statement begins with a keyword, or binds a name: `name = ...`

> y: float = 3
error[SSM0101]: expected `,` or `=`
  --> test.ssm:3:4
   |
 3 |   y: float = 3
   |    ^ not expected here

> edition 1
error[SSM0105]: `edition` stands before the layer
  --> test.ssm:3:3
   |
 3 |   edition 1
   |   ^^^^^^^^^
   |
   = help: write it above the line `layer ...`

> return u
error[SSM0108]: a layer has one `return`
  --> test.ssm:4:3
   |
 3 |   return u
   |   -------- the first one
 4 |   return u
   |   ^^^^^^^^ a second one
   |
   = help: keep one; several outputs are not supported

> y = 3 4
> z = f(
> if gate
>   w = 5 +
> else:
>   w = u
> x = silu(u)
error[SSM0163]: an operator is missing between two values
  --> test.ssm:3:7
   |
 3 |   y = 3 4
   |       ^^^
   |
   = help: for the product write `3 * 4`

error[SSM0114]: `(` is never closed
  --> test.ssm:4:9
   |
 4 |   z = f(
   |        - opened here
   |         ^ still open here
   |
   = help: write `)` here

error[SSM0116]: `:` is missing after `if`
  --> test.ssm:5:10
   |
 5 |   if gate
   |          ^
   |
   = help: write `:` at the end of the line
"""


@pytest.mark.parametrize(("text", "rendering"), cases(CATALOGUE))
def test_mistake(text: str, rendering: str) -> None:
    check(text, rendering)
