"""A convolution as an op of the file: the holes of its templates."""

from __future__ import annotations

from dataclasses import dataclass

from ssmc.codegen.names import Names
from ssmc.codegen.torch_printer import TorchPrinter
from ssmc.ir.expr import Ref
from ssmc.ir.plan import PlannedConv
from ssmc.ir.program import Let


@dataclass(frozen=True, slots=True)
class ConvOp:
    """The holes of `templates/eager/conv.py.jinja`: `activation` from `pre` to `result`, `adjoint` to `cotangent`; and
    of `templates/torch/operators.py.jinja`."""

    stem: str
    module: str
    pre: str
    result: str
    seed: str
    cotangent: str
    activation: tuple[str, ...]
    adjoint: tuple[str, ...]
    kernel: bool


def conv_op(planned: PlannedConv, stem: str) -> ConvOp:
    """The context of a convolution."""
    program = planned.program
    names = Names(("x", "weight", "bias", "taps", "xp", "w", "k", "T", "W", "d_last", "dtype"))
    printer = TorchPrinter(lambda r: names(r.name), program.atoms, _streams, {}, lambda axis: axis, names(program.pre))

    def lines(lets: tuple[Let, ...]) -> tuple[str, ...]:
        return tuple(f"{names(let.name)} = {printer(let.node)}" for let in lets)

    return ConvOp(
        stem=stem,
        module=program.module,
        pre=names(program.pre),
        result=names(program.result),
        seed=names(program.seed),
        cotangent=names(program.cotangent),
        activation=lines(program.activation),
        adjoint=lines(program.adjoint),
        kernel=planned.kernel,
    )


def _streams(r: Ref) -> bool:
    return True
