"""Values whose derivatives are given, because those of autograd would lose digits."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor


def with_derivatives(value: Tensor, *known: tuple[Tensor, Tensor]) -> Tensor:
    """A copy of `value` to which autograd gives these derivatives, and no second ones.

    Args:
        value: a tensor without gradients.
        known: pairs of an argument of `value` and the elementwise derivative with respect to it,
            both of the shape of `value`.
    """
    arguments = [argument for argument, _ in known]
    derivatives = [derivative for _, derivative in known]
    result: Tensor = _Known.apply(value, *arguments, *derivatives)
    return result


def first_order(gradient: Tensor, *arguments: Tensor) -> Tensor:
    """A gradient that raises NotImplementedError when it is differentiated by `arguments`.

    PyTorch's own `once_differentiable` would treat it as a constant there.
    """
    result: Tensor = _FirstOrder.apply(gradient, *arguments)
    return result


class _Known(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, value: Tensor, *known: Tensor) -> Tensor:  # noqa: ANN401 (autograd's context has no public type)
        ctx.save_for_backward(*known)
        return value.clone()

    @staticmethod
    def backward(ctx: Any, *grads: Any) -> Any:  # noqa: ANN401
        count = len(ctx.saved_tensors) // 2
        arguments, derivatives = ctx.saved_tensors[:count], ctx.saved_tensors[count:]
        products = [
            first_order((grads[0] * derivative).to(argument.dtype), *arguments)
            for argument, derivative in zip(arguments, derivatives, strict=True)
        ]
        return None, *products, *[None] * count


class _FirstOrder(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, gradient: Tensor, *arguments: Tensor) -> Tensor:  # noqa: ANN401
        return gradient.clone()

    @staticmethod
    def backward(ctx: Any, *grads: Any) -> Any:  # noqa: ANN401
        raise NotImplementedError(
            "samples, KLs and entropies of hyperspherical distributions have first derivatives only"
        )
