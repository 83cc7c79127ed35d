"""What the cases of a row say."""
