"""What a PyTensor function runs, as a graph with names."""
