"""Program -> the contexts of its Triton kernels and launches: the one entry of this room."""

from __future__ import annotations

from collections.abc import Sequence

from ssmc.backends.triton.contexts import TritonFile, TritonOp
from ssmc.backends.triton.conv_op import TritonConv, triton_conv
from ssmc.backends.triton.equations import Equations, layer_equations
from ssmc.backends.triton.functions import closure
from ssmc.backends.triton.kernel_op import Kernels
from ssmc.backends.triton.launch import Host
from ssmc.backends.triton.limits import registers
from ssmc.backends.triton.pieces import pieces
from ssmc.backends.triton.tiles import tile_of
from ssmc.codegen.op_text import OpText
from ssmc.ir.expr import Pointwise, walk
from ssmc.ir.plan import PlannedConv
from ssmc.ir.program import Program


def triton_ops(
    ops: Sequence[OpText], convs: Sequence[tuple[PlannedConv, str]]
) -> tuple[tuple[TritonOp, ...], tuple[TritonConv, ...], TritonFile]:
    """The contexts of the ops that have a kernel, of such convolutions (each with its stem), and of what they share."""
    helpers: set[str] = set()
    made = tuple(_op(o, helpers) for o in ops if o.kernel)
    made_convs = tuple(triton_conv(c.program, stem, helpers) for c, stem in convs if c.kernel)
    sums = sorted(h for h in helpers if h.startswith("tl_sum_"))
    lanes = sorted(h for h in helpers if h.startswith("tl_over_lanes_"))
    ranks = [tuple(map(int, h.removeprefix("tl_sum_").split("_of_"))) for h in sums]
    cut = [op for op in made if op.pieces]
    return (
        made,
        made_convs,
        TritonFile(
            helpers=closure(helpers),
            sums=tuple((h, at, rank, _unit(at, rank)) for h, (at, rank) in zip(sums, ranks, strict=True)),
            lane_sums=tuple((h, _unit(0, int(h.rpartition("_")[2]))) for h in lanes),
            passes=any(not op.launch.complex_flag for op in cut),
            complex_passes=any(bool(op.launch.complex_flag) for op in cut),
        ),
    )


def _unit(at: int, rank: int) -> str:
    return "" if rank == 1 else "[" + ", ".join(":" if d == at else "None" for d in range(rank)) + "]"


def _turns(p: Program) -> bool:
    """Whether a phase depends on parameters alone: its digits go with its size, at one token, too."""
    return any(isinstance(n, Pointwise) and n.fn in ("sin", "cos") for x in p.hoisted for n in walk(x.node))


def _op(o: OpText, helpers: set[str]) -> TritonOp:
    tile = tile_of(o.r.channels, o.r.inner, ())
    e = Equations(o, tile)
    q = layer_equations(e)
    k = Kernels(e, q)
    walk, loc = k.walk()
    single = k.single()
    backward, loc_back, seeds, sums, after, finals = k.backward()
    cut = pieces(k)
    fields = k.fields(loc)
    at = {(f.name, 0): f"{x.many}[j + 1]" for f, x in zip(k.p.fields, fields, strict=True)}
    at |= {(f.name, -1): f"{x.many}[j]" for f, x in zip(k.p.fields, fields, strict=True)}
    at |= {
        (f"d:{f.name}", 0): f"tl.where(j < n_j, {x.cotangent}, 0.0)" for f, x in zip(k.p.fields, fields, strict=True)
    }
    gradients = [k.d_leaf(x) for x in k.token_leaves if x.name in e.p.adjoint.gradients]
    op = TritonOp(
        stem=o.stem,
        equations=tuple(e.made),
        lane=tile.letter,
        lanes=tile.lanes,
        block=tile.block,
        step=k.step,
        back=k.back,
        hoist=k.hoist(loc),
        hoist_once=k.hoist(loc, fine=_turns(k.p)),
        fields=fields,
        states=k.states(),
        keeps_before=k.reads_before(),
        assigned=", ".join(f.value for f in fields),
        again=", ".join(f.again for f in fields),
        update_block=k.call(q.update, loc, "j", k.before("{}"), ".to(tl.float32)"),
        update_one=k.call(q.update, loc, "", k.before("{}")),
        update_again=k.call(q.update, loc_back, "j", at),
        results=", ".join(e.name((n, 0)) for n in e.results),
        read_block=k.call(q.read, loc, "j", wide=".to(tl.float32)"),
        read_one=k.call(q.read, loc),
        walk=walk,
        single=single,
        backward=backward,
        seeds=seeds,
        vjp=k.call(q.vjp, loc_back, "j", at),
        parts=", ".join([*(f.back for f in fields), *gradients, *(s.part for s in sums)]),
        sums=sums,
        after=after,
        finals=finals,
        pieces=cut,
        cut_back=cut is not None and cut.backward is not None,
        registers=registers(e, q),
        launch=Host(k).launch(walk, backward),
    )
    helpers |= e.helpers
    return op
