"""Program -> the contexts of its Triton kernels and launches: the one entry of this room."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from ssmc.backends.triton.backward_op import backward
from ssmc.backends.triton.chunk_back import ChunkGradients
from ssmc.backends.triton.chunk_contexts import ChunkLaunch, ChunkOp
from ssmc.backends.triton.chunk_host import ChunkHost
from ssmc.backends.triton.contexts import LaneSum, TritonFile, TritonOp
from ssmc.backends.triton.conv_op import TritonConv, triton_conv
from ssmc.backends.triton.equations import Equations, Unfit, layer_equations
from ssmc.backends.triton.fresh_contexts import FreshOp
from ssmc.backends.triton.fresh_host import fresh
from ssmc.backends.triton.functions import closure
from ssmc.backends.triton.kernel_op import WIDE, Kernels
from ssmc.backends.triton.launch import Host
from ssmc.backends.triton.limits import exponentials, light, registers
from ssmc.backends.triton.pieces import keep, pieces
from ssmc.backends.triton.tiles import tile_of
from ssmc.codegen.op_text import OpText
from ssmc.ir.expr import Pointwise, walk
from ssmc.ir.plan import PlannedConv
from ssmc.ir.program import Program


@dataclass(frozen=True, slots=True)
class Chunked:
    """The kernels of an op's chunks, and their launches."""

    op: ChunkOp
    launch: ChunkLaunch


def triton_ops(
    ops: Sequence[OpText], convs: Sequence[tuple[PlannedConv, str]], mode: str
) -> tuple[tuple[TritonOp, ...], tuple[FreshOp, ...], tuple[Chunked, ...], tuple[TritonConv, ...], TritonFile]:
    """The contexts of the ops that have a kernel, of those that have others for a state that begins at zero, or for
    chunks, of convolutions with a kernel (each with its stem), and of what they share."""
    helpers: set[str] = set()
    made = tuple(_op(o, helpers) for o in ops if o.kernel)
    filtered = tuple(x for o in ops if o.kernel and (x := _fresh(o, helpers)) is not None)
    chunks = tuple(c for o in ops if o.kernel and (c := _chunks(o, helpers, mode)) is not None)
    made_convs = tuple(triton_conv(c.program, stem, helpers) for c, stem in convs if c.kernel)
    sums = sorted(h for h in helpers if h.startswith("tl_sum_"))
    lanes = sorted(h for h in helpers if re.fullmatch(r"tl_over_lanes_\d+", h))
    rows = sorted(h for h in helpers if h.startswith("tl_rows_"))
    ranks = [tuple(map(int, h.removeprefix("tl_sum_").split("_of_"))) for h in sums]
    cut = [op for op in made if op.pieces]
    return (
        made,
        filtered,
        chunks,
        made_convs,
        TritonFile(
            helpers=closure(helpers),
            sums=tuple((h, at, rank, _unit(at, rank)) for h, (at, rank) in zip(sums, ranks, strict=True)),
            lane_sums=tuple(_lane_sum(h, helpers) for h in lanes),
            rows=tuple((h, _shape("v", 1, int(h.rpartition("_")[2]))) for h in rows),
            pairs=tuple((h, h.replace("pairs", "rows")) for h in sorted(helpers) if h.startswith("tl_pairs_")),
            runs=tuple((h, _shape_of_runs(h)) for h in sorted(helpers) if h.startswith("tl_runs_")),
            passes=any(not op.launch.complex_flag for op in cut) or bool(chunks),
            complex_passes=any(bool(op.launch.complex_flag) for op in cut),
            light=any(op.light for op in made),
            narrow=any("_kept_dtype" in line for op in made for line in op.launch.gradients),
            starts=any(op.walked for op in made),
            gathers=any(bool(op.launch.gathered) for op in made),
        ),
    )


def _lane_sum(helper: str, helpers: set[str]) -> LaneSum:
    rank = int(helper.rpartition("_")[2])
    return LaneSum(helper, _unit(0, rank), _shape("b_v", 1, rank - 1), rank > 1, f"{helper}_of_two" in helpers)


def _shape(v: str, first: int, n: int) -> str:
    return "[" + ", ".join(f"{v}.shape[{first + i}]" for i in range(n)) + "]"


def _shape_of_runs(helper: str) -> str:
    rank = int(helper.rpartition("_")[2])
    return "[" + ", ".join(["b_v.shape[0] // R", "R", *(f"b_v.shape[{i}]" for i in range(1, rank))]) + "]"


def _unit(at: int, rank: int) -> str:
    return "" if rank == 1 else "[" + ", ".join(":" if d == at else "None" for d in range(rank)) + "]"


def _turns(p: Program) -> bool:
    """Whether a phase depends on parameters alone: its digits go with its size, at one token, too."""
    return any(isinstance(n, Pointwise) and n.fn in ("sin", "cos") for x in p.hoisted for n in walk(x.node))


def _fresh(o: OpText, helpers: set[str]) -> FreshOp | None:
    """The kernels of a time-invariant op whose state begins at zero; None if those of any op serve it."""
    try:
        return None if o.program.filter is None else fresh(o, o.program.filter, helpers)
    except Unfit:
        return None


def _chunks(o: OpText, helpers: set[str], mode: str) -> Chunked | None:
    """The kernels of an op that gathers outer products; None if it does not, or if its equations do not fit them."""
    f = o.program.outer
    if f is None:
        return None
    try:
        k = ChunkGradients(o, f)
        op = k.build()
    except Unfit:
        return None
    helpers |= {*k.e.helpers, "tl_inside"}
    return Chunked(op, ChunkHost(k).launch(mode, op))


def _op(o: OpText, helpers: set[str]) -> TritonOp:
    tile = tile_of(o.r.channels, o.r.inner, ())
    e = Equations(o, tile)
    q = layer_equations(e)
    k = Kernels(e, q)
    walk, loc = k.walk()
    single, back, cut = k.single(), backward(k), pieces(k)
    e.helpers |= {"tl_inside", "tl_keep"}
    op = TritonOp(
        stem=o.stem,
        equations=tuple(e.made),
        lane=tile.letter,
        lanes=tile.lanes,
        block=tile.block,
        step=k.step,
        back=k.back,
        hoist=k.hoist(loc),
        hoist_once=k.hoist(loc, fine=_turns(k.p), walk=False),
        fields=k.fields(loc),
        states=k.states(),
        keeps_before=k.reads_before(),
        advance=k.advance(loc, k.names(q.update), k.before("{}")),
        results=k.names(q.read),
        read_block=k.call(q.read, loc, "j", wide=WIDE),
        read_one=k.call(q.read, loc),
        walk=walk,
        single=single,
        keep=keep(k),
        backward=back,
        pieces=cut,
        cut_back=cut is not None and bool(cut.stored_back),
        walked=o.program.walked,
        light=light(e),
        exponentials=exponentials(e) > 0,
        registers=registers(e, q),
        launch=Host(k).launch(walk, back.kernel),
    )
    helpers |= e.helpers
    return op
