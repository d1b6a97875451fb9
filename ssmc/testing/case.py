"""One case: a property, a seed, sizes. All its data follow from these, so that a case is a line of text."""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

from ssmc.explain.counts import Sizes, Value
from ssmc.ir.layer import Layer, LayerArg
from ssmc.ir.plan import Plan

LENGTHS = (0, 1, 2, 3, 7, 8, 9, 15, 17, 31, 63, 64, 65, 127, 128, 129)
SCALES = (1.0, 1e-3, 30.0)
SMALL = (1, 2, 3, 4, 6, 8, 12)
Args = Mapping[str, int | float | bool | str]


@dataclass(frozen=True)
class Case:
    """`scale` multiplies what streams in, `weights` the parameters; `args` are the layer's arguments."""

    property: str
    seed: int
    batch: int
    length: int
    scale: float
    weights: float
    args: Args

    def __str__(self) -> str:
        fixed = {"property": self.property.replace(" ", "_"), "seed": self.seed, "batch": self.batch}
        fixed |= {"length": self.length, "scale": f"{self.scale:g}", "weights": f"{self.weights:g}"}
        shown = {k: str(v).lower() if isinstance(v, bool) else v for k, v in self.args.items()}
        return " ".join(f"{k}={v}" for k, v in {**fixed, **shown}.items())


def parse(text: str, layer: Layer) -> Case:
    """The case that `str` wrote. ValueError says what is wrong with it."""
    pairs = dict(item.partition("=")[::2] for item in text.split())
    kinds = {a.name: a.kind for a in layer.args}
    try:
        name = pairs.pop("property").replace("_", " ")
        seed, batch, length = (int(pairs.pop(k)) for k in ("seed", "batch", "length"))
        scale, weights = (float(pairs.pop(k, "1")) for k in ("scale", "weights"))
        args = {k: _read(kinds[k], v) for k, v in pairs.items()}
    except KeyError as missing:
        raise ValueError(f"{missing.args[0]!r} is missing, or no argument of the layer") from None
    return Case(name, seed, batch, length, scale, weights, args)


def _read(kind: str, text: str) -> int | float | bool | str:
    if kind == "bool":
        return text == "true"
    return int(text) if kind == "int" else float(text) if kind == "float" else text


def draw_args(plan: Plan, rng: random.Random) -> Args:
    """Small sizes for which every axis has a whole positive size; what was fixed when compiling stays away."""
    layer = plan.partition.layer
    sizes = Sizes(layer)
    flags = {a.name for a in plan.flags}
    free = [a for a in layer.args if a.fixed is None or a.name in flags]
    for attempt in range(400):
        args = {a.name: v for a in free if (v := _draw(a, rng, attempt)) is not None}
        if _fits(layer, sizes, args):
            return args
    return {a.name: v for a in free if a.default is None and (v := _draw(a, rng, 0)) is not None}


def _draw(a: LayerArg, rng: random.Random, attempt: int) -> int | float | bool | str | None:
    """A value; None leaves the default."""
    if a.kind == "bool":
        return rng.random() < 0.5
    if a.kind == "choice":
        return rng.choice(a.choices)
    if a.kind == "float":
        return None if a.default is not None else round(rng.uniform(0.1, 1.0), 3)
    if a.default is not None and attempt > 200:
        return None
    return rng.choice(SMALL)


def _fits(layer: Layer, sizes: Sizes, given: Args) -> bool:
    args: dict[str, Value] = {}
    for a in layer.args:
        found = given.get(a.name, a.fixed)
        if found is None and a.default is not None:
            value = sizes.compute(a.default, args)
            found = round(value) if a.kind == "int" and value is not None and not isinstance(value, str) else value  # type: ignore[assignment]
        if found is not None:
            args[a.name] = found
    found_sizes = [sizes.compute(axis.size, args) for axis in layer.axes.axes.values()]
    whole = all(not isinstance(v, str | None) and v == int(v) and 1 <= v <= 64 for v in found_sizes)
    widths = [sizes.compute(c.width, args) for c in layer.convs.values()]
    return whole and all(not isinstance(w, str | None) and w >= 1 for w in widths) and _filled(layer, sizes, args)


def _filled(layer: Layer, sizes: Sizes, args: Mapping[str, Value]) -> bool:
    """Whether the parts of every split make up what is split."""
    outputs = {o.name: o.axes for m in layer.modules for o in m.outputs}
    for s in layer.splits.values():
        own = outputs[s.input] if s.input in outputs else (layer.inputs | layer.values | layer.states)[s.input].axes
        parts = [sizes.axes(o.axes[len(own) - 1 :]) for o in s.outputs]
        total = sum(float(v) for v in (sizes.value(p, args) for p in parts) if v is not None)
        if sizes.compute(layer.axes.axes[own[-1]].size, args) != total:
            return False
    return True


def smaller(case: Case) -> Iterator[Case]:
    """Simpler cases, the simplest first."""
    for n in dict.fromkeys((0, 1, 2, 3, case.length // 2, case.length - 1)):
        if 0 <= n < case.length:
            yield replace(case, length=n)
    if case.batch > 1:
        yield replace(case, batch=1)
    if case.scale != 1.0:
        yield replace(case, scale=1.0)
    if case.weights != 1.0:
        yield replace(case, weights=1.0)
    for name, value in case.args.items():
        if isinstance(value, int) and not isinstance(value, bool):
            for n in dict.fromkeys((1, 2, value // 2)):
                if 1 <= n < value:
                    yield replace(case, args={**case.args, name: n})
