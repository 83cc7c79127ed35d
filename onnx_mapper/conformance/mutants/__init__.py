"""Rows with one thing changed, and whether an item notices."""
