"""Backends: each folder prints programs for one target; its printer, its contexts, its limits."""
