"""Commands as a user meets them: what they print where, what they write, and the exit codes 0, 1 and 2."""

from __future__ import annotations

import io
import json
import os
import sys
from pathlib import Path

import pytest

from ssmc import __version__
from ssmc.cli import main
from ssmc.commands import COMMANDS

SPECS = Path(__file__).parents[2] / "specs"
MAMBA, LEAKY = str(SPECS / "mamba.ssm"), str(SPECS / "leaky.ssm")
BROKEN = """edition 1

layer Broken(d_model)
  input u[d_model]
  state h[d_model]: h = 0.5 * prev(h) + v
  return h
"""


@pytest.fixture
def broken(tmp_path: Path) -> str:
    path = tmp_path / "broken.ssm"
    path.write_text(BROKEN)
    return str(path)


@pytest.fixture
def stdin(monkeypatch: pytest.MonkeyPatch):  # type: ignore[no-untyped-def]
    def give(text: str | bytes) -> None:
        data = text.encode() if isinstance(text, str) else text
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(data)))

    return give


# --- the command line itself ---


def test_version_and_help(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--version"]) == 0
    assert capsys.readouterr().out == f"ssmc {__version__}\n"
    assert main(["--help"]) == 0
    out = capsys.readouterr().out
    assert all(f"  {name}" in out for name in COMMANDS)
    assert main([]) == 2


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_help(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([command, "--help"]) == 0
    assert f"ssmc {command}" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("argv", "says"),
    [
        (["complie", "x.ssm"], "did you mean `compile`?"),
        (["x.ssm"], "a command comes before the spec"),
        (["--what"], "unknown option --what"),
        (["frobnicate"], "commands are"),
        (["compile"], "required: SPEC"),
        (["compile", MAMBA, "--mode", "fast"], "invalid choice: 'fast'"),
        (["compile", MAMBA, "--backend", "cuda"], "invalid choice: 'cuda'"),
        (["compile", MAMBA, "--set", "d_state"], "NAME=VALUE"),
        (["compile", MAMBA, "--set", "d_state="], "NAME=VALUE"),
        (["check", MAMBA, "--set", "d_state=1", "--set", "d_state=2"], "set twice"),
        (["explain", MAMBA, "--seqlen", "0"], "not a positive whole number"),
        (["new", "2D"], "no name for a layer"),
        (["check", "nothing.ssm"], "nothing.ssm: no such file"),
        (["check", str(SPECS / "manba.ssm")], "did you mean"),
        (["check", str(SPECS)], "is a directory"),
    ],
)
def test_usage_errors_are_one_line(argv: list[str], says: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(argv) == 2
    got = capsys.readouterr()
    assert got.out == ""
    assert got.err.startswith("ssmc: error: ") and says in got.err and got.err.count("\n") == 1


def test_usage_errors_as_json(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["explain", "nothing.ssm", "--json"]) == 2
    document = json.loads(capsys.readouterr().out)
    assert document["ok"] is False and "no such file" in document["error"]


def test_a_file_that_is_no_text(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "x.ssm"
    path.write_bytes(b"layer \xff\xfe")
    assert main(["check", str(path)]) == 2
    assert "byte 0xff at offset 6 is not UTF-8" in capsys.readouterr().err


# --- check ---


def test_check_several_files(broken: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check", LEAKY, broken, MAMBA]) == 1
    got = capsys.readouterr()
    assert "leaky.ssm: ok: Leaky" in got.out and "mamba.ssm: ok: Mamba" in got.out and "broken" not in got.out
    assert "error[SSM0201]" in got.err and "\x1b" not in got.err


def test_check_goes_on_after_a_file_it_cannot_read(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check", "nothing.ssm", LEAKY]) == 2
    assert "leaky.ssm: ok" in capsys.readouterr().out


def test_check_json(broken: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check", broken, LEAKY, "nothing.ssm", "--json"]) == 2
    got = capsys.readouterr()
    document = json.loads(got.out)
    assert got.err == "" and document["ok"] is False and document["ssmc"] == __version__
    first, second, third = document["files"]
    assert first["diagnostics"][0]["code"] == "SSM0201" and first["diagnostics"][0]["line"] == 5
    assert second == {"file": LEAKY, "ok": True, "diagnostics": []}
    assert "no such file" in third["error"]


def test_check_standard_input(stdin, capsys: pytest.CaptureFixture[str]) -> None:  # type: ignore[no-untyped-def]
    stdin(BROKEN.replace("\n", "\r\n"))
    assert main(["check", "-"]) == 1
    assert "<stdin>:5:" in capsys.readouterr().err


def test_a_file_from_standard_input_says_how_to_rebuild_it(stdin, capsys: pytest.CaptureFixture[str]) -> None:  # type: ignore[no-untyped-def]
    stdin(Path(LEAKY).read_text())
    assert main(["compile", "-"]) == 0
    assert "#     ssmc compile - -o leaky_layer.py\n" in capsys.readouterr().out


@pytest.mark.parametrize("bad", ["d_stat=4", "d_state=many", "bias=1"])
def test_a_setting_that_does_not_fit_is_wrong_usage(bad: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check", MAMBA, "--set", bad]) == 2
    assert "SSM0225" in capsys.readouterr().err


def test_color_only_on_a_terminal(broken: str, monkeypatch: pytest.MonkeyPatch) -> None:
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    for no_color, expected in (("", True), ("1", False)):
        err = Terminal()
        monkeypatch.setattr(sys, "stderr", err)
        monkeypatch.setenv("NO_COLOR", no_color)
        monkeypatch.setenv("TERM", "xterm")
        main(["check", broken])
        assert ("\x1b[" in err.getvalue()) is expected


# --- compile ---


def test_compile_writes_once(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "leaky_layer.py"
    assert main(["compile", LEAKY, "-o", str(out)]) == 0
    assert "written" in capsys.readouterr().err
    compile(out.read_text(), str(out), "exec")
    before = out.stat()
    assert main(["compile", LEAKY, "-o", str(out)]) == 0
    assert "unchanged" in capsys.readouterr().err
    assert (out.stat().st_mtime_ns, out.stat().st_ino) == (before.st_mtime_ns, before.st_ino)
    assert [p.name for p in tmp_path.iterdir()] == ["leaky_layer.py"]


def test_compile_default_output(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["compile", LEAKY]) == 0
    assert [p.name for p in tmp_path.iterdir()] == ["leaky_layer.py"]
    assert (tmp_path / "leaky_layer.py").stat().st_mode & 0o777 == 0o666 & ~_umask()


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


def test_compile_standard_streams(stdin, capsys: pytest.CaptureFixture[str]) -> None:  # type: ignore[no-untyped-def]
    stdin(Path(LEAKY).read_text())
    assert main(["compile", "-"]) == 0
    assert "class Leaky(nn.Module)" in capsys.readouterr().out


def test_compile_keeps_permissions_and_follows_links(tmp_path: Path) -> None:
    real, link = tmp_path / "real.py", tmp_path / "link.py"
    real.write_text("old")
    real.chmod(0o640)
    link.symlink_to(real)
    assert main(["compile", LEAKY, "-o", str(link)]) == 0
    assert link.is_symlink() and "class Leaky" in real.read_text() and real.stat().st_mode & 0o777 == 0o640


def test_compile_to_a_device() -> None:
    assert main(["compile", LEAKY, "-o", os.devnull]) == 0
    assert not Path(os.devnull).is_file()


@pytest.mark.parametrize("where", ["missing/out.py", ".", "nul\0.py"])
def test_nothing_can_be_written_there(where: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["compile", LEAKY, "-o", f"{tmp_path}/{where}"]) == 2
    err = capsys.readouterr().err
    assert err.startswith("ssmc: error: ") and "Traceback" not in err
    assert list(tmp_path.iterdir()) == []


def test_a_failed_write_leaves_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    out = tmp_path / "out.py"
    out.write_text("old")

    def fail(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "replace", fail)
    assert main(["compile", LEAKY, "-o", str(out)]) == 2
    assert out.read_text() == "old" and len(list(tmp_path.iterdir())) == 1


def test_compile_errors_write_nothing(broken: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "out.py"
    assert main(["compile", broken, "-o", str(out)]) == 1
    assert "SSM0201" in capsys.readouterr().err and not out.exists()


def test_compile_forced_mode(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["compile", MAMBA, "--mode", "convolution", "-o", "-"]) == 1
    got = capsys.readouterr()
    assert got.out == "" and "SSM0401" in got.err and "depends on the token" in got.err


def test_compile_json(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "out.py"
    assert main(["compile", LEAKY, "-o", str(out), "--json"]) == 0
    got = capsys.readouterr()
    document = json.loads(got.out)
    assert got.err == "" and document["output"] == str(out) and document["written"] is True and out.exists()
    assert main(["compile", LEAKY, "-o", "-", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["text"] == out.read_text()


def test_the_command_in_the_file_makes_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "leaky.ssm").write_text(Path(LEAKY).read_text())
    monkeypatch.chdir(tmp_path)
    texts = []
    for more in ([], ["--backend", "eager"], ["--mode", "recurrent"], ["--set", "d_model=8"]):
        assert main(["compile", "leaky.ssm", "-o", "out.py", *more]) == 0
        text = Path("out.py").read_text()
        command = next(line for line in text.split("\n") if "ssmc compile" in line).lstrip("# ").split()
        assert main(command[1:]) == 0
        assert Path("leaky_layer.py").read_text() == text
        texts.append(text)
    names = {next(line for line in text.split("\n") if line.startswith("NAMESPACE")) for text in texts}
    assert len(names) == len(set(texts)) == 4, "two files that differ share a namespace of operators"


# --- fmt ---


def test_fmt(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "x.ssm"
    ugly = BROKEN.replace(" + ", "+").replace("input u", "input   u")
    path.write_text(ugly)
    assert main(["fmt", "--check", str(path)]) == 1
    assert path.read_text() == ugly
    assert main(["fmt", "--diff", str(path)]) == 0
    assert path.read_text() == ugly and "-  input   u[d_model]" in capsys.readouterr().out
    assert main(["fmt", str(path)]) == 0
    assert path.read_text() == BROKEN
    assert main(["fmt", "--check", "--diff", str(path)]) == 0
    assert capsys.readouterr().out == ""


def test_fmt_standard_input(stdin, capsys: pytest.CaptureFixture[str]) -> None:  # type: ignore[no-untyped-def]
    stdin(BROKEN.replace("0.5 * ", "0.5*"))
    assert main(["fmt", "-"]) == 0
    assert capsys.readouterr().out == BROKEN


def test_fmt_leaves_what_it_cannot_read(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "x.ssm"
    path.write_text("layer (\n")
    assert main(["fmt", str(path)]) == 1
    assert path.read_text() == "layer (\n" and "error[SSM" in capsys.readouterr().err


# --- new ---


def test_new(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["new", "MyLayer"]) == 0
    assert main(["check", "my_layer.ssm"]) == 0
    assert main(["fmt", "--check", "my_layer.ssm"]) == 0
    got = capsys.readouterr()
    assert "warning" not in got.err and "note" not in got.err
    (tmp_path / "my_layer.ssm").write_text("mine")
    assert main(["new", "MyLayer"]) == 2
    assert (tmp_path / "my_layer.ssm").read_text() == "mine"


def test_new_with_a_name_the_language_needs(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["new", "layer", "-o", "-"]) == 1
    assert "Traceback" not in capsys.readouterr().err


# --- the outside world ---


def test_interrupt_is_quiet(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("ssmc.commands.check.run", interrupt)
    assert main(["check", LEAKY]) == 130
    assert capsys.readouterr().err == ""
