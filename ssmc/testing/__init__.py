"""`ssmc test`: properties of a generated file against its own token loop and against the layer's equations.

Imports torch, which no other room does; the compiler never imports this one.
"""
