"""Whether PyTorch is transforming the program: torch.func, forward mode, or a trace of it.

Compiled functions and data-dependent decisions need a tensor's numbers. Inside of `torch.func.vmap`
or `grad` a tensor stands for others, and in a trace it has none. The code then takes PyTorch's
operations alone, which all of these can see through.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch._C import _functorch as functorch
from torch.autograd import forward_ad


def is_transforming() -> bool:
    """Whether a transform of torch.func or forward-mode differentiation is active."""
    if torch._C._are_functorch_transforms_active():
        return True
    return forward_ad._current_level >= 0


def can_read(tensor: Tensor) -> bool:
    """Whether decisions may depend on a tensor's numbers: not on the meta device, in a trace, vmap.

    There checks of values are left out.
    """
    if tensor.is_meta or torch.compiler.is_compiling():
        return False
    return _active(functorch.TransformType.Vmap) == 0


def forward_modes() -> int:
    """How many of the active transforms of torch.func are forward mode."""
    return _active(functorch.TransformType.Jvp)


def _active(kind: functorch.TransformType) -> int:
    if not torch._C._are_functorch_transforms_active():
        return 0
    return sum(each.key() == kind for each in functorch.get_interpreter_stack() or [])
