"""A convolution's fused activation and its derivative, from the same table as every other derivative."""

from __future__ import annotations

from ssmc.calculus.reverse import Tape
from ssmc.ir import build as b
from ssmc.ir.expr import Node, Ref
from ssmc.ir.layer import Conv
from ssmc.ir.program import ConvProgram, Let
from ssmc.ir.regions import Definition
from ssmc.lower.rewriting import rewrite
from ssmc.lower.share import share


def lower_conv(conv: Conv, atoms: tuple[str, ...], activation: Definition | None) -> ConvProgram:
    """The program of a convolution; `activation` is the one pointwise value that reads it, if there is one."""
    pre = f"{conv.name}:pre"
    symbol = b.ref(pre, atoms, "real")
    if activation is None:
        return ConvProgram(conv.name, pre, pre, f"g:{pre}", f"g:{pre}", (), (), atoms)

    def replace(n: Node) -> Node | None:
        return symbol if isinstance(n, Ref) and n.name == conv.output.name else None

    let = Let(activation.name, atoms, rewrite(b.substitute(activation.node, replace)), activation.span)
    tape = Tape()
    seed = f"g:{activation.name}"
    tape.add((activation.name, 0), b.ref(seed, atoms, "real"))
    adjoint = tape.reverse([let])
    total = tape.pop((pre, 0))
    cotangent = f"d:{pre}"
    adjoint.append(Let(cotangent, atoms, b.ZERO if total is None else total, activation.span))
    forward, back = share([[let], adjoint])
    return ConvProgram(conv.name, pre, activation.name, seed, cotangent, forward, back, atoms)
