"""What graphs a case may describe."""
