"""Training: the loop, its state, and what it reports."""
