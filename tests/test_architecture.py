"""The law of the house: which room imports which, how large a file is, what a template and the output may hold."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from dataclasses import fields
from functools import cache
from pathlib import Path
from string import ascii_uppercase

import pytest
from jinja2 import Environment, nodes

from ssmc.backends.triton.chunk_tile import SKELETON
from ssmc.backends.triton.tiles import SKELETON as TILE_SKELETON
from ssmc.backends.triton.tiles import tile_of
from ssmc.diagnostics.span import Source
from ssmc.driver import compile_text

ROOT = Path(__file__).parents[1]
SSMC = ROOT / "ssmc"
FILES = sorted(SSMC.rglob("*.py"))
TEMPLATES = sorted((ROOT / "templates").rglob("*.jinja"))
SPECS = sorted((ROOT / "specs").glob("*.ssm"))
VARIANTS = sorted((ROOT / "tests" / "specs" / "variants").glob("*.ssm"))

# The folder listing is the pipeline: a room imports from the rooms before it, rooms in one set from each other's files
# only where the set says that they are one stage.
ROOMS: tuple[tuple[str, ...], ...] = (
    ("resources", "options"),
    ("diagnostics",),
    ("syntax",),
    ("ir",),
    ("calculus",),
    ("discretize",),
    ("sema",),
    ("partition",),
    ("structures", "analysis"),
    ("modes",),
    ("lower",),
    ("planning",),
    ("variants",),
    ("codegen", "backends"),
    ("driver",),
    ("explain",),
    ("testing",),
    ("measuring",),
    ("api",),
    ("commands",),
    ("cli",),
    ("__init__", "__main__"),
)
PLACE = {room: i for i, stage in enumerate(ROOMS) for room in stage}
LONGEST = 300
TOO_LONG: set[str] = set()  # files to be split; none is added
MAY_IMPORT_TORCH = (
    "testing/",
    "measuring/",
    "commands/test.py",
    "commands/explain.py",
    "commands/bench.py",
)  # what runs the output
BANNED_CALLS = {"simplify", "solve", "nsimplify", "jacobian", "eval", "exec", "sympify"}
PUBLISHED = [
    "mamba",
    "mamba2",
    "ssd",
    "s4",
    "s4d",
    "s4nd",
    "s5",
    "s6",
    "s7",
    "dss",
    "gss",
    "h3",
    "hyena",
    "hippo_rnn",
    "lmu",
    "mega",
    "megalodon",
    "lru",
    "rglru",
    "griffin",
    "hawk",
    "retnet",
    "retention",
    "gla",
    "hgrn",
    "hgrn2",
    "rwkv",
    "rwkv4",
    "rwkv5",
    "rwkv6",
    "rwkv7",
    "deltanet",
    "delta_net",
    "gated_deltanet",
    "xlstm",
    "mlstm",
    "slstm",
    "lstm",
    "gru",
    "mingru",
    "minlstm",
    "qrnn",
    "sru",
    "ttt",
    "titans",
    "longhorn",
    "bamba",
    "zamba",
    "jamba",
    "liquid",
    "liquid_s4",
    "linoss",
    "samba",
    "based",
    "rebased",
    "cosformer",
    "performer",
]


def room(path: Path) -> str:
    return path.relative_to(SSMC).parts[0].removesuffix(".py")


@cache
def tree(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


def imports(path: Path) -> Iterator[tuple[str, int]]:
    """The modules a file imports, those for type checking alone left out."""
    typing_only = {
        id(n)
        for test in ast.walk(tree(path))
        if isinstance(test, ast.If) and isinstance(test.test, ast.Name) and test.test.id == "TYPE_CHECKING"
        for n in ast.walk(test)
    }
    for n in ast.walk(tree(path)):
        if id(n) in typing_only:
            continue
        if isinstance(n, ast.ImportFrom) and n.module:
            yield n.module, n.lineno
            yield from ((f"{n.module}.{a.name}", n.lineno) for a in n.names if n.module == "ssmc")
        elif isinstance(n, ast.Import):
            yield from ((a.name, n.lineno) for a in n.names)


def test_every_room_has_its_place() -> None:
    assert {room(p) for p in FILES} == set(PLACE)


@pytest.mark.parametrize("path", FILES, ids=[str(p.relative_to(SSMC)) for p in FILES])
def test_imports_follow_the_pipeline(path: Path) -> None:
    for module, line in imports(path):
        parts = module.split(".")
        if parts[0] != "ssmc" or len(parts) < 2 or parts[1] == "__version__":
            continue
        assert PLACE[parts[1]] <= PLACE[room(path)], f"{path.relative_to(ROOT)}:{line} imports {module}"


@pytest.mark.parametrize("path", FILES, ids=[str(p.relative_to(SSMC)) for p in FILES])
def test_a_file(path: Path) -> None:
    name = path.relative_to(SSMC).as_posix()
    text = path.read_text(encoding="utf-8")
    assert ast.get_docstring(tree(path)), f"{name} says why it is there"
    if name not in TOO_LONG:
        assert len(text.splitlines()) <= LONGEST, f"{name} is too long"
    for n in ast.walk(tree(path)):
        if isinstance(n, ast.Call):
            called = (
                n.func.id if isinstance(n.func, ast.Name) else n.func.attr if isinstance(n.func, ast.Attribute) else ""
            )
            owner = n.func.value.id if isinstance(n.func, ast.Attribute) and isinstance(n.func.value, ast.Name) else ""
            assert called not in BANNED_CALLS or owner == "self", f"{name}:{n.lineno} calls {called}"
    for module, line in imports(path):
        outside = module.split(".")[0] in ("torch", "triton")
        assert not outside or name.startswith(MAY_IMPORT_TORCH), f"{name}:{line} imports {module}"
    for n in tree(path).body:
        private = isinstance(n, ast.ClassDef) and n.name.startswith("_")
        members = [] if private else n.body if isinstance(n, ast.ClassDef) else [n]
        if isinstance(n, ast.ClassDef) and not n.name.startswith("_"):
            assert ast.get_docstring(n), f"{name}:{n.lineno} {n.name} has no docstring"
        for f in members:
            if isinstance(f, ast.FunctionDef) and not f.name.startswith("_") and not _overrides(f, n):
                assert ast.get_docstring(f), f"{name}:{f.lineno} {f.name} has no docstring"


def _overrides(f: ast.FunctionDef, owner: ast.stmt) -> bool:
    """A property or method whose meaning the class above has said."""
    return isinstance(owner, ast.ClassDef) and bool(owner.bases)


def test_the_list_of_long_files_shrinks() -> None:
    for name in TOO_LONG:
        assert len((SSMC / name).read_text(encoding="utf-8").splitlines()) > LONGEST, f"{name} needs no exception"


# --- templates ---------------------------------------------------------------------------------------------------------

ALLOWED = (
    *(
        [
            "Template",
            "Output",
            "TemplateData",
            "Name",
            "Getattr",
            "For",
            "If",
            "Include",
            "FromImport",
            "Macro",
            "With",
            "Const",
            "Tuple",
            "CondExpr",
            "Not",
            "And",
            "Or",
        ]
    ),
    *("Compare", "Operand", "Call"),
)


def parsed(path: Path) -> nodes.Template:
    return Environment(trim_blocks=True, lstrip_blocks=True).parse(path.read_text(encoding="utf-8"))


@pytest.mark.parametrize("path", TEMPLATES, ids=[str(p.relative_to(ROOT)) for p in TEMPLATES])
def test_a_template_holds_layout_only(path: Path) -> None:
    found = parsed(path)
    macros = {m.name for m in found.find_all(nodes.Macro)} | {
        n for i in found.find_all(nodes.FromImport) for n in i.names
    }
    for n in found.find_all(nodes.Node):
        kind = type(n).__name__
        assert kind in ALLOWED, f"{path.name}: line {n.lineno} has a {kind}"
        if isinstance(n, nodes.Call):
            assert isinstance(n.node, nodes.Name) and n.node.name in macros, (
                f"{path.name}: line {n.lineno} calls no macro"
            )
        if isinstance(n, nodes.Compare):
            assert [o.op for o in n.ops] == ["in"] and isinstance(n.expr, nodes.Const), f"{path.name}: line {n.lineno}"


def contexts() -> dict[tuple[str, str], type]:
    """The typed context behind each name of each template's folder or file."""
    from ssmc.backends.triton.chunk_contexts import ChunkLaunch, ChunkOp
    from ssmc.backends.triton.contexts import TritonFile, TritonOp
    from ssmc.backends.triton.conv_op import TritonConv
    from ssmc.backends.triton.fresh_contexts import FreshLaunch, FreshOp
    from ssmc.codegen.conv_op import ConvOp
    from ssmc.codegen.eager_op import EagerOp
    from ssmc.codegen.emit import FileContext
    from ssmc.codegen.filter_op import FilterOp
    from ssmc.codegen.gathered_op import GatheredOp
    from ssmc.codegen.layer_context import LayerContext
    from ssmc.codegen.operator_op import OperatorOp
    from ssmc.codegen.reference_op import ReferenceOp

    return {
        ("", "file"): FileContext,
        ("", "layer"): LayerContext,
        ("torch/op", "op"): OperatorOp,
        ("torch/operators", "op"): OperatorOp,
        ("eager/reference", "ref"): ReferenceOp,
        ("eager/op", "op"): EagerOp,
        ("eager/conv", "conv"): ConvOp,
        ("eager/filtered", "form"): FilterOp,
        ("eager/gathered", "form"): GatheredOp,
        ("triton/filtered", "form"): FilterOp,
        ("triton/fresh_", "form"): FreshOp,
        ("triton/fresh_launches", "w"): FreshLaunch,
        ("triton/chunk_kernels", "form"): ChunkOp,
        ("triton/chunk_macros", "form"): ChunkOp,
        ("triton/head_kernels", "form"): ChunkOp,
        ("triton/chunk_launches", "form"): ChunkLaunch,
        ("triton/head_launches", "form"): ChunkLaunch,
        ("triton/launch_macros", "form"): ChunkLaunch,
        ("torch/operators", "conv"): ConvOp,
        ("triton/", "op"): TritonOp,
        ("triton/conv", "conv"): TritonConv,
        ("triton/", "shared"): TritonFile,
    }


KEYS = {"module", "kernel"}  # what contexts are looked up by
BESIDE = {
    "uses_conv",
    "uses_previous",
    "uses_following",
    "uses_position",
    "uses_linear",
    "uses_meeting",
    "uses_split",
}  # flags of the file that stand with the layer's


def test_holes_are_the_fields_of_their_context() -> None:
    used: dict[type, set[str]] = {c: set() for c in contexts().values()}
    for path in TEMPLATES:
        name = path.relative_to(ROOT / "templates").as_posix()
        for n in parsed(path).find_all(nodes.Getattr):
            if not isinstance(n.node, nodes.Name):
                continue
            for (prefix, variable), context in contexts().items():
                if variable == n.node.name and name.startswith(prefix):
                    used[context].add(n.attr)
    known = {context: {f.name for f in fields(context)} for context in used}
    unknown = {c.__name__: holes - known[c] - BESIDE for c, holes in used.items() if holes - known[c] - BESIDE}
    unread = {c.__name__: known[c] - holes - KEYS for c, holes in used.items() if known[c] - holes - KEYS}
    assert (unknown, unread) == ({}, {}), "holes without a field, and fields without a hole"


# --- the output --------------------------------------------------------------------------------------------------------


def test_names_of_chunk_kernels_are_reserved() -> None:
    """An operand that is called like a value of their skeleton would be overwritten by it."""
    names = ("chunk_kernels.py", "head_kernels.py", "chunk_macros")
    text = "".join((ROOT / f"templates/triton/{name}.jinja").read_text(encoding="utf-8") for name in names)
    text = re.sub(r"{#.*?#}|{%.*?%}", "", text).replace("{{ r.index }}", "0")
    found = set(re.findall(r"(?<![\w.])([biomn]_\w+)\b", text))
    assert {"b_state", "b_scores_0", "o_kv", "m_tk"} <= found
    assert not {n for n in found if n not in SKELETON and n.removeprefix("b_") not in SKELETON}


@pytest.mark.parametrize("path", SPECS, ids=[p.stem for p in SPECS])
def test_the_output_stands_alone(path: Path) -> None:
    text = compile_text(Source(path.name, path.read_text(encoding="utf-8")))
    allowed = {
        "math",
        "os",
        "warnings",
        "contextlib",
        "functools",
        "typing",
        "torch",
        "triton",
        "collections",
        "itertools",
    }
    for n in ast.walk(ast.parse(text)):
        modules = (
            [a.name for a in n.names]
            if isinstance(n, ast.Import)
            else [n.module or ""]
            if isinstance(n, ast.ImportFrom)
            else []
        )
        assert {m.split(".")[0] for m in modules} <= allowed


def test_no_layer_is_known_by_name() -> None:
    words = re.compile(r"\b(" + "|".join(PUBLISHED) + r")\b", re.IGNORECASE)
    for path in [*FILES, *TEMPLATES, ROOT / "grammar" / "ssm.lark"]:
        text = path.read_text(encoding="utf-8")
        if path.suffix == ".py":
            for n in ast.walk(tree(path)):  # docstrings may cite a paper
                if isinstance(n, ast.Module | ast.ClassDef | ast.FunctionDef) and (
                    doc := ast.get_docstring(n, clean=False)
                ):
                    text = text.replace(doc, "")
        if path.suffix == ".jinja":  # so may those of generated helpers
            text = re.sub(r'"""[^"]*"""', "", text)
        comment = {".py": "#", ".lark": "//", ".jinja": "{#"}[path.suffix]
        for number, line in enumerate(text.splitlines(), 1):
            assert not words.search(line.split(comment)[0]), f"{path.relative_to(ROOT)}:{number} {line.strip()}"


@pytest.mark.parametrize("path", [*SPECS, *VARIANTS], ids=lambda p: p.stem)
def test_the_output_defines_every_name_once(path: Path) -> None:
    text = compile_text(Source(path.name, path.read_text(encoding="utf-8")))
    bodies = [ast.parse(text).body]
    bodies += [n.body for n in bodies[0] if isinstance(n, ast.If)]
    names = [n.name for body in bodies for n in body if isinstance(n, ast.FunctionDef | ast.ClassDef)]
    assert len(names) == len(set(names)), sorted(n for n in names if names.count(n) > 1)


def test_indices_of_walks_are_reserved() -> None:
    """An axis whose indices were called like one of theirs would be overwritten by it."""
    for name in ("kernels.py", "fresh_kernels.py"):
        text = (ROOT / f"templates/triton/{name}.jinja").read_text(encoding="utf-8")
        found = set(re.findall(r"(?<![\w.])([iomn]_[a-z])\b", re.sub(r"{#.*?#}|{%.*?%}", "", text)))
        assert {"i_s", "i_b"} <= found <= set(TILE_SKELETON), found - set(TILE_SKELETON)


@pytest.mark.parametrize("letter", ascii_uppercase)
def test_an_axis_may_be_called_by_any_letter(letter: str) -> None:
    indices = {n[2:] for n in TILE_SKELETON if re.fullmatch(r"[iomn]_[a-z]", n)}
    for channels, inner in (((letter,), ("N",)), (("E",), (letter,))):
        tile = tile_of(channels, inner, ())
        assert not {tile.letter, *tile.letters} & indices and len({tile.letter, *tile.letters}) == 2
