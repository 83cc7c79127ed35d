"""From a captured graph and rows to a model."""
