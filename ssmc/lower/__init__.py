"""From a classified recurrence to a Program: complex values become pairs, the adjoint is derived, work is shared."""
