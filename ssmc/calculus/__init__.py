"""Derivatives on the DAG: the table of local slopes, and reverse mode over straight-line assignments."""
