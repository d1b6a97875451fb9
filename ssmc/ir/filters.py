"""The filter of a time-invariant diagonal recurrence: what drives it, what reads it, and its impulse response.

With state h_t = a*h_(t-1) + sum_j beta_j*x_j,t and reads r_i = Re sum_n gamma_i*h, every read is a causal convolution
of the streams x_j with the filters

    K_ij[l] = Re sum_n gamma_i * a**l * beta_j        (l >= 0; of a delayed read: a**(l - 1) for l >= 1, 0 at l = 0)

where the sum runs over the state axes `n` that the read sums. Complex values are still complex here.
"""

from __future__ import annotations

from dataclasses import dataclass

from ssmc.ir.expr import Node


@dataclass(frozen=True, slots=True)
class Read:
    """A real or complex number a token at every channel: the definition (or the state) called `name` is
    sum over the inner axes of `direct * h + mirrored * conj(h)`, of the state after the token or, if `late`, before."""

    name: str
    dtype: str
    late: bool
    direct: Node
    mirrored: Node


@dataclass(frozen=True, slots=True)
class Filter:
    """`inputs` are (weight, stream): a weight is known before time starts, a stream has no axis that the reads sum."""

    coefficient: Node
    inputs: tuple[tuple[Node, Node], ...]
    reads: tuple[Read, ...]
