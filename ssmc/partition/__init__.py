"""Layer -> regions: normal form, strongly connected components, and what is fused around each recurrence."""
