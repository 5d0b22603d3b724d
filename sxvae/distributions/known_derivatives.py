"""Values whose derivatives are given, because those of autograd would lose digits."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.autograd import forward_ad

from sxvae.distributions.transforms import forward_modes

# From the arguments of an elementwise function to its value, or to its derivative with respect to
# each argument; None where there is none.
Value = Callable[..., Tensor]
Derivatives = Callable[..., tuple[Tensor | None, ...]]


def with_derivatives(value: Value, derivatives: Derivatives, *arguments: Tensor) -> Tensor:
    """The value of an elementwise function, to which autograd gives these derivatives.

    Higher derivatives are those of what `derivatives` computes. So both functions have to take all
    that is differentiated from their arguments.

    Args:
        value: called with the arguments, without gradients.
        derivatives: called with the arguments when derivatives are wanted.
        arguments: tensors of the value's shape.
    """
    if torch.compiler.is_compiling():
        return _linear(value, derivatives, *arguments)
    result: Tensor = _Known.apply(value, derivatives, *arguments)
    return result


def with_derivatives_of_all(value: Value, derivatives: Derivatives, *arguments: Tensor) -> Tensor:
    """The same for a function whose first argument alone has the value's shape and derivatives."""
    if torch.compiler.is_compiling():
        return _linear(value, derivatives, *arguments)
    result: Tensor = _KnownOfAll.apply(value, derivatives, *arguments)
    return result


def without_derivatives(value: Value, *arguments: Tensor) -> Tensor:
    """The value of an elementwise function that raises a NotImplementedError if differentiated."""
    return with_derivatives(value, _unknown, *arguments)


def _unknown(*arguments: Tensor) -> tuple[Tensor | None, ...]:
    if torch.compiler.is_compiling():  # which asks in advance, and has first derivatives only
        return (None,) * len(arguments)
    raise NotImplementedError(_NO_SECOND)


def with_derivatives_of(value: Value, *arguments: Tensor, stand_in: Tensor) -> Tensor:
    """The value of an elementwise function, differentiated as if it was `stand_in`.

    Args:
        value: called with the arguments, without gradients.
        arguments: tensors of the value's shape.
        stand_in: a tensor with nearly the same values.
    """

    def inner(_: Tensor, *args: Tensor) -> Tensor:
        return value(*args)

    def slopes(like: Tensor, *args: Tensor) -> tuple[Tensor | None, ...]:
        return torch.ones_like(like), *[None] * len(args)

    return with_derivatives(inner, slopes, stand_in, *arguments)


def _linear(value: Value, derivatives: Derivatives, *arguments: Tensor) -> Tensor:
    """The value plus terms that are 0 and have the derivatives: operations for a trace."""
    plain = [each.detach() for each in arguments]
    with torch.no_grad():
        result, slopes = value(*plain), derivatives(*plain)
    for argument, slope in zip(arguments, slopes, strict=True):
        if slope is not None and argument.requires_grad:
            result = result + slope * (argument - argument.detach())
    return result


class _Known(torch.autograd.Function):
    @staticmethod
    def vmap(
        info: Any,  # noqa: ANN401 (autograd's types are not public)
        in_dims: tuple[int | None, ...],
        value: Value,
        derivatives: Derivatives,
        *arguments: Tensor,
    ) -> tuple[Tensor, int]:
        """Elementwise functions take a further axis as it is."""
        batched = [
            each.expand(info.batch_size, *each.shape) if dim is None else each.movedim(dim, 0)
            for each, dim in zip(arguments, in_dims[2:], strict=True)
        ]
        return _Known.apply(value, derivatives, *batched), 0

    @staticmethod
    def forward(value: Value, derivatives: Derivatives, *arguments: Tensor) -> Tensor:
        return value(*arguments).clone()  # the value may be kept elsewhere too

    @staticmethod
    def setup_context(ctx: Any, inputs: Any, output: Tensor) -> None:  # noqa: ANN401 (autograd's context has no public type)
        _, ctx.derivatives, *arguments = inputs
        ctx.save_for_backward(*arguments)
        ctx.save_for_forward(*arguments)

    @staticmethod
    def backward(ctx: Any, *grads: Any) -> Any:  # noqa: ANN401
        arguments = ctx.saved_tensors
        products = [
            None if slope is None else (grads[0] * slope).to(argument.dtype)
            for argument, slope in zip(arguments, ctx.derivatives(*arguments), strict=True)
        ]
        return None, None, *products

    @staticmethod
    def jvp(ctx: Any, *tangents: Any) -> Any:  # noqa: ANN401
        if forward_modes() > 1:  # PyTorch would lose the outer one here and give 0
            raise NotImplementedError(_NO_FORWARD_OVER_FORWARD)
        with forward_ad._set_fwd_grad_enabled(False):
            slopes = ctx.derivatives(*ctx.saved_tensors)
        parts = [
            slope * tangent
            for slope, tangent in zip(slopes, tangents[2:], strict=True)
            if slope is not None and tangent is not None
        ]
        return sum(parts[1:], parts[0])


class _KnownOfAll(_Known):
    """For functions that are not elementwise: `torch.func.vmap` transforms their operations."""

    generate_vmap_rule = True
    vmap = torch.autograd.Function.vmap


_NO_FORWARD_OVER_FORWARD = (
    "forward mode over forward mode does not go through distributions on spheres: take one of the "
    "derivatives in reverse mode, as torch.func.hessian does"
)
_NO_SECOND = (
    "samples by their concentration, and the KL between two power spherical distributions have "
    "first derivatives only"
)
