"""Text: names, printers and the typed contexts that templates are filled from. Nothing here decides."""
