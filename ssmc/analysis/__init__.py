"""Facts about expressions and states. SymPy is asked in one file only (`algebra.py`); proofs are the interval domain's."""
