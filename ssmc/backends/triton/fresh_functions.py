"""A time-invariant recurrence that begins at zero as small Triton functions, and the complex numbers of its filter.

One stream x enters it and one read r leaves it: r_t = Re sum_s w sum_l a**l x_(t-l), with w the product of the weights
of the stream and of the read. From the cotangent d of r one walk back in time gives all the others, without the states:
with v_t = d_t + a v_(t+1) and its derivative p_t = a p_(t+1) + v_(t+1) the cotangents are

    of x_t: Re sum_s w v_t      of w: conj(sum_t x_t v_t)      of a: conj(w sum_t x_t p_t)

A read of the state before the token sees v and p of the token after.
"""

from __future__ import annotations

from collections.abc import Sequence

from ssmc.backends.triton.equations import Equation, Equations, LayerEquations, Unfit
from ssmc.backends.triton.sections import needed
from ssmc.backends.triton.tiles import SKELETON, Dims, tile_of
from ssmc.codegen.core_text import CoreText
from ssmc.codegen.op_text import OpText
from ssmc.ir.expr import Ref, walk
from ssmc.ir.program import FilterProgram

PARTS = ("re", "im")
WORDS = ("rate", "weight", "state", "slope", "d_rate", "d_weight")
RESERVED = (*SKELETON, "system", "sums", "stream", *(f"{w}_{p}" for w in WORDS for p in PARTS))
Parts = tuple[str | None, str | None]  # a complex number as code; None where a part is zero


class FreshFunctions:
    """Makes the functions of an op; Unfit, if it is none of this kind."""

    def __init__(self, op: OpText, f: FilterProgram) -> None:
        if len(f.streams) != 1 or len(f.reads) != 1 or f.reads[0].cotangent is None:
            raise Unfit("more than one stream or read")
        if not op.r.channels or not op.r.inner:
            raise Unfit("a state without channels, or one number a channel")
        self.core = CoreText(op, f, [f.reads[0].name], "T")
        self.o, self.f, self.stream, self.read = self.core.o, f, f.streams[0], f.reads[0]
        self.tile = tile_of(op.r.channels, op.r.inner, RESERVED)
        self.e = Equations(self.o, self.tile)
        self.complex = self.core.carried.dtype == "complex"
        self.sums = self.core.sums
        self._functions()

    def _functions(self) -> None:
        e, s, f, a, lane = self.e, self.e.s, self.f, self.o.program.adjoint, (0,)
        assert self.read.cotangent is not None
        e.bind([(self.read.name, lane), (self.stream.cotangent, lane)])
        known = {x.name for x in e.p.leaves} | {x.name for x in (*s.hoisted, *s.token)}
        if not set(e.results) <= known | {self.read.name}:
            raise Unfit("a result that is the state")
        outputs = [*(a.gradients[n] for n in self.core.moving()), *self.sums]
        wanted = [self.stream.name, self.read.cotangent, *e.results, *outputs]
        lets = s.slice(wanted)
        if any(0 not in d and d for d in self._dims([*(x.node.axes for x in lets)])):
            raise Unfit("a value of a token along the state's axes")
        early = {n.name for x in lets for n in walk(x.node) if isinstance(n, Ref)} & s.early
        hoisted = [x.name for x in s.hoisted if x.name in early]
        hoist = e.make("filter_hoist", "What tokens meet that no token changes.", needed(s.hoisted, hoisted), hoisted)
        e.bind(zip(hoisted, hoist.dims, strict=True))
        doc = "The coefficient and the weights of the state."
        names = list(dict.fromkeys([*f.coefficient, *self.stream.weights, *self.read.weights]))
        if not set(names) <= {x.name for x in s.hoisted}:
            raise Unfit("a weight without an equation")
        self.system = e.make("filter_system", doc, needed(s.hoisted, names), names, full=True)
        self.enter = self._of_lane("enter", "What goes into the filter.", [self.stream.name])
        leave = self._of_lane("leave", "The results of a token, from its read.", list(e.results))
        self.want = self._of_lane("want", "What results want of the read.", [self.read.cotangent])
        doc = "From the cotangents of results and of what goes into the filter to those of a token."
        back = self._of_lane("back", doc, outputs)
        e.bind((n, lane) for n in self.sums)
        e.bind((n, self._given(n)) for n in f.given)
        parameters = [x.name for x in e.p.leaves if not x.operand.token]
        given = [a.gradients[x] for x in parameters if x in a.gradients]
        doc = "From the sums over time to the cotangents of parameters."
        vjp = e.make("filter_vjp", doc, needed([*s.hoisted, *s.hoisted_back], given), given)
        held = [n for n in (*parameters, *hoisted) if n in early or (n, 0) in hoist.inputs]
        tokens = [x.name for x in e.p.leaves if x.operand.token]
        self.q = LayerEquations(
            hoist, self.enter, self.enter, leave, back, vjp, None, None, tuple(held), tuple(tokens), tuple(parameters),
            (),
        )  # fmt: skip
        self.reads_again = any((self.read.name, 0) in x.inputs for x in (self.want, back))

    def _dims(self, axes: Sequence[Sequence[str]]) -> list[Dims]:
        return [self.tile.dims(x) for x in axes]

    def _of_lane(self, what: str, doc: str, outputs: list[str]) -> Equation:
        """A function of values that have no axis of the state."""
        made = self.e.make(f"filter_{what}", doc, self.e.s.slice(outputs), outputs)
        if any(set(d) - {0} for d in (*made.dims, *(self.e.dims(n) for n, at in made.inputs if at == 0))):
            raise Unfit("a value of a token along the state's axes")
        if any(d != (0,) for n, d in zip(made.outputs, made.dims, strict=True) if n in self.sums):
            raise Unfit("a sum over tokens of what no channel has")
        return made

    def _given(self, name: str) -> Dims:
        """The dimensions of a cotangent that the walk back gives: a lane holds its own part of it."""
        own = self.tile.dims(self.core.let_axes(name.removeprefix("d:")))
        return own if 0 in own else (0, *own)

    # --- complex numbers as code --------------------------------------------------------------------------------------

    def parts(self, names: Sequence[str], turned: int = 0) -> Parts:
        """A weight, times i or -i if it is turned."""
        own = [self.e.name((n, 0)) for n in names]
        return turn((own[0], own[1] if len(own) > 1 else None), turned)

    @property
    def rate(self) -> Parts:
        """The coefficient."""
        return self.parts(self.f.coefficient)

    @property
    def into(self) -> Parts:
        """The stream's weight."""
        return self.parts(self.stream.weights, 1 if self.stream.turned else 0)

    @property
    def out_of(self) -> Parts:
        """The read's weight."""
        return self.parts(self.read.weights, -1 if self.read.turned else 0)

    def cotangents(self) -> list[str]:
        """The lines that make the cotangents of coefficient and weights of the sums over time."""
        sums: Parts = ("b_d_weight_re", "b_d_weight_im" if self.complex else None)
        slope: Parts = ("b_d_rate_re", "b_d_rate_im" if self.complex else None)
        d_weight = conjugate(sums)
        found: dict[str, list[str]] = {}
        for names, value in (
            (self.f.coefficient, conjugate(times(times(self.into, self.out_of), slope))),
            (self.stream.weights, turn(times(conjugate(self.out_of), d_weight), -1 if self.stream.turned else 0)),
            (self.read.weights, turn(times(conjugate(self.into), d_weight), 1 if self.read.turned else 0)),
        ):
            for n, code in zip(names, value, strict=False):
                found.setdefault(f"d:{n}", []).extend([] if code is None else [code])
        taken = {n for n, at in self.q.hoist_vjp.inputs if at == 0}
        return [f"{self.e.name((n, 0))} = {self._total(n, codes)}" for n, codes in found.items() if n in taken]

    def _total(self, name: str, codes: list[str]) -> str:
        code = " + ".join(codes) or f"tl.zeros({self.tile.shape(self.tile.full)}, tl.float32)"
        return self.summed(code, keep=self.e.dims(name))

    def summed(self, code: str, keep: Dims = (0,)) -> str:
        """The sum over the state's axes, or over those that are not kept."""
        dims = self.tile.full
        for d in reversed(self.tile.full):
            if d not in keep:
                helper = f"tl_sum_{dims.index(d)}_of_{len(dims)}"
                self.e.helpers.add(helper)
                code = f"{helper}({code}, {self.tile.size(self.tile.inner[d - 1])})"
                dims = tuple(x for x in dims if x != d)
        return code


def times(x: Parts, y: Parts) -> Parts:
    """The product of two numbers."""

    def joined(first: tuple[str | None, str | None], second: tuple[str | None, str | None], sign: str) -> str | None:
        terms = [f"{_tight(p)} * {_tight(q)}" if p and q else None for p, q in (first, second)]
        if terms[0] is None:
            return None if terms[1] is None else f"-({terms[1]})" if sign == "-" else terms[1]
        return terms[0] if terms[1] is None else f"{terms[0]} {sign} {terms[1]}"

    return joined((x[0], y[0]), (x[1], y[1]), "-"), joined((x[0], y[1]), (x[1], y[0]), "+")


def conjugate(x: Parts) -> Parts:
    """The conjugate of a number."""
    return x[0], _minus(x[1])


def turn(x: Parts, by: int) -> Parts:
    """A number times i or -i."""
    if by == 0:
        return x
    return (_minus(x[1]), x[0]) if by > 0 else (x[1], _minus(x[0]))


def _minus(code: str | None) -> str | None:
    if code is None or (code.startswith("-") and code[1:].isidentifier()):
        return code and code[1:]
    return f"-{_tight(code)}"


def _tight(code: str) -> str:
    return code if code.lstrip("-").isidentifier() else f"({code})"
