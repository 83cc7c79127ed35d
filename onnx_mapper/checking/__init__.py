"""What is asked about a function or a finished model."""
