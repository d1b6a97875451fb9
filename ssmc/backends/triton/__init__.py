"""Triton: one walk over time a recurrence, its adjoint, a decode step, and time cut into pieces."""
