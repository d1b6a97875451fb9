"""The search of `ssmc compile --tune`: launch configurations near the one that the file would choose, timed on this
device.

One field of a configuration is changed at a time, the others kept at the best found so far, until nothing is faster. A
configuration that does not compile, does not fit, or whose results are wrong has no time. The result is data; the file
looks it up and has its own choice for all other sizes.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from types import ModuleType
from typing import Any, TypeAlias

import torch
import triton  # noqa: F401

from ssmc.codegen.emit import emit
from ssmc.ir.plan import Plan, Tuned
from ssmc.measuring.bench import Where
from ssmc.measuring.calls import Call, Shape, calls
from ssmc.measuring.clock import Machine, Run, in_turns
from ssmc.measuring.contenders import Sequence, Step, op_sequence, op_step
from ssmc.measuring.report import device_name
from ssmc.measuring.truth import Truth, truth
from ssmc.testing.generated import Generated, load

Config: TypeAlias = tuple[int | bool, ...]
Clock: TypeAlias = Callable[[Run], float]
FASTER = 0.98  # of the best time so far: what is within two percent is not faster
_ROUNDS = 2
# kernels take a block of at most eight tokens apart
_MOST = {"lanes": 128, "tokens": 8, "num_warps": 16, "halves": 2, "stages": 16}
_LAUNCHES = {"forward": "_{}_triton", "backward": "_{}_triton_backward", "step": "_{}_triton_step"}
_CUT = ("pieces", "parts")


@dataclass(frozen=True)
class Found:
    """What a search came to: times in ms of the choice without it and of the best, and how many were tried."""

    tuned: Tuned
    before: float
    after: float
    tried: int


def search(start: Config, near: Callable[[Config], list[Config]], time: Callable[[Config], float | None]) -> Config:
    """The fastest configuration that steps to near ones lead to; `time` gives None for what cannot be used. The start
    if that cannot."""
    best, least = start, time(start)
    for _ in range(_ROUNDS):
        before = best
        for config in near(best):
            taken = time(config) if least is not None else None
            if taken is not None and least is not None and taken < FASTER * least:
                best, least = config, taken
        if best == before:
            break
    return best


def neighbours(names: tuple[str, ...], config: Config, matter: set[str], length: int) -> list[Config]:
    """The configurations that differ in one of the fields that matter; the fields have names."""
    out = []
    for i, name in enumerate(names):
        if name in matter:
            out += [(*config[:i], v, *config[i + 1 :]) for v in _values(name, config[i], length) if v != config[i]]
    return out


def _values(name: str, value: int | bool, length: int) -> list[int | bool]:
    if name == "registers":
        return [255, 168, 128]
    if name in _CUT:
        return sorted({1, *(n for n in (value // 2, value * 2, value * 4) if 1 <= n <= max(1, length // 32))})
    return [n for n in (value // 4, value // 2, value * 2, value * 4) if 1 <= n <= _MOST[name]]


def has_gpu() -> bool:
    """Whether there is a device to measure on. The import of this module fails without triton."""
    return bool(torch.cuda.is_available())


def tuned(plan: Plan, shapes: list[Shape], dtype: str, say: Callable[[str], None]) -> tuple[Tuned, ...]:
    """What is fastest on the present GPU for the ops of a plan at some shapes, for what streams in a dtype."""
    where = Where("cuda", getattr(torch, dtype), "triton", 0.1, Machine(1.0, 1.0))
    warnings.simplefilter("ignore")
    generated = load(emit(plan), plan)
    return tuple(f.tuned for s in shapes for f in tune(generated, s, where, device_name("cuda"), say=say))


def tune(
    g: Generated,
    shape: Shape,
    where: Where,
    device: str,
    clock: Clock | None = None,
    say: Callable[[str], None] = print,
) -> list[Found]:
    """The fastest configurations of the ops of a file at a shape. The file is one that looks them up; `device` is
    what it calls the device."""
    run_for = clock or (lambda run: in_turns({"it": run}, where.seconds, where.device)["it"].median)
    out: list[Found] = []
    for call in calls(g, shape, where.dtype, where.device):
        known = truth(call)
        given: dict[str, Config] = {}
        for what in _LAUNCHES:
            found = _of(call, known, what, given, where, device, run_for)
            if found is not None:
                given[what] = found.tuned.config
                out.append(found)
                say(f"{found.tuned.op}, {what}: {found.before:.3g} to {found.after:.3g} ms, {found.tried} tried")
    return out


def _of(
    call: Call, known: Truth, what: str, given: Mapping[str, Config], where: Where, device: str, clock: Clock
) -> Found | None:
    """The search for one thing; None where no walk is launched for it."""
    module, stem = call.generated.module, call.op.name.removesuffix("_op")
    made = _made(call, what, where.backend)
    if made is None:
        return None
    asked: dict[str, tuple[Config, tuple[int, ...]]] = {}
    with _configured(module, stem, given, asked):
        _once(made, what)
    if what not in asked:
        return None
    start, sizes = asked[what]
    names = module._Config._fields
    launch = getattr(module, _LAUNCHES[what].format(stem))
    matter = set(launch.__code__.co_names) & set(names)  # what it reads of a configuration
    matter -= {"wave"} if hasattr(module, f"{stem}_piece_kernel") else {"wave", "pieces"}
    times: dict[Config, float | None] = {}

    def time(config: Config) -> float | None:
        if config not in times:
            with _configured(module, stem, {**given, what: config}, {}):
                times[config] = _time(call, made, what, known, where, clock)
        return times[config]

    best = search(start, lambda c: neighbours(names, c, matter, call.shape.length), time)
    first = times[start]
    if first is None:
        return None
    rows, length, lanes, inner = sizes
    return Found(Tuned(device, stem, what, rows, length, lanes, inner, best), first, times[best] or first, len(times))


def _made(call: Call, what: str, backend: str) -> Sequence | Step | None:
    if what != "step":
        return op_sequence(call, backend)
    return op_step(call, backend) if hasattr(call.generated.module, f"_{call.op.name[:-3]}_triton_step") else None


def _run(made: Sequence | Step, what: str) -> Run:
    if isinstance(made, Step):
        return made.fresh()
    return made.forward() if what == "forward" else made.both()


def _once(made: Sequence | Step, what: str) -> None:
    _run(made, what)()


def _time(call: Call, made: Sequence | Step, what: str, known: Truth, where: Where, clock: Clock) -> float | None:
    """The time under the configuration in force, or None: it may not compile, not fit, or compute something else."""
    try:
        if max(made.errors(call, known, where.dtype).values()) > 1.0:
            return None
        return clock(_run(made, what))
    except Exception:  # whatever a compiler or a driver says, this configuration is none
        return None


@contextmanager
def _configured(
    module: ModuleType, stem: str, given: Mapping[str, Config], asked: dict[str, tuple[Config, tuple[int, ...]]]
) -> Iterator[None]:
    """Within this the op is launched as given, and what it asks for is noted, with the file's own choice."""
    before = module._tuned

    def tuned(config: Any, device: torch.device, op: str, what: str, *sizes: int) -> Any:
        if op != stem:
            return before(config, device, op, what, *sizes)
        asked[what] = (tuple(config), sizes)
        return type(config)(*given[what]) if what in given else config

    module._tuned = tuned  # type: ignore[attr-defined]
    try:
        yield
    finally:
        module._tuned = before  # type: ignore[attr-defined]
