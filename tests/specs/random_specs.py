"""Random specs by type: axes, parameters, typed expressions, one to three states with a chosen access pattern.

Every spec is well typed by construction and labelled with the class each of its recurrences must get. Choices are drawn
in an order that lets hypothesis shrink a failure to a short spec: the first of each list is the plainest.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from hypothesis import strategies as st

HEADER = "layer Random(width, order)"
AXES = "  axis E = width, N = order, M = N, H = 2, P = order, F = H * P"
SIZES = {"E": 3, "N": 2, "M": 2, "H": 2, "P": 2, "F": 4}
ATOMS = {"F": ("H", "P")}
STATE_AXES = (("E",), ("E", "N"), ("F",), ("N", "E"), ("H", "P", "E"), ("F", "N"))
CALM = ("tanh", "sigmoid", "sin", "cos", "erf")
UNARY = (*CALM, "softplus", "silu", "gelu", "gelu_tanh", "log_sigmoid", "elu")
WRAPPED = (
    "exp(-softplus({}))", "square(tanh({}))", "expm1(sin({}))", "log1p(square({}))", "sqrt(1 + square({}))", "rsqrt(1 + square({}))",
    "phi1(sin({}))", "relu({} + 0.37)", "abs({} + 0.41)", "clip({}, -0.71, 0.83)", "-{}", "log(1.3 + square({}))", "sqrt(square({}) + 0.1, clip = 1e-3)",
)  # fmt: skip
BINARY = (
    "{} * {}", "{} + {}", "{} - {}", "{} / (1.5 + square({}))", "max({}, {} + 0.17)", "min({} - 0.13, {})", "where({} > 0.11, {}, 0.5)",
    "sigmoid({}) ** (1 + sigmoid({}))", "re(complex({}, 1) * complex(0.3, {}))", "abs(complex(0.7 + square({}), {}))",
)  # fmt: skip


def atoms(axes):
    """A composite axis is its factors."""
    return tuple(a for axis in axes for a in ATOMS.get(axis, (axis,)))


@dataclass
class Spec:
    """The text, the classes its recurrences must get (by the states of each), its inputs, and whether it looks
    ahead."""

    text: str = ""
    classes: dict[tuple[str, ...], str] = field(default_factory=dict)
    inputs: dict[str, tuple[str, ...]] = field(default_factory=dict)
    ahead: bool = False


class Writer:
    """Writes one spec, drawing every choice."""

    def __init__(self, draw):
        self.draw, self.lines, self.spec = draw, [], Spec()
        self.values: dict[str, tuple[str, ...]] = {}  # what expressions may name, and on which atoms
        self.starts: dict[str, str] = {}  # what each value starts from, where its previous token is read
        self.tokens: set[str] = set()  # those that change in time
        self.count = 0

    def pick(self, options):
        return self.draw(st.sampled_from(list(options)))

    def chance(self, of=3):
        return self.draw(st.integers(0, of - 1)) == of - 1

    def name(self, stem):
        self.count += 1
        return f"{stem}{self.count}"

    def say(self, line):
        self.lines.append(f"  {line}")

    # --- declarations -------------------------------------------------------------------------------------------------

    def declare(self):
        for name, axes in (("u", ("E",)), ("v", ("N",)), ("x", ("F",)), ("r", ()), ("w", ("E", "N"))):
            if name == "u" or self.chance():
                self.say(f"input {name}{_brackets(axes)}")
                self.spec.inputs[name] = axes
                self.keep(name, axes, token=True)
        for axes in (("E",), ("N",), ("F",), (), ("E", "N"), ("N", "E")):
            if self.chance(2):
                name = self.name("p")
                self.say(f"param {name}{_brackets(axes)} = normal(0, 1)")
                self.keep(name, axes)
        if self.chance():
            self.say("linear proj(u -> k[N], q[F, N], g[E], bias)")
            for name, axes in (("k", ("N",)), ("q", ("F", "N")), ("g", ("E",))):
                self.keep(name, axes, token=True)
        if self.chance(4):
            self.say("conv conv1d(tanh(u), width = 3, bias)")
            self.keep("conv1d", ("E",), token=True)

    def keep(self, name, axes, token=False):
        self.values[name] = atoms(axes)
        if token:
            self.tokens.add(name)

    # --- expressions --------------------------------------------------------------------------------------------------

    def leaf(self, axes):
        names = [n for n, a in self.values.items() if set(a) <= set(axes)]
        others = ["0.6", *(f"(0.2 * index({a}))" for a in axes)]
        if names and not self.chance(5):
            name = self.pick(names)
            if name in self.tokens and self.chance(6):
                return self.pick((self.before(name), f"prev({self.before(name)})"))
            return name
        return self.pick(others)

    def timeless(self, axes):
        """A value known before the first token."""
        names = [n for n, a in self.values.items() if n not in self.tokens and set(a) <= set(axes)]
        return self.pick(names) if names else "0.4"

    def before(self, name):
        """A value at the token before; it starts from one value wherever it is read."""
        if name not in self.starts:
            self.starts[name] = self.pick(("", "", ", 0.3"))
        return f"prev({name}{self.starts[name]})"

    def expr(self, axes, depth=2):
        """A real expression whose axes are among `axes`."""
        if depth == 0:
            return self.leaf(axes)
        kind = self.pick(("leaf", "unary", "binary", "binary", "wrapped", "reduce", "renamed", "time"))
        if kind == "unary":
            return f"{self.pick(UNARY)}({self.expr(axes, depth - 1)})"
        if kind == "wrapped":
            return f"({self.pick(WRAPPED).format('(' + self.expr(axes, depth - 1) + ')')})"
        if kind == "binary":
            a, b = self.expr(axes, depth - 1), self.expr(axes, depth - 1)
            return "(" + self.pick(BINARY).format(f"({a})", f"({b})") + ")"
        if kind == "reduce":
            free = [a for a in ("E", "N", "H", "P") if a not in axes]
            over = [n for n, a in self.values.items() if set(a) & set(free)]
            if over:
                chosen = self.pick(over)
                gone = tuple(a for a in self.values[chosen] if a not in axes)
                inside = (*axes, *gone)
                other = self.expr(inside, depth - 1)
                how = self.pick(("sum", "sum", "mean", "max"))
                body = f"({chosen} * tanh({other}))" if how != "max" else f"{chosen} + 0.1 * ({other})"
                return f"{how}[{', '.join(gone)}]({body})"
            if axes:
                return f"{self.pick(('rms', 'softmax', 'l2norm', 'layernorm'))}[{axes[0]}]({self._with(axes[:1], axes, depth)})"
        if kind == "renamed":
            pairs = [(o, n) for o, n in (("N", "M"), ("N", "P"), ("P", "N")) if n in axes and o not in axes]
            if pairs:
                old, new = self.pick(pairs)
                return f"({self._with((old,), tuple(old if a == new else a for a in axes), depth)})[{old} as {new}]"
        if kind == "time" and self.chance(2):
            return self.pick(("where(start, 0.7, 0.2)", "exp(-0.1 * t)"))
        return self.leaf(axes)

    def _with(self, need, axes, depth):
        """An expression that certainly has the axes `need`."""
        body = self.expr(axes, depth - 1)
        return f"({body} + " + " + ".join(f"0.1 * index({a})" for a in need) + ")"

    def equation(self):
        params = [n for n in self.values if n not in self.tokens]
        if params and self.chance(4):
            source, name = self.pick(params), self.name("c")
            self.say(f"{name} = cos({source}) - 0.2")
            self.values[name] = self.values[source]
        name, axes = self.name("y"), self.pick((("E",), ("E", "N"), ("F",), ("N",)))
        full = " * ".join(f"cos(index({a}))" for a in atoms(axes)) + " * cos(0.1 * t)"
        self.say(f"{name}{_brackets(axes)} = {self.expr(atoms(axes))} + {full}")
        self.keep(name, axes, token=True)

    # --- states -----------------------------------------------------------------------------------------------------

    def state(self):
        kind = self.pick(
            (
                "affine",
                "affine",
                "nonlinear",
                "complex",
                "continuous",
                "complex ode",
                "coupled",
                "dense",
                "renamed",
                "ahead",
                "carried",
                "outer",
            )
        )
        axes = self.pick(STATE_AXES)
        if kind in ("dense", "renamed"):
            axes = self.pick((("N",), ("E", "N")) if kind == "dense" else (("N", "P"), ("N", "P", "E")))
        name, on = self.name("s"), atoms(axes)
        self.starts[name] = ""
        head = f"state {name}{_brackets(axes)} allow unstable:"
        a, b = self.expr(on), self.expr(on)
        letter = "D"
        if kind == "affine":
            decay = self.pick((f"sigmoid({a})", f"tanh({a})", f"exp(-softplus({a}))", "0.9"))
            self.say(f"{head} {name} = {decay} * prev({name}) + {b}")
        elif kind == "outer":
            self.say(f"{head} {name} = sigmoid({a}) * prev({name}) + ({b}) * (1 - sigmoid({a}))")
        elif kind == "carried":
            self.starts[name] = self.pick((", 0.5", ", 0", f", tanh({self.timeless(on)})", f", {self.timeless(on)}"))
            later = f"0.8 * {self.before(name)} + {self.leaf(on)}"
            self.say(f"{head} {name} = " + self.pick((later, f"where(start, {b}, {later})")))
        elif kind == "ahead":
            self.spec.ahead = True
            self.say(f"{head} {name} = tanh({a}) * next({name}) + {b}")
        elif kind == "nonlinear":
            letter = "P"
            c = self.expr(on, 1)
            self.say(
                head + f" {name} = "
                + self.pick((
                    f"tanh((0.4 + 0.2 * tanh({a})) * prev({name}) + {b})",
                    f"sigmoid({a}) * prev({name}) + (1 - sigmoid({a})) * tanh(prev({name}) * (0.4 + 0.2 * tanh({c})) + {b})",
                    f"max(0.9 * prev({name}) + {a}, {b} - 0.19)",
                    f"0.5 * square(tanh(prev({name}))) + {b}",
                ))
            )  # fmt: skip
        elif kind == "continuous":
            by = self.pick(("by zoh", "by euler", "by bilinear", "by backward_euler", "by gbt(alpha = 0.3)"))
            self.say(f"{head} {name}' = -softplus({a}) * {name} + {b} {by}, step 0.1 + 0.2 * sigmoid({self.leaf(on)})")
        elif kind in ("complex", "complex ode"):
            letter = "Dc"
            c = self.leaf(on)
            if kind == "complex":
                self.say(f"{head} {name} = exp(complex(-softplus({a}), {c})) * prev({name}) + complex({b}, {c})")
            else:
                by = self.pick(("zoh", "bilinear"))
                self.say(f"{head} {name}' = complex(-0.1 - softplus({a}), {c}) * {name} + ({b}) by {by}, step 0.2")
        elif kind == "coupled":
            letter, other = "P", self.name("s")
            self.starts[other] = ""
            self.say(f"{head} {name} = 0.6 * prev({name}) + tanh({a}) * prev({other}) + {b}")
            last = self.pick((f"prev({name})", name))
            self.say(f"state {other}{_brackets(axes)} allow unstable: {other} = sin({last}) - 0.5 * prev({other})")
            self.spec.classes[name, other] = letter
            self.keep(other, axes, token=True)
        elif kind == "dense":
            letter, weight = "X", self.name("p")
            self.say(f"param {weight}[N, M] = normal(0, 0.5)")
            mixed = f"sum[M]({weight} * prev({name})[N as M])"
            self.say(
                f"{head} {name} = "
                + self.pick(
                    (f"tanh({mixed} + {b})", f"0.5 * prev({name}) + {mixed} + {b}", f"{b} + softmax[N](prev({name}))")
                )
            )
        elif kind == "renamed":
            letter = "X"
            self.say(f"{head} {name} = 0.7 * prev({name})[N as P, P as N] + {b}")
        if kind != "coupled":
            self.spec.classes[name,] = letter
        self.read(name, axes, letter == "Dc")

    def read(self, name, axes, is_complex):
        """A value made of the state: itself, a local read, or a dense one."""
        on = atoms(axes)
        if is_complex:
            real = self.name("y")
            c = self.expr(on, 1)
            form = self.pick(
                ("re({})", "im({})", "re({} * conj({}))", "abs({} + 2)", "re({} * complex(0.5, " + c + "))")
            )
            self.say(f"{real}{_brackets(axes)} = {form.replace('{}', name)}")
            self.keep(real, axes, token=True)
            return
        self.keep(name, axes, token=True)
        if len(on) > 1 and self.chance(2):
            gone = self.pick(on)
            left = tuple(a for a in on if a != gone)
            y = self.name("y")
            self.say(
                f"{y}{_brackets(left)} = sum[{gone}]({name} * ({self.expr(on, 1)}))"
                + self.pick(("", f" + {self.expr(left, 1)}"))
            )
            self.keep(y, left, token=True)
        if self.chance(5):
            y = self.name("y")
            self.say(f"{y} = {self.before(name)} * 0.5")
            self.keep(y, axes, token=True)

    # --- the whole --------------------------------------------------------------------------------------------------

    def write(self):
        self.lines += [HEADER, AXES]
        self.declare()
        if self.chance(2):
            self.equation()
        for _ in range(self.draw(st.integers(1, 3))):
            self.state()
            if self.chance(4):
                self.equation()
        axes = self.pick((("E",), ("E", "N"), ("F",)))
        made = [n for n in self.values if n in self.tokens and n not in self.spec.inputs]
        last = ["u", *made]
        terms = [f"{self.pick(('', 'tanh', 'silu'))}({self._down(n, atoms(axes))})" for n in last]
        full = " + ".join(f"0.1 * index({a})" for a in atoms(axes))
        self.say(f"out{_brackets(axes)} = {' + '.join(terms)} + {full}")
        if self.chance(3):
            self.say("linear out_proj(out -> [width])")
            self.say("return out_proj")
        else:
            self.say("return " + self.pick(("out", "out * 2")))
        self.spec.text = "\n".join(self.lines) + "\n"
        return self.spec

    def _down(self, name, axes):
        """A value brought to axes among those given."""
        gone = [a for a in self.values[name] if a not in axes]
        return f"sum[{', '.join(gone)}]({name})" if gone else name


def _brackets(axes):
    return f"[{', '.join(axes)}]" if axes else ""


@st.composite
def specs(draw):
    """A random spec."""
    return Writer(draw).write()
