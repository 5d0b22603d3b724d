"""Which of two implementations computes on a tensor: compiled functions or PyTorch's operations."""

from __future__ import annotations

import torch
from torch import Tensor

from sxvae.kernels.availability import can_compile


def runs_compiled(tensor: Tensor) -> bool:
    """Whether compiled functions work on a tensor.

    They do on the CPU if Numba is there. `torch.compile` wants PyTorch's operations, which it can
    see through.
    """
    return tensor.device.type == "cpu" and not torch.compiler.is_compiling() and can_compile()
