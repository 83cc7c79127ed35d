"""One item: its graph, its numbers, its model, and how it compares."""
