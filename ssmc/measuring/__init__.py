"""Measuring generated code on this machine: what is timed, against whom, how fast it could be, and first whether it is right."""
