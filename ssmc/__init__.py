"""ssmc: a compiler for state-space layers. Equations in, one self-contained torch and Triton file out."""

__version__ = "0.1.0"
