"""The run directory and its checkpoints. Nothing here needs PyTorch."""
