"""Reading specs and writing results. Nothing is written by halves, and no failure of the file system is a traceback."""

from __future__ import annotations

import os
import stat
import sys
import tempfile
from pathlib import Path

from ssmc.commands.console import UsageError
from ssmc.diagnostics.span import Source
from ssmc.diagnostics.suggest import did_you_mean

STANDARD = "-"


def read_source(name: str) -> Source:
    """A spec from a file, or from standard input for `-`. Line ends of other systems become `\\n`."""
    try:
        data = sys.stdin.buffer.read() if name == STANDARD else Path(name).read_bytes()
        text = data.decode("utf-8")
    except UnicodeDecodeError as error:
        byte = data[error.start]
        raise UsageError(f"{name}: not a text file: byte {byte:#04x} at offset {error.start} is not UTF-8") from None
    except IsADirectoryError:
        raise UsageError(f"{name}: is a directory; name the specs in it, as in {name.rstrip('/')}/*.ssm") from None
    except FileNotFoundError:
        near = did_you_mean(Path(name).name, _neighbours(Path(name).parent))
        hint = f"; did you mean {Path(name).parent / near}?" if near else ""
        raise UsageError(f"{name}: no such file{hint}") from None
    except (OSError, ValueError) as error:
        raise UsageError(f"{name}: cannot be read: {_why(error)}") from None
    text = text.replace("\r\n", "\n")
    return Source("<stdin>" if name == STANDARD else name, text)


def write_text(name: str, text: str) -> bool:
    """Put a text into a file, whole or not at all; `-` is standard output. False if the file had this text already."""
    if name == STANDARD:
        sys.stdout.write(text)
        return True
    return write_bytes(name, text.encode("utf-8"))


def write_bytes(name: str, data: bytes) -> bool:
    """Put bytes into a file, whole or not at all. False if the file had them already."""
    try:
        path = Path(os.path.realpath(name))
        if path.is_dir():
            raise UsageError(f"{name}: is a directory; name a file in it")
        if path.exists() and not path.is_file():  # a device or a pipe
            path.write_bytes(data)
            return True
        if path.is_file() and path.read_bytes() == data:
            return False
        _replace(path, data)
    except (OSError, ValueError) as error:
        raise UsageError(f"{name}: cannot be written: {_why(error)}") from None
    return True


def _replace(path: Path, data: bytes) -> None:
    """Write beside the file, then put it in its place; the file keeps its permissions."""
    handle, temporary = tempfile.mkstemp(prefix=f".{path.name[:100]}.", dir=path.parent)
    try:
        with os.fdopen(handle, "wb") as out:
            out.write(data)
        os.chmod(temporary, stat.S_IMODE(path.stat().st_mode) if path.exists() else 0o666 & ~_umask())
        os.replace(temporary, path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


def _neighbours(folder: Path) -> list[str]:
    """The specs in a folder, for a suggestion."""
    try:
        return sorted(p.name for p in folder.iterdir() if p.suffix == ".ssm")[:1000]
    except OSError:
        return []


def _why(error: Exception) -> str:
    return (error.strerror if isinstance(error, OSError) else None) or str(error)
