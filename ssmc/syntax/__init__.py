"""From text to the syntax tree and back: parse, name the mistakes, format."""
