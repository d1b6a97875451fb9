"""Lines that begin wrongly, and what the compiler says to them."""

from __future__ import annotations

import pytest
from syntax_helpers import cases, check

CATALOGUE = r"""
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
   = note: a line begins with a keyword or is an equation, `name = ...`
   = note: keywords: axis, input, param, linear, conv, state, def, if, elif, else, return

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

> return u, v
error[SSM0108]: a layer returns one value
  --> test.ssm:3:11
   |
 3 |   return u, v
   |           ^^^ a second one
   |
   = note: the state comes beside it where the caller asks for it: `layer(u, return_state=True)`
   = help: return one

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
