"""Values whose derivatives are computed beside them, because autograd's would cancel."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable


def with_derivatives(value: Tensor, *known: tuple[Tensor, Tensor]) -> Tensor:
    """A copy of `value` that autograd differentiates (once) by the derivatives given here.

    Args:
        value: any tensor without gradients.
        known: pairs of an argument and the value's derivative with respect to it, elementwise: both
            of the shape of `value`.
    """
    arguments = [argument for argument, _ in known]
    derivatives = [derivative for _, derivative in known]
    result: Tensor = _Known.apply(value, *arguments, *derivatives)
    return result


class _Known(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, value: Tensor, *known: Tensor) -> Tensor:  # noqa: ANN401 (autograd's context has no public type)
        count = len(known) // 2
        ctx.save_for_backward(*known[count:])
        ctx.dtypes = [argument.dtype for argument in known[:count]]
        return value.clone()

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *grads: Any) -> Any:  # noqa: ANN401
        derivatives = ctx.saved_tensors
        pairs = zip(derivatives, ctx.dtypes, strict=True)
        products = [(grads[0] * derivative).to(dtype) for derivative, dtype in pairs]
        return None, *products, *[None] * len(derivatives)
