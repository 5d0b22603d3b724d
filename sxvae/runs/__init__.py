"""Run directories and checkpoints, read and written without PyTorch."""
