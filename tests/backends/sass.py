"""What machine code gives away: uniform registers that are read before anything has written them.

ptxas 12.8, which Triton 3.6 and 3.7 bring, orders the descriptors of a warp group's products wrongly where tiles have rows
of less than 128 bytes, and a product then reads some other place. It shows without a GPU.
"""

from __future__ import annotations

import re

# instructions whose first operand, if a uniform register, is written
GIVEN = re.compile(r"U\w*|R2UR|S2UR|REDUX|CREDUX")
LAST = 63  # UR63 is always zero


def unset(sass: str) -> list[str]:
    """The instructions that read a uniform register which none before them wrote, in the order of the text: a loop's
    values are written before it. What a call leaves behind is not known."""
    known: set[int] = set()
    found = []
    for line in sass.partition("\n$__internal")[0].split("\n"):
        match = re.search(r"/\*[0-9a-f]{4,}\*/\s+(?:@!?U?P\w+\s+)?(.*?)\s*;", line)
        if match is None:
            continue
        code = match.group(1)
        op, _, rest = code.partition(" ")
        if op.startswith("CALL"):
            known |= set(range(LAST))
        operands = [o.strip() for o in re.split(r",(?![^\[]*\])", rest)]
        written: list[int] = []
        if GIVEN.fullmatch(op.partition(".")[0]) and re.fullmatch(r"UR\d+", operands[0]):
            written = _pair(int(operands.pop(0)[2:]), ".64" in op or ".WIDE" in op)
        read = [r for o in operands for r in _read(o, op, register_factor=bool(re.match(r"\S+\s+R\d+,\s*R\d+", code)))]
        if any(r not in known and r < LAST for r in read):
            found.append(code)
        known.update(written)
    return found


def _pair(r: int, wide: bool) -> list[int]:
    return [r, r + 1] if wide else [r]


def _read(operand: str, op: str, register_factor: bool) -> list[int]:
    """The uniform registers of an operand. A descriptor has two for the first factor, unless that is in registers, and
    two for the second."""
    found = re.match(r"gdesc\[UR(\d+)\]", operand)
    if found:
        r = int(found.group(1))
        return [r + 2, r + 3] if register_factor else [r, r + 1, r + 2, r + 3]
    wide = "desc[" in operand or op == "UIADD3.64"
    return [x for r in re.findall(r"\bUR(\d+)\b", operand) for x in _pair(int(r), wide)]
