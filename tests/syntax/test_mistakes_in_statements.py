"""Statements that are written wrongly, and what the compiler says to them."""

from __future__ import annotations

import pytest
from syntax_helpers import cases, check

CATALOGUE = r"""
> input = 3
error[SSM0131]: `input` is a keyword and cannot be a name
  --> test.ssm:3:3
   |
 3 |   input = 3
   |   ^^^^^
   |
   = help: choose another name, `input_`

> y = state + 1
error[SSM0131]: `state` is a keyword and cannot be a name
  --> test.ssm:3:7
   |
 3 |   y = state + 1
   |       ^^^^^
   |
   = help: choose another name, `state_`

> state = silu(u)
error[SSM0131]: `state` is a keyword and cannot be a name
  --> test.ssm:3:3
   |
 3 |   state = silu(u)
   |   ^^^^^
   |
   = help: choose another name, `state_`

> by = silu(u)
error[SSM0131]: `by` is a keyword and cannot be a name
  --> test.ssm:3:3
   |
 3 |   by = silu(u)
   |   ^^
   |
   = help: choose another name, `by_`

> conv c(u, 4, bias)
error[SSM0152]: the width is an option
  --> test.ssm:3:13
   |
 3 |   conv c(u, 4, bias)
   |             ^
   |
   = help: write `width = 4`

> linear p(u) -> y[N]
error[SSM0152]: a `)` stands before the outputs
  --> test.ssm:3:13
   |
 3 |   linear p(u) -> y[N]
   |             ^
   |
   = note: what it yields stands inside the brackets, behind the inputs
   = help: write `linear proj(x -> y[N])`

> linear if(u -> y[N])
error[SSM0131]: `if` is a keyword and cannot be a name
  --> test.ssm:3:10
   |
 3 |   linear if(u -> y[N])
   |          ^^
   |
   = note: its key in the state_dict may be this all the same: `as "if"` at the end of the line
   = help: choose another name, `if_`

> y = linear(u -> [N])
error[SSM0131]: `linear` begins a statement and is no function
  --> test.ssm:3:7
   |
 3 |   y = linear(u -> [N])
   |       ^^^^^^
   |
   = help: write it on a line above, and its name here

> y == u
error[SSM0120]: an equation is written with `=`
  --> test.ssm:3:5
   |
 3 |   y == u
   |     ^^ this compares
   |
   = help: write `=`

> if gate = true:
>   y = 3
error[SSM0120]: values are compared with `==`
  --> test.ssm:3:11
   |
 3 |   if gate = true:
   |           ^ this binds a name
   |
   = help: write `==`

> silu(u)
error[SSM0150]: a value alone does nothing
  --> test.ssm:3:3
   |
 3 |   silu(u)
   |   ^^^^^^^
   |
   = note: every line but `return` declares something or binds a name
   = help: give it a name: `y = ...`

> g(x) = x + 1
error[SSM0151]: a function is defined with `def`
  --> test.ssm:3:3
   |
 3 |   g(x) = x + 1
   |   ^^^^
   |
   = help: write `def`

> def f(x): x + 1
error[SSM0151]: a definition is written with `=`
  --> test.ssm:3:11
   |
 3 |   def f(x): x + 1
   |           ^
   |
   = help: write `=`

> def f(x): return x + 1
error[SSM0151]: a definition is written with `=`
  --> test.ssm:3:11
   |
 3 |   def f(x): return x + 1
   |           ^
   |
   = help: write `=`

> def f(x):
>   return x + 1
error[SSM0151]: a definition is written with `=`
  --> test.ssm:3:11
   |
 3 |   def f(x):
   |           ^
   |
   = help: write `def f(x) = ...`

> f = lambda x: x + 1
error[SSM0129]: there are no nameless functions
  --> test.ssm:3:7
   |
 3 |   f = lambda x: x + 1
   |       ^^^^^^
   |
   = help: name it: `def f(x) = ...`

> linear proj(u, y[N])
error[SSM0152]: the linear has no outputs
  --> test.ssm:3:22
   |
 3 |   linear proj(u, y[N])
   |                      ^ `-> name[axes]` is missing
   |
   = help: say what it yields: `linear proj(x -> y[N])`

> linear proj(u => y[N])
error[SSM0152]: outputs follow `->`
  --> test.ssm:3:17
   |
 3 |   linear proj(u => y[N])
   |                 ^^
   |
   = help: write `->`

> linear proj(u -> y)
error[SSM0152]: the output `y` has no axes
  --> test.ssm:3:20
   |
 3 |   linear proj(u -> y)
   |                    ^
   |
   = note: an output says its axes; a single number a token has an axis of size 1, `axis One = 1`
   = help: write its axes: `y[N]`

> linear (u -> y[N])
error[SSM0152]: the linear has no name
  --> test.ssm:3:10
   |
 3 |   linear (u -> y[N])
   |          ^
   |
   = help: write `linear proj(x -> y[N])`

> linear proj(u, bias = true -> y[N])
error[SSM0152]: an option stands before the outputs
  --> test.ssm:3:18
   |
 3 |   linear proj(u, bias = true -> y[N])
   |                  ^^^^
   |
   = note: inputs, outputs and options stand in this order
   = help: write `linear proj(x -> y[N], bias = false)`

> conv conv1d(u, width)
error[SSM0152]: the option `width` has no value
  --> test.ssm:3:18
   |
 3 |   conv conv1d(u, width)
   |                  ^^^^^
   |
   = help: give it a value, `width = 4`; several inputs need outputs, `conv f(x, z -> a[N], b[N])`

> param A[N] = 1 as key
error[SSM0124]: the key of the state_dict is a string
  --> test.ssm:3:21
   |
 3 |   param A[N] = 1 as key
   |                     ^^^
   |
   = help: write `"key"`

> param A[N] = 1 nodecay
error[SSM0153]: unknown word `nodecay` behind a parameter
  --> test.ssm:3:18
   |
 3 |   param A[N] = 1 nodecay
   |                  ^^^^^^^
   |
   = note: the order is `param name[axes] complex = value in [lo, hi] no_decay fixed as "key"`
   = help: write `no_decay`

> param A[N] = 1 fixed complex
error[SSM0153]: `complex` is out of order
  --> test.ssm:3:24
   |
 3 |   param A[N] = 1 fixed complex
   |                        ^^^^^^^
   |
   = note: the order is `param name[axes] complex = value in [lo, hi] no_decay fixed as "key"`

> param A[N] = 1 wobbly
error[SSM0153]: unknown word `wobbly` behind a parameter
  --> test.ssm:3:18
   |
 3 |   param A[N] = 1 wobbly
   |                  ^^^^^^
   |
   = note: the order is `param name[axes] complex = value in [lo, hi] no_decay fixed as "key"`

> param A[N] = 1 in (0, 1)
error[SSM0153]: a range stands in square brackets
  --> test.ssm:3:21
   |
 3 |   param A[N] = 1 in (0, 1)
   |                     ^^^^^^
   |
   = help: write `[0, 1]`

> input v(N)
error[SSM0160]: axes stand in square brackets
  --> test.ssm:3:10
   |
 3 |   input v(N)
   |          ^^^
   |
   = help: write `[N]`

> axis K
error[SSM0101]: expected `=`
  --> test.ssm:3:9
   |
 3 |   axis K
   |         ^ the statement ends here

> conv conv1d(u, bias -> y[N])
error[SSM0152]: `bias` is an option and cannot be an input
  --> test.ssm:3:18
   |
 3 |   conv conv1d(u, bias -> y[N])
   |                  ^^^^
   |
   = help: rename the value
"""


@pytest.mark.parametrize(("text", "rendering"), cases(CATALOGUE))
def test_mistake(text: str, rendering: str) -> None:
    check(text, rendering)
