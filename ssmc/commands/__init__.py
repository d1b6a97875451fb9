"""The commands of `ssmc`, one a file: `SUMMARY` is its line in the help, `run(argv)` does it and returns the exit code.

0: done. 1: the spec has errors (or a check failed). 2: the command was used wrongly. Nothing heavy is imported at the
top of these files, so that a command pays only for the phases it runs.
"""

from __future__ import annotations

COMMANDS = ("compile", "check", "explain", "fmt", "test", "bench", "new")
