"""Numbers, strings, values and names of other languages, and what the compiler says to them."""

from __future__ import annotations

import pytest
from syntax_helpers import cases, check

CATALOGUE = r"""
> y = .5 * u + 1. + 1_000 + 2x + 3j
error[SSM0123]: `.5` is not how a number is written
  --> test.ssm:3:7
   |
 3 |   y = .5 * u + 1. + 1_000 + 2x + 3j
   |       ^^
   |
   = note: digits stand on both sides of the point, with nothing between them
   = help: write `0.5`

error[SSM0123]: `1.` is not how a number is written
  --> test.ssm:3:16
   |
 3 |   y = .5 * u + 1. + 1_000 + 2x + 3j
   |                ^^
   |
   = note: digits stand on both sides of the point, with nothing between them
   = help: write `1`

error[SSM0123]: `1_000` is not how a number is written
  --> test.ssm:3:21
   |
 3 |   y = .5 * u + 1. + 1_000 + 2x + 3j
   |                     ^^^^^
   |
   = note: digits stand on both sides of the point, with nothing between them
   = help: write `1000`

error[SSM0163]: an operator is missing between a number and a name
  --> test.ssm:3:29
   |
 3 |   y = .5 * u + 1. + 1_000 + 2x + 3j
   |                             ^^
   |
   = help: write `2 * x`

error[SSM0123]: there are no imaginary numbers
  --> test.ssm:3:34
   |
 3 |   y = .5 * u + 1. + 1_000 + 2x + 3j
   |                                  ^^
   |
   = help: write `complex(0, 3)`

> y = 0x1f + 1e9999
error[SSM0123]: `0x1f` is not a number
  --> test.ssm:3:7
   |
 3 |   y = 0x1f + 1e9999
   |       ^^^^
   |
   = note: numbers are decimal: `16`, `0.5`, `1e-3`

error[SSM0123]: a number that is too long
  --> test.ssm:3:14
   |
 3 |   y = 0x1f + 1e9999
   |              ^^^^^^
   |
   = note: a computer's numbers keep about seventeen digits, and exponents up to 308

> y = True
error[SSM0127]: `True` is written `true`
  --> test.ssm:3:7
   |
 3 |   y = True
   |       ^^^^
   |
   = help: write `true`

> y = None
error[SSM0127]: there is no `None`
  --> test.ssm:3:7
   |
 3 |   y = None
   |       ^^^^ not a value here
   |
   = note: every value of a layer is a number; what is absent is not written

> y = np.exp(u) + torch.nn.functional.silu(u)
error[SSM0126]: functions have no module in front
  --> test.ssm:3:7
   |
 3 |   y = np.exp(u) + torch.nn.functional.silu(u)
   |       ^^^^^^
   |
   = note: the language has its own functions, and nothing is imported
   = help: write `exp`

error[SSM0126]: functions have no module in front
  --> test.ssm:3:19
   |
 3 |   y = np.exp(u) + torch.nn.functional.silu(u)
   |                   ^^^^^^^^^^^^^^^^^^^^^^^^
   |
   = note: the language has its own functions, and nothing is imported
   = help: write `silu`

> y = u.mean()
error[SSM0126]: values have no attributes
  --> test.ssm:3:7
   |
 3 |   y = u.mean()
   |       ^^^^^^ a name has no dots
   |
   = help: write the function around the value: `mean[N](u)`

> param A[N] = 1 as “ssm.A”
error[SSM0124]: a string is written with `"`
  --> test.ssm:3:21
   |
 3 |   param A[N] = 1 as “ssm.A”
   |                     ^^^^^^^
   |
   = help: write `"ssm.A"`

> param A[N] = 1 as "key
error[SSM0124]: the string is not closed
  --> test.ssm:3:21
   |
 3 |   param A[N] = 1 as "key
   |                     ^^^^ it begins here
   |
   = help: end it with `"`

> param A[N] = 1 as 'key'
error[SSM0124]: a string is written with `"`
  --> test.ssm:3:21
   |
 3 |   param A[N] = 1 as 'key'
   |                     ^^^^^
   |
   = help: write `"key"`

> y = u;
error[SSM0125]: a line does not end with `;`
  --> test.ssm:3:8
   |
 3 |   y = u;
   |        ^
   |
   = note: a line that is indented deeper continues the statement above; any other begins a new one
   = help: remove the `;`

> a = u; b = a
error[SSM0125]: one line holds one statement
  --> test.ssm:3:8
   |
 3 |   a = u; b = a
   |        ^
   |
   = help: write the second statement on its own line

> y = u \
>   + 1
error[SSM0125]: a line does not end with `\`
  --> test.ssm:3:9
   |
 3 |   y = u \
   |         ^
   |
   = note: a line that is indented deeper continues the statement above; any other begins a new one
   = help: remove the `\`

> y = gate ? u : 1
error[SSM0128]: the character `?` has no meaning in a spec
  --> test.ssm:3:12
   |
 3 |   y = gate ? u : 1
   |            ^
   |
   = help: a choice is written `a if flag else b`

> h = a * h[t-1] + h_{t-1} + u[t]
error[SSM0140]: values are not indexed by time
  --> test.ssm:3:11
   |
 3 |   h = a * h[t-1] + h_{t-1} + u[t]
   |           ^^^^^^ the previous token
   |
   = note: an equation holds at each token; `prev(h)` is the value at the previous one
   = help: write `prev(h)`

error[SSM0140]: values are not indexed by time
  --> test.ssm:3:20
   |
 3 |   h = a * h[t-1] + h_{t-1} + u[t]
   |                    ^^^^^^^ the previous token
   |
   = note: an equation holds at each token; `prev(h)` is the value at the previous one
   = help: write `prev(h)`

error[SSM0140]: values are not indexed by time
  --> test.ssm:3:30
   |
 3 |   h = a * h[t-1] + h_{t-1} + u[t]
   |                              ^^^^ the present token
   |
   = note: an equation holds at each token; `u` is the value at the present one
   = help: write `u`
"""


@pytest.mark.parametrize(("text", "rendering"), cases(CATALOGUE))
def test_mistake(text: str, rendering: str) -> None:
    check(text, rendering)
