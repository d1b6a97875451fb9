"""Facts about expressions and states. SymPy is asked in one file (`algebra.py`); proofs are the interval domain's."""
