"""Which of two implementations computes on a tensor: compiled functions or PyTorch's operations."""

from __future__ import annotations

import torch
from torch import Tensor

from sxvae.distributions.transforms import is_transforming
from sxvae.kernels.availability import can_compile


def runs_compiled(tensor: Tensor) -> bool:
    """Whether compiled functions work on a tensor.

    They do on the CPU if Numba is there. Traces and transforms want operations of PyTorch, which
    they can see through.
    """
    return tensor.device.type == "cpu" and not is_traced() and can_compile()


def is_traced() -> bool:
    """Whether PyTorch's operations alone may be used, and only those that depend on no numbers."""
    return torch.compiler.is_compiling() or is_transforming()
