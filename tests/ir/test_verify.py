"""Invariants are seen to fail: a level broken on purpose is refused, with the value's name and the law it breaks."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from ssmc.diagnostics.span import Source
from ssmc.driver import Compilation, run
from ssmc.ir import build as b
from ssmc.ir.expr import intern
from ssmc.ir.layer import Layer, Time
from ssmc.ir.program import Adjoint, Let, Program
from ssmc.ir.regions import Partition, Recurrence
from ssmc.ir.verify import InternalError, verify, verify_layer, verify_partition, verify_program
from ssmc.ir.verify.nodes import check_node

MAMBA = (Path(__file__).parents[2] / "specs" / "mamba.ssm").read_text()


@pytest.fixture(scope="module")
def done() -> Compilation:
    return run(Source("mamba.ssm", MAMBA), verify=False)


def test_a_sound_compilation_passes(done: Compilation) -> None:
    verify(done)


def test_nodes() -> None:
    x, y = b.ref("x", ("E",), "real"), b.ref("y", ("N",), "real")
    good = b.mul(x, y)
    check_node(good, "`z`")
    for broken, law in (
        (intern(replace(good, axes=("N", "E"))), "has the axes"),
        (intern(replace(good, dtype="complex")), "is real as its arguments imply"),
        (intern(replace(good, fn="nothing")), "table of functions"),
        (intern(replace(good, args=(x,))), "2 arguments"),
        (intern(replace(b.reduce("sum", ("E",), x), over=("K",))), "removes axes its body has"),
        (b.apply("where", x, y, y), "chooses by a condition"),
        (b.draw("normal", (), ("E",), "real", 1), "initial values only"),
        (intern(replace(x, offset=-2)), "a neighbour"),
    ):
        with pytest.raises(InternalError, match=f"`z`: .*{law}"):
            check_node(broken, "`z`")


def _value(layer: Layer, name: str, **changes: object) -> Layer:
    return replace(layer, values={**layer.values, name: replace(layer.values[name], **changes)})  # type: ignore[arg-type]


LAYERS: dict[str, Callable[[Layer], Layer]] = {
    "`dt`: it is known at TOKEN": lambda x: replace(x, times={**x.times, "dt": Time.PARAMETER}),
    "`nowhere`: the result is a value": lambda x: replace(x, result="nowhere"),
    "`dt`: `lost`, which it reads, is bound": lambda x: _value(x, "dt", node=b.ref("lost", ("E",), "real")),
    "`dt`: `B` is read on the axes": lambda x: _value(x, "dt", node=b.ref("B", ("E",), "real")),
    "`dt`: its expression has no axes beside": lambda x: _value(x, "dt", node=b.ref("B", ("N",), "real")),
    "`dt`: no value depends on itself": lambda x: _value(x, "dt", node=b.ref("dt", ("E",), "real")),
    "`D`: a name is bound once": lambda x: replace(x, inputs={**x.inputs, "D": x.inputs["u"]}),
}


@pytest.mark.parametrize("law", LAYERS)
def test_layers(law: str, done: Compilation) -> None:
    assert done.layer is not None
    with pytest.raises(InternalError) as error:
        verify_layer(LAYERS[law](done.layer))
    assert law in str(error.value)


def _op(p: Partition, change: Callable[[Recurrence], Recurrence]) -> Partition:
    return replace(p, recurrences={n: change(r) for n, r in p.recurrences.items()})


def _move(r: Recurrence, source: str, target: str) -> Recurrence:
    moved = getattr(r, source)[-1]
    return replace(r, **{source: getattr(r, source)[:-1], target: (moved, *getattr(r, target))})


PARTITIONS: dict[str, Callable[[Partition], Partition]] = {
    "was written by a region before it": lambda p: replace(p, regions=p.regions[::-1]),
    "is written by one region": lambda p: replace(p, regions=(*p.regions, p.regions[-1])),
    "the result is written": lambda p: replace(p, regions=p.regions[:-1]),
    "a name is bound once": lambda p: replace(
        p, definitions={**p.definitions, "h": p.recurrences["h"].definitions["h"]}
    ),
    "exactly if the result or a module reads it": lambda p: _op(p, lambda r: replace(r, hoisted=())),
    "the epilogue reads what is inside the op": lambda p: _op(p, lambda r: replace(r, epilogue=r.epilogue[::-1])),
    "what is hoisted is known before time starts": lambda p: _op(p, lambda r: _move(r, "prologue", "hoisted")),
    "the prologue reads no state": lambda p: _op(p, lambda r: _move(r, "update", "prologue")),
    "depends on its own past": lambda p: _op(p, lambda r: _move(r, "prologue", "update")),
    "is read as it is carried": lambda p: _op(p, lambda r: replace(r, reverse=True)),
    "an op writes its results": lambda p: _op(p, lambda r: replace(r, results=())),
    "an op reads its operands": lambda p: _op(p, lambda r: replace(r, operands=r.operands[1:])),
    "channels and inner axes": lambda p: _op(p, lambda r: replace(r, inner=())),
    "operand `D`: an operand streams if": lambda p: _op(
        p, lambda r: replace(r, operands=tuple(replace(o, token=True) if o.name == "D" else o for o in r.operands))
    ),
}


@pytest.mark.parametrize("law", PARTITIONS)
def test_partitions(law: str, done: Compilation) -> None:
    assert done.partition is not None
    with pytest.raises(InternalError) as error:
        verify_partition(PARTITIONS[law](done.partition))
    assert law in str(error.value)


def _adjoint(p: Program, **changes: object) -> Program:
    return replace(p, adjoint=replace(p.adjoint, **changes))  # type: ignore[arg-type]


def _first(lets: tuple[Let, ...], node: object) -> tuple[Let, ...]:
    return (replace(lets[0], node=node), *lets[1:])  # type: ignore[arg-type]


def _without(a: Adjoint) -> dict[str, str]:
    return {**a.gradients, next(iter(a.gradients)): "d:nothing"}


PROGRAMS: dict[str, Callable[[Program], Program]] = {
    "what is hoisted reads no token": lambda p: replace(p, hoisted=_first(p.hoisted, b.ref("x", ("E",), "real"))),
    "the prologue reads no field": lambda p: replace(
        p, prologue=_first(p.prologue, b.reduce("sum", ("N",), b.ref("h", ("E", "N"), "real")))
    ),
    "its expression has no axes beside": lambda p: replace(p, prologue=_first(p.prologue, b.ref("B", ("N",), "real"))),
    "complex values are pairs": lambda p: replace(p, prologue=_first(p.prologue, b.ref("dt_raw", ("E",), "complex"))),
    "a name is bound once": lambda p: replace(p, prologue=(*p.prologue, p.prologue[0])),
    "the update computes every field": lambda p: replace(p, update=()),
    "coefficient times field plus input": lambda p: replace(
        p, update=tuple(replace(u, node=b.mul(b.const(2), u.node)) for u in p.update)
    ),
    "the fields are the parts": lambda p: replace(p, fields=()),
    "starts from the results'": lambda p: _adjoint(
        p, epilogue=_first(p.adjoint.epilogue, b.reduce("sum", ("N",), b.ref("d:h", ("E", "N"), "real")))
    ),
    "is computed where the leaf is known": lambda p: _adjoint(p, gradients=_without(p.adjoint)),
    "the hoisted adjoint reads sums over time": lambda p: _adjoint(p, accumulated=()),
    "what the epilogue wants of a field is computed": lambda p: _adjoint(p, reads={"h": "nothing"}),
    "what the update passes to a field before is computed": lambda p: _adjoint(p, carries={"h": "nothing"}),
}


@pytest.mark.parametrize("law", PROGRAMS)
def test_programs(law: str, done: Compilation) -> None:
    assert done.plan is not None
    with pytest.raises(InternalError) as error:
        verify_program(PROGRAMS[law](done.plan.programs[0].program))
    assert law in str(error.value)
