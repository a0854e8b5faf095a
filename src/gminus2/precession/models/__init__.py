"""What is fitted: the terms of a model, how a file writes them, and the kernels that evaluate it with its Jacobian."""
