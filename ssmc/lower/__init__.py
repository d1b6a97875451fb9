"""Rewriting the expression DAG on its way to a program: derivatives, adjoints, steps. Printing is not done here."""
