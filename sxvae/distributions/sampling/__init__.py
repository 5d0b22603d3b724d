"""Samplers with exact pathwise gradients: eager (PyTorch) and compiled (CPU)."""
