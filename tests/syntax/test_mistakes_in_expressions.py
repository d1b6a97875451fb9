"""Expressions that are written wrongly, and what the compiler says to them."""

from __future__ import annotations

import pytest
from syntax_helpers import cases, check

CATALOGUE = r"""
> y = u[16]
error[SSM0160]: brackets hold names of axes
  --> test.ssm:3:8
   |
 3 |   y = u[16]
   |        ^^^^ a number
   |
   = note: axes are told apart by their names, also where their sizes are equal
   = help: name the axis: `axis M = 16`, and write `[M]`

> y = u[1]
error[SSM0160]: brackets hold names of axes
  --> test.ssm:3:8
   |
 3 |   y = u[1]
   |        ^^^ a number
   |
   = note: axes are told apart by their names, also where their sizes are equal
   = help: name the axis: `axis One = 1`, and write `[One]`

> y = sum[2 * N](u)
error[SSM0160]: brackets hold names of axes
  --> test.ssm:3:10
   |
 3 |   y = sum[2 * N](u)
   |          ^^^^^^^ a number
   |
   = note: axes are told apart by their names, also where their sizes are equal
   = help: name the axis: `axis M = 2 * N`, and write `[M]`

> y[] = u
error[SSM0160]: the brackets are empty
  --> test.ssm:3:4
   |
 3 |   y[] = u
   |    ^^
   |
   = help: a value with no axes has no brackets

> y = u[:, N]
error[SSM0160]: brackets hold names of axes
  --> test.ssm:3:8
   |
 3 |   y = u[:, N]
   |        ^^^^^^ a slice
   |
   = note: a slice is not needed: axes are multiplied and summed by name

> y = u[N]
error[SSM0161]: a value is used without its axes
  --> test.ssm:3:8
   |
 3 |   y = u[N]
   |        ^^^
   |
   = note: axes are written where a value is bound; in an expression brackets rename, `x[N as M]`
   = help: write `u`

> y = sum[N] u
error[SSM0161]: `sum` over axes is a call
  --> test.ssm:3:7
   |
 3 |   y = sum[N] u
   |       ^^^^^^ its argument is missing
   |
   = help: write `sum[N](...)`

> y = u[N -> K]
error[SSM0161]: an axis is renamed with `as`
  --> test.ssm:3:11
   |
 3 |   y = u[N -> K]
   |           ^^
   |
   = help: write `as`

> y = u[N=K]
error[SSM0161]: an axis is renamed with `as`
  --> test.ssm:3:10
   |
 3 |   y = u[N=K]
   |          ^
   |
   = help: write `as`

> y = 0 < u < 1
error[SSM0162]: a comparison has two sides
  --> test.ssm:3:13
   |
 3 |   y = 0 < u < 1
   |             ^ a third side follows
   |
   = help: join two comparisons with `and`: `a < b and b < c`

> y = 2 u
error[SSM0163]: an operator is missing between two values
  --> test.ssm:3:7
   |
 3 |   y = 2 u
   |       ^^^
   |
   = help: for the product write `2 * u`

> y = (u + 1) u
error[SSM0163]: an operator is missing between two values
  --> test.ssm:3:14
   |
 3 |   y = (u + 1) u
   |              ^
   |
   = help: for the product write `*`

> y = f(u) (u)
error[SSM0163]: an operator is missing between two values
  --> test.ssm:3:11
   |
 3 |   y = f(u) (u)
   |           ^
   |
   = help: for the product write `*`

> y = u +
error[SSM0164]: a value is missing after `+`
  --> test.ssm:3:10
   |
 3 |   y = u +
   |          ^

> y = f(, u)
error[SSM0164]: a value is missing after `(`
  --> test.ssm:3:9
   |
 3 |   y = f(, u)
   |         ^ found instead

> y =
error[SSM0164]: a value is missing after `=`
  --> test.ssm:3:6
   |
 3 |   y =
   |      ^

> y = u if gate
error[SSM0101]: expected `else`
  --> test.ssm:3:16
   |
 3 |   y = u if gate
   |                ^ the statement ends here

> y = if gate then u else 1
error[SSM0164]: a choice begins with its first value
  --> test.ssm:3:7
   |
 3 |   y = if gate then u else 1
   |       ^^
   |
   = help: write `a if flag else b`

> y = gate or N | u
error[SSM0120]: conditions are joined by `or`
  --> test.ssm:3:17
   |
 3 |   y = gate or N | u
   |                 ^
   |
   = note: `|` lists the choices of a layer argument, `disc = zoh | bilinear`
   = help: write `or`

> y = f(u, k = 1, 2)
error[SSM0165]: a value without a name stands behind one with a name
  --> test.ssm:3:19
   |
 3 |   y = f(u, k = 1, 2)
   |                   ^
   |
   = help: write it first

> y = f(k = 1, u)
error[SSM0165]: a value without a name stands behind one with a name
  --> test.ssm:3:16
   |
 3 |   y = f(k = 1, u)
   |                ^
   |
   = help: write it first

> y = u as z
error[SSM0101]: expected the end of the line
  --> test.ssm:3:9
   |
 3 |   y = u as z
   |         ^^ not expected here

> y = "abc"
error[SSM0164]: a string is no value
  --> test.ssm:3:7
   |
 3 |   y = "abc"
   |       ^^^^^
   |
   = note: strings are keys of the state_dict; an option is one of a named list, `disc = zoh | bilinear`

> y = sum(u * x, axis = N)
error[SSM0161]: `sum` names its axis in square brackets
  --> test.ssm:3:18
   |
 3 |   y = sum(u * x, axis = N)
   |                  ^^^^^^^^
   |
   = help: write `sum[N](u * x)`

> y = 3 if(gate)else(u)u
error[SSM0163]: an operator is missing between two values
  --> test.ssm:3:24
   |
 3 |   y = 3 if(gate)else(u)u
   |                        ^
   |
   = help: for the product write `*`

> y = u *
> z = u
error[SSM0164]: a value is missing after `*`
  --> test.ssm:3:10
   |
 3 |   y = u *
   |          ^
"""


@pytest.mark.parametrize(("text", "rendering"), cases(CATALOGUE))
def test_mistake(text: str, rendering: str) -> None:
    check(text, rendering)
