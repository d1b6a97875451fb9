"""Operators and characters of other languages, and what the compiler says to them."""

from __future__ import annotations

import pytest
from syntax_helpers import cases, check

CATALOGUE = r"""
> y := u
error[SSM0120]: an equation is written with `=`
  --> test.ssm:3:5
   |
 3 |   y := u
   |     ^^ not an operator here
   |
   = help: write `=`

> y = u ^ 2
error[SSM0120]: a power is written `**`
  --> test.ssm:3:9
   |
 3 |   y = u ^ 2
   |         ^ not an operator here
   |
   = help: write `**`

> y = A @ u
error[SSM0120]: there is no matrix product
  --> test.ssm:3:9
   |
 3 |   y = A @ u
   |         ^ not an operator here
   |
   = note: values are multiplied by the names of their axes, and a sum names the axis it removes
   = help: write the sum over the common axis: `sum[N](A * x)`

> y += u
error[SSM0120]: `+=` would change a value
  --> test.ssm:3:5
   |
 3 |   y += u
   |     ^^ not an operator here
   |
   = note: a name is bound once; a value that changes from token to token is a `state`

> x = gate && N > 3
> y = !x
error[SSM0120]: conditions are joined by `and`
  --> test.ssm:3:12
   |
 3 |   x = gate && N > 3
   |            ^^ not an operator here
   |
   = help: write `and`

error[SSM0120]: a condition is negated by `not`
  --> test.ssm:4:7
   |
 4 |   y = !x
   |       ^ not an operator here
   |
   = help: write `not`

> y = u − 1 × 3 ≤ 4
error[SSM0121]: `−` is not the ASCII `-`
  --> test.ssm:3:9
   |
 3 |   y = u − 1 × 3 ≤ 4
   |         ^ this is minus sign
   |
   = help: write `-`

error[SSM0121]: `×` is not the ASCII `*`
  --> test.ssm:3:13
   |
 3 |   y = u − 1 × 3 ≤ 4
   |             ^ this is multiplication sign
   |
   = help: write `*`

error[SSM0121]: `≤` is not the ASCII `<=`
  --> test.ssm:3:17
   |
 3 |   y = u − 1 × 3 ≤ 4
   |                 ^ this is less-than or equal to
   |
   = help: write `<=`

> linear f(u → y[N])
error[SSM0121]: `→` is not the ASCII `->`
  --> test.ssm:3:14
   |
 3 |   linear f(u → y[N])
   |              ^ this is rightwards arrow
   |
   = help: write `->`

> state h[N]: h′ = -h by zoh, step 1
error[SSM0121]: `′` is not the ASCII `'`
  --> test.ssm:3:16
   |
 3 |   state h[N]: h′ = -h by zoh, step 1
   |                ^ this is prime
   |
   = help: write `'`

> y = 2 * λ + Δt₀ + x²
error[SSM0122]: the name `λ` is not ASCII
  --> test.ssm:3:11
   |
 3 |   y = 2 * λ + Δt₀ + x²
   |           ^
   |
   = note: names are made of the letters a to z, digits and `_`
   = help: write `lambda`

error[SSM0122]: the name `Δt₀` is not ASCII
  --> test.ssm:3:15
   |
 3 |   y = 2 * λ + Δt₀ + x²
   |               ^^^
   |
   = note: names are made of the letters a to z, digits and `_`
   = help: write `dt0`

error[SSM0121]: a power is written `**`
  --> test.ssm:3:21
   |
 3 |   y = 2 * λ + Δt₀ + x²
   |                     ^^
   |
   = help: write `x ** 2`

> y = 一
error[SSM0122]: the name `一` is not ASCII
  --> test.ssm:3:7
   |
 3 |   y = 一
   |       ^^
   |
   = note: names are made of the letters a to z, digits and `_`
   = help: choose an ASCII name
"""


@pytest.mark.parametrize(("text", "rendering"), cases(CATALOGUE))
def test_mistake(text: str, rendering: str) -> None:
    check(text, rendering)
