"""Measuring generated code on this machine: first whether it is right, then how fast, against whom and what limit."""
