"""A convolution's activation on tiles: what the templates of its kernels need beside the stem."""

from __future__ import annotations

from dataclasses import dataclass

from ssmc.backends.triton.printer import TilePrinter
from ssmc.backends.triton.tiles import tile_of
from ssmc.ir.expr import Node
from ssmc.ir.program import ConvProgram, Let


@dataclass(frozen=True, slots=True)
class TritonConv:
    """The holes of `templates/triton/conv.py.jinja` and `templates/triton/conv_launches.py.jinja`."""

    stem: str
    pre: str
    result: str
    seed: str
    cotangent: str
    activation: tuple[str, ...]
    adjoint: tuple[str, ...]


def triton_conv(p: ConvProgram, stem: str, helpers: set[str]) -> TritonConv:
    """The context of a convolution; the helpers its activation calls are added to `helpers`."""
    tile = tile_of(p.atoms, (), ())

    def refuse(node: Node) -> str:
        raise NotImplementedError(f"{node} in an activation")

    printer = TilePrinter(tile, lambda r: tile.name(r.name), refuse)
    lane = tile.full
    printer.dims.update({(p.pre, 0): lane, (p.seed, 0): lane, (p.result, 0): lane})

    def lines(lets: tuple[Let, ...]) -> tuple[str, ...]:
        out = []
        for let in lets:
            text = printer(let.node)
            printer.dims[let.name, 0] = text.dims
            out.append(f"b_{tile.name(let.name)} = {text.code}")
        return tuple(out)

    def name(value: str) -> str:
        return f"b_{tile.name(value)}"

    activation = lines(p.activation)
    # the adjoint may read what the activation has worked out
    adjoint = (*activation, *lines(p.adjoint)) if p.adjoint else ()
    helpers |= {*printer.helpers, "tl_before", "tl_inside", "tl_tokens"}
    return TritonConv(stem, name(p.pre), name(p.result), name(p.seed), name(p.cotangent), activation, adjoint)
