"""From the syntax tree to a checked Layer: names, conditions, axes, types, binding times."""
