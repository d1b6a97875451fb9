"""Files that are put together wrongly, and what the compiler says to them."""

from __future__ import annotations

import pytest
from syntax_helpers import cases, check

CATALOGUE = r"""
> axis N = 3
error[SSM0106]: a spec begins with `layer`
  --> test.ssm:1:1
   |
 1 | axis N = 3
   | ^^^^ this stands outside a layer
   |
   = note: sizes and options of the layer are its arguments
   = help: begin with `layer Name(d_model)`

> layr M(d)
>   return d
error[SSM0130]: unknown word `layr`
  --> test.ssm:1:1
   |
 1 | layr M(d)
   | ^^^^
   |
   = help: write `layer`

> import torch
> from math import pi
> layer M(d)
>   input u[d]
>   return x +
error[SSM0106]: a spec begins with `layer`
  --> test.ssm:1:1
   |
 1 | import torch
   | ^^^^^^ this stands outside a layer
   |
   = note: sizes and options of the layer are its arguments
   = help: begin with `layer Name(d_model)`

error[SSM0106]: a spec begins with `layer`
  --> test.ssm:2:1
   |
 2 | from math import pi
   | ^^^^ this stands outside a layer
   |
   = note: sizes and options of the layer are its arguments
   = help: begin with `layer Name(d_model)`

error[SSM0164]: a value is missing after `+`
  --> test.ssm:5:13
   |
 5 |   return x +
   |             ^

> layer M
>   return u
error[SSM0106]: a layer has arguments
  --> test.ssm:1:8
   |
 1 | layer M
   |        ^ expected `(`
   |
   = help: write `layer M(d_model)`

> layer M(d):
>   return d
error[SSM0106]: no `:` follows the layer's arguments
  --> test.ssm:1:11
   |
 1 | layer M(d):
   |           ^
   |
   = help: remove it

> layer M(d
>   input u[d]
>   return u
error[SSM0114]: `(` is never closed
  --> test.ssm:1:10
   |
 1 | layer M(d
   |        - opened here
   |          ^ still open here
   |
   = help: write `)` here

> layer 3(d)
>   return u
error[SSM0101]: expected a name
  --> test.ssm:1:7
   |
 1 | layer 3(d)
   |       ^ not expected here

> edition 2
> layer M(d)
>   return d
error[SSM0105]: unknown edition 2
  --> test.ssm:1:9
   |
 1 | edition 2
   |         ^
   |
   = note: this compiler knows edition 1
   = help: use `1`

> edition one
> layer M(d)
>   return d
error[SSM0105]: the edition is a number
  --> test.ssm:1:9
   |
 1 | edition one
   |         ^^^
   |
   = help: write `1`

> layer M(d)
>   input u[d]
> layer K(e)
>   return e
error[SSM0107]: one file holds one layer
  --> test.ssm:3:1
   |
 1 | layer M(d)
   | ---------- the first layer
 ...
 3 | layer K(e)
   | ^^^^^^^^^^ a second layer
   |
   = help: write it in its own file

> layer M(d)
>   input u[d]
error[SSM0108]: the layer returns nothing
  --> test.ssm:2:13
   |
 2 |   input u[d]
   |             ^ `return` is missing
   |
   = help: end with `return` and the value the layer yields

> layer M(d)
>   return d
>   y = d
error[SSM0108]: `return` is the last statement
  --> test.ssm:2:3
   |
 2 |   return d
   |   ^^^^^^^^
 3 |   y = d
   |   ----- this follows
   |
   = help: move it to the end

> layer M(d)
>   return d
>   return d
error[SSM0108]: a layer has one `return`
  --> test.ssm:3:3
   |
 2 |   return d
   |   -------- the first one
 3 |   return d
   |   ^^^^^^^^ a second one
   |
   = help: keep one; several outputs are not supported

> layer M(d)
>   if d:
>     return d
error[SSM0108]: `return` stands inside `if`
  --> test.ssm:3:5
   |
 3 |     return d
   |     ^^^^^^^^
   |
   = note: what a layer returns does not depend on its arguments; a value may: `a if flag else b`
   = help: return after the `if`, outside its block

> layer M(d)
>   input u[d]
>  y = u
>   return u
error[SSM0111]: the statement is not aligned with those above it
  --> test.ssm:3:2
   |
 2 |   input u[d]
   |   ----- the statement above begins here
 3 |  y = u
   |  ^
   |
   = help: begin it at the same column

> layer M(d)
>   input u[d]
> 	y = u
>   return u
error[SSM0110]: tabs and spaces are mixed in indentation
  --> test.ssm:3:1
   |
 2 |   input u[d]
   | -- indented by spaces
 3 |     y = u
   | ^^^^ tabs here
   |
   = help: use spaces, as above

> layer layer(d)
>   return d
error[SSM0131]: `layer` is a keyword and cannot be a name
  --> test.ssm:1:7
   |
 1 | layer layer(d)
   |       ^^^^^
   |
   = help: choose another name, `layer_`
"""


@pytest.mark.parametrize(("text", "rendering"), cases(CATALOGUE))
def test_mistake(text: str, rendering: str) -> None:
    check(text, rendering, in_layer=False)
