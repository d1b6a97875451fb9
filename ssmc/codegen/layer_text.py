"""The layer's module as text: what it owns, how it is initialised, and forward line by line."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from ssmc.analysis.norms import find_norms
from ssmc.codegen.meetings import Meeting
from ssmc.codegen.names import Names
from ssmc.codegen.op_text import OpText, base_name
from ssmc.codegen.python_printer import PythonPrinter
from ssmc.codegen.torch_printer import Text, TorchPrinter
from ssmc.diagnostics.span import Span
from ssmc.ir import build as b
from ssmc.ir.expr import Arg, Const, Draw, Node, Pointwise, Reduce, Ref, refs, walk
from ssmc.ir.keys import MEMBERS
from ssmc.ir.layer import Conv, LayerArg, Linear, Param, Time
from ssmc.ir.linear import factors
from ssmc.ir.regions import Partition


@dataclass(frozen=True, slots=True)
class Owned:
    """Something the layer owns: the path it is registered under, the code that makes it, and its line in the spec."""

    scope: str
    name: str
    path: str
    code: str
    comment: str


class LayerText:
    """Knows the names of the layer's class and prints its expressions."""

    def __init__(
        self, partition: Partition, ops: Sequence[OpText], convs: Mapping[str, str], meetings: Mapping[str, Meeting]
    ) -> None:
        self.partition, self.layer, self.ops = partition, partition.layer, {o.r.name: o for o in ops}
        layer = self.layer
        self.spec = base_name(layer.source)
        owned = layer.owned
        self.attributes = Names((*MEMBERS, *(x.key.split(".")[0] for x in owned)))
        self.locals = Names(("T", "dtype", "of", "of_param", *(o.op for o in ops)))
        self.arg_names = {a.name: self.attributes(a.name) for a in layer.args}
        for name in layer.inputs:
            self.locals(name)
        self.convs, self.meetings = convs, meetings
        self.norms = find_norms(partition)
        self.init_python = PythonPrinter(
            lambda a: self.arg_names[a], lambda x: self.size_attribute(x).removeprefix("self.")
        )
        self.python = PythonPrinter(lambda a: f"self.{self.arg_names[a]}", self.size_attribute)

    # --- names ------------------------------------------------------------------------------------------------------

    def size_attribute(self, axis: str) -> str:
        """`self.E`; the axis of an argument is the argument."""
        return f"self.{self.attributes(axis)}"

    def path(self, key: str) -> str:
        """The attribute a state_dict key leads to, from `self`."""
        return f"self.{key}"

    def comment(self, span: Span) -> str:
        """`mamba.ssm:17`."""
        return f"{self.spec}:{self.layer.source.line_of(span)}"

    def shape(self, axes: Sequence[str]) -> str:
        """Sizes as code, comma after comma."""
        return ", ".join(self.size_attribute(a) for a in axes)

    # --- construction -----------------------------------------------------------------------------------------------

    def argument(self, a: LayerArg) -> str:
        """A parameter of `__init__`."""
        name = self.arg_names[a.name]
        if a.kind == "choice":
            return f'{name}="{a.fixed or a.choices[0]}"'
        if a.kind == "bool":
            return f"{name}={a.fixed if a.fixed is not None else self.init_python(a.default) if a.default else False}"
        if a.default is None:
            return name if a.fixed is None else f"{name}={a.fixed}"
        if any(isinstance(n, Arg) for n in walk(a.default)):
            return f"{name}=None"
        return f"{name}={a.fixed if a.fixed is not None else self.init_python(a.default)}"

    def sizes(self) -> tuple[str, ...]:
        """`self.E = expand * d_model`, for every axis that is no argument."""
        out = []
        for name, axis in self.layer.axes.axes.items():
            if name not in self.arg_names:
                out.append(f"{self.size_attribute(name)} = {self.python(axis.size)}")
        return tuple(out)

    def owned(self) -> tuple[Owned, ...]:
        """Linears, convolutions and parameters, in the order of the spec."""
        layer = self.layer
        items = sorted(layer.owned, key=lambda x: x.span.start)
        out = []
        for item in items:
            *scope, name = item.key.split(".")
            code = (
                self._linear(item)
                if isinstance(item, Linear)
                else self._conv(item)
                if isinstance(item, Conv)
                else self._param(item)
            )
            out.append(Owned(".".join(scope), name, self.path(item.key), code, self.comment(item.span)))
        return tuple(out)

    def _bias(self, bias: bool | str) -> str:
        return f"self.{self.arg_names[bias]}" if isinstance(bias, str) else str(bias)

    def dims_of(self, name: str) -> tuple[str, ...]:
        """The tensor dimensions of any value of the layer."""
        layer, p = self.layer, self.partition
        if name in layer.inputs:
            return layer.inputs[name].axes
        if name in layer.params:
            return layer.params[name].axes
        if name in p.definitions:
            return p.definitions[name].axes
        for o in self.ops.values():
            if name in o.r.definitions:
                return o.r.definitions[name].axes
        return next((out.axes for m in layer.modules for out in m.outputs if out.name == name), ())

    def count(self, axes: Sequence[str]) -> str:
        """The number of entries on axes, as code."""
        return " * ".join(self.size_attribute(a) for a in axes) or "1"

    def _linear(self, m: Linear) -> str:
        groups: dict[str, int] = {}
        for out in m.outputs:
            count = self.count(out.axes)
            groups[count] = groups.get(count, 0) + 1
        width = " + ".join(c if n == 1 else f"{n} * {c}" for c, n in groups.items())
        return f"nn.Linear({self.count(self.dims_of(m.input))}, {width}, bias={self._bias(m.bias)}, **of)"

    def _conv(self, c: Conv) -> str:
        width, channels = self.python(c.width), self.count(c.output.axes)
        shape = f"{channels}, {channels}, {width}, groups={channels}, padding={width} - 1"
        return f"nn.Conv1d({shape}, bias={self._bias(c.bias)}, **of)"

    def _param(self, p: Param) -> str:
        shape = self.shape(p.axes) + (", 2" if p.axes else "2") * (p.dtype == "complex")
        tensor = f"torch.empty({shape or '()'}, **of_param)"
        return f"nn.Parameter({tensor})" if p.trainable else tensor

    # --- initial values ---------------------------------------------------------------------------------------------

    def initial(self) -> tuple[str, ...]:
        """Lines of `reset_parameters`."""
        out: list[str] = []
        layer = self.layer
        for p in self._by_dependency():
            out.append(self._copy(self.path(p.key), p.init, p.axes, p.dtype, p.span))
        for m in layer.children:
            path = self.path(m.key)
            if m.weight_init is not None:
                out.append(self._fill(f"{path}.weight", m.weight_init, m.span))
            if m.bias_init is not None:
                axes = m.outputs[0].axes if isinstance(m, Linear) else m.output.axes
                guard = f"if {path}.bias is not None:\n            " if isinstance(m.bias, str) else ""
                flat = ".flatten()" if len(axes) > 1 else ""
                if not self._is_tensor(m.bias_init):
                    out.append(f"{guard}{path}.bias.fill_({self.python(m.bias_init)})  # {self.comment(m.span)}")
                    continue
                code = self._value(m.bias_init, axes, f"{path}.bias")
                out.append(
                    f"{guard}{path}.bias.copy_(({code}).expand({self.shape(axes)}){flat})  # {self.comment(m.span)}"
                )
        return tuple(out)

    def _by_dependency(self) -> list[Param]:
        done: list[Param] = []
        pending = list(self.layer.params.values())
        while pending:
            ready = [p for p in pending if all(r.name in {d.name for d in done} for r in refs(p.init))]
            if not ready:
                ready = pending[:1]
            done += ready
            pending = [p for p in pending if p not in ready]
        return done

    def _copy(self, path: str, init: Node, axes: tuple[str, ...], dtype: str, span: Span) -> str:
        where = f"  # {self.comment(span)}"
        if dtype == "real" and isinstance(init, Const) and not isinstance(init.value, bool):
            return f"{path}.fill_({self.python(init)}){where}"
        code = self._value(init, axes, path)
        if dtype == "complex":
            shape = self.shape(axes)
            whole = f"torch.as_tensor({code}).to(_complex_of({path}.dtype)).expand({shape})"
            return f"{path}.copy_(torch.view_as_real({whole}.resolve_conj().contiguous())){where}"
        if not init.axes and not self._is_tensor(init):
            return f"{path}.fill_({code}){where}"
        return f"{path}.copy_({code}){where}"

    def _is_tensor(self, node: Node) -> bool:
        return any(isinstance(n, Draw | Ref) or n.axes for n in walk(node))

    def _fill(self, path: str, init: Node, span: Span) -> str:
        """The weight of a module: one expression for all entries, draws of the weight's own shape."""
        printer = self._init_printer((), path, f"{path}.shape")
        return f"{path}.copy_({self._tensor(printer(init), init, path)})  # {self.comment(span)}"

    def _tensor(self, code: str, init: Node, path: str) -> str:
        return code if self._is_tensor(init) else f"torch.full_like({path}, {code})"

    def _value(self, init: Node, axes: tuple[str, ...], path: str) -> str:
        atoms = self.layer.axes.atoms(axes)
        printer = self._init_printer(atoms, path, None)
        code = printer(init, atoms)
        if atoms != axes and init.axes:
            code = f"({code}).expand({self.shape(atoms)}).reshape({self.shape(axes)})"
        return code

    def _init_printer(self, atoms: Sequence[str], path: str, shape: str | None) -> TorchPrinter:
        order = list(dict.fromkeys([*atoms, *self.layer.axes.axes]))

        def name(r: Ref) -> str:
            p = self.layer.params[r.name]
            own = self.path(p.key)
            return f"torch.view_as_complex(_wide({own}))" if p.dtype == "complex" else own

        scalars = {a: f"self.{n}" for a, n in self.arg_names.items()}
        return _InitPrinter(name, order, scalars, self.size_attribute, path, shape)

    def parameter(self, p: Param) -> str:
        """A parameter as a tensor of its type."""
        path = self.path(p.key)
        return f"torch.view_as_complex(_wide({path}))" if p.dtype == "complex" else path

    def is_real(self, name: str) -> bool:
        """Whether a result of an op is real."""
        return all(o.r.definitions[name].dtype == "real" for o in self.ops.values() if name in o.r.definitions)

    def streams(self, name: str) -> bool:
        """Whether a value has batch and time dimensions."""
        p = self.partition
        if name in self.layer.params:
            return False
        return name not in p.definitions or p.definitions[name].time > Time.PARAMETER


class _InitPrinter(TorchPrinter):
    """Prints initial values: draws become torch's generators on the parameter's device, in its dtype."""

    def __init__(self, name, order, scalars, size, path: str, shape: str | None) -> None:  # type: ignore[no-untyped-def]
        super().__init__(name, order, lambda r: False, scalars, size, path, f"{path}.dtype")
        self.path, self.draw_shape = path, shape

    def _print(self, node: Node):  # type: ignore[no-untyped-def]
        axes = self.sort(node.axes)
        if isinstance(node, Draw) and node.word:
            word = self.scalar.get(node.word, f'"{node.word}"')
            sizes = ", ".join(self.size(a) for a in node.axes)
            turn = "" if axes == node.axes else ".mT"
            return Text(f"_{node.kind}({word}, {sizes}, {self.path}){turn}", axes, 16, False)
        if isinstance(node, Draw):
            args = ", ".join(self(a) for a in node.args)
            size = "(" + "".join(f"{self.size(a)}, " for a in axes) + ")"
            size = size if axes else self.draw_shape or size
            return Text(f"_{node.kind}({size}, {args}, {self.path})", axes, 20, False)
        if isinstance(node, Pointwise) and node.fn == "complex":
            return Text(f"_cartesian({', '.join(self(a, axes) for a in node.args)}, {self.path})", axes, 20, False)
        if isinstance(node, Reduce) and node.dtype == "complex":
            return super()._print(_all_complex(node))
        return super()._print(node)


def _all_complex(node: Reduce) -> Node:
    """The sum of a product whose factors are all complex: an einsum takes one type."""
    product: Node = b.ONE
    for f in factors(node.body):
        product = b.mul(product, f if f.dtype == "complex" else b.apply("complex", f, b.ZERO))
    return b.reduce(node.op, node.over, product)
