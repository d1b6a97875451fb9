"""What the compiler says: spans, codes, the sink that collects findings, the one renderer."""
