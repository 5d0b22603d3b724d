"""Modified Bessel functions of the first kind for every order and argument, in PyTorch.

One formula serves every order: Debye's expansion at an order of 16 or more (`debye`), then the
recurrence down to the order asked for (`recurrence`). So nothing branches on the data, and nothing
underflows or overflows below an argument of 1e150.

All arithmetic is in float64 whatever the input's type; the result has the input's type. Orders from
0 to 50,000 and arguments from 0 to 1e8 are tested. A negative argument gives NaN, a negative order
a ValueError.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import torch
from torch import Tensor

from sxvae.distributions.known_derivatives import with_derivatives
from sxvae.distributions.special.debye import LOWEST_ORDER
from sxvae.distributions.special.recurrence import (
    Descent,
    log_scaled_bessel,
    second_order_terms,
)
from sxvae.distributions.transforms import is_transforming

_NO_THIRD = "Bessel functions are twice differentiable here, not three times"
# Elements in a chunk for each thread: the fewest that PyTorch spreads over threads, so that
# temporaries stay in the cache and no core idles.
_CHUNK = 1 << 15


class BesselTerms(NamedTuple):
    """I_v(x), and its ratio A = I_{v+1}(x) / I_v(x), in forms that neither cancel nor overflow.

    Attributes:
        log_decay: log(e^-x 0F1(; v+1; x^2/4)), which is log(e^-x x^-v I_v(x)) less its value at
            x = 0; it falls from 0.
        ratio: A.
        ratio_over_x: A / x.
        complement: 1 - A.
        derivative: A' = dA/dx.
    """

    log_decay: Tensor
    ratio: Tensor
    ratio_over_x: Tensor
    complement: Tensor
    derivative: Tensor


def bessel_terms(order: float, x: Tensor) -> BesselTerms:
    """The log of I_v, the ratio and its derivative for one order.

    Args:
        order: v >= 0.
        x: argument, x >= 0, any shape.

    Returns:
        Float64 tensors of the shape of `x`, finite for every x, zero included. `log_decay`, `ratio`
        and `complement` are twice differentiable, the other two once.
    """
    if is_transforming():
        return BesselTerms(*(_known_term(order, each, x.double()) for each in BesselTerms._fields))
    return BesselTerms(*_Terms.apply(order, x.double()))


def _known_term(order: float, name: str, x: Tensor) -> Tensor:
    """One of the terms, by operations that torch.func and forward mode can transform."""

    def value(x: Tensor) -> Tensor:
        term: Tensor = getattr(BesselTerms(*_terms(order, x)), name)
        return term

    def slope(x: Tensor) -> tuple[Tensor]:
        if name in ("log_decay", "ratio", "complement"):
            other = _known_term(order, "complement" if name == "log_decay" else "derivative", x)
            return (other if name == "ratio" else -other,)
        index = 0 if name == "ratio_over_x" else 1
        return (with_derivatives(lambda x: second_order_terms(order, x)[index], _third, x),)

    return with_derivatives(value, slope, x)


def _third(x: Tensor) -> tuple[Tensor]:
    raise NotImplementedError(_NO_THIRD)


def log_bessel_i(order: float, x: Tensor) -> Tensor:
    """Log I_v(x), the modified Bessel function of the first kind.

    Args:
        order: v >= 0.
        x: argument, x >= 0, any shape.

    Returns:
        A tensor like `x`, twice differentiable; at x = 0 it is 0 for v = 0 and -inf for v > 0.
    """
    return _log_bessel(order, x.double(), False).to(x.dtype)


def log_bessel_ive(order: float, x: Tensor) -> Tensor:
    """Log(e^-x I_v(x)): the exponentially scaled form of `log_bessel_i`.

    Args:
        order: v >= 0.
        x: argument, x >= 0, any shape.

    Returns:
        A tensor like `x`, twice differentiable; at x = 0 it is 0 for v = 0 and -inf for v > 0.
    """
    return _log_bessel(order, x.double(), True).to(x.dtype)


def bessel_ratio(order: float, x: Tensor) -> Tensor:
    """I_{v+1}(x) / I_v(x), between 0 (x = 0) and 1.

    The mean resultant length A_p(k) of a von Mises-Fisher distribution on the unit sphere of R^p
    is bessel_ratio(p / 2 - 1, k).

    Args:
        order: v >= 0.
        x: argument, x >= 0, any shape.

    Returns:
        A tensor like `x`, twice differentiable.
    """
    return bessel_terms(order, x).ratio.to(x.dtype)


def bessel_ratio_complement(order: float, x: Tensor) -> Tensor:
    """1 - I_{v+1}(x) / I_v(x) without the cancellation that large x brings.

    Args:
        order: v >= 0.
        x: argument, x >= 0, any shape.

    Returns:
        A tensor like `x`, twice differentiable.
    """
    return bessel_terms(order, x).complement.to(x.dtype)


def _log_bessel(order: float, x: Tensor, scaled: bool) -> Tensor:
    if not is_transforming():
        value: Tensor = _LogBessel.apply(order, x, scaled)
        return value

    def slope(x: Tensor) -> tuple[Tensor]:
        if not scaled:
            return (_plus_order_over(_known_term(order, "ratio", x), order, x),)
        return (with_derivatives(lambda x: _scaled_slope(order, x)[0], second, x),)

    def second(x: Tensor) -> tuple[Tensor]:
        derivative = _known_term(order, "derivative", x)
        return (derivative - order / x**2 if order > 0 else derivative,)

    return with_derivatives(lambda x: _log_i(order, scaled, x)[0], slope, x)


def _log_i(order: float, scaled: bool, x: Tensor) -> tuple[Tensor]:
    value = log_scaled_bessel(order, x)
    return (value if scaled else value + x,)


def _terms(order: float, x: Tensor) -> tuple[Tensor, ...]:
    descent = Descent(order, x)
    ratio = x * descent.ratio_over_x
    others = (descent.ratio_over_x, descent.complement, descent.derivative)
    return descent.log_decay(), ratio, *others


class _Terms(torch.autograd.Function):
    """`BesselTerms` with autograd: each derivative is another of the terms, or `_SecondOrder`'s."""

    @staticmethod
    def forward(ctx: Any, order: float, x: Tensor) -> tuple[Tensor, ...]:  # noqa: ANN401 (autograd's context has no public type)
        terms = BesselTerms(*_apply_in_chunks(partial(_terms, order), x))
        ctx.order = order
        ctx.set_materialize_grads(False)
        ctx.save_for_backward(x, terms.complement, terms.derivative)
        return tuple(terms)

    @staticmethod
    def backward(ctx: Any, *grads: Any) -> Any:  # noqa: ANN401
        x, complement, derivative = ctx.saved_tensors
        log_decay, ratio, ratio_over_x, complement_grad, derivative_grad = grads
        parts = []
        if log_decay is not None:
            parts.append(-log_decay * complement)
        if ratio is not None:
            parts.append(ratio * derivative)
        if complement_grad is not None:
            parts.append(-complement_grad * derivative)
        if ratio_over_x is not None or derivative_grad is not None:
            slope, second = _SecondOrder.apply(ctx.order, x)
            if ratio_over_x is not None:
                parts.append(ratio_over_x * slope)
            if derivative_grad is not None:
                parts.append(derivative_grad * second)
        return None, sum(parts[1:], parts[0]) if parts else None


class _SecondOrder(torch.autograd.Function):
    """d(A/x)/dx and A'', which autograd can't differentiate again."""

    @staticmethod
    def forward(ctx: Any, order: float, x: Tensor) -> tuple[Tensor, Tensor]:  # noqa: ANN401
        slope, second = _apply_in_chunks(partial(second_order_terms, order), x)
        return slope, second

    @staticmethod
    def backward(ctx: Any, *grads: Any) -> Any:  # noqa: ANN401
        raise NotImplementedError(_NO_THIRD)


def _plus_order_over(value: Tensor, order: float, x: Tensor) -> Tensor:
    """`value` + v / x; at v = 0 that is `value` for x = 0 too."""
    return value if order == 0 else value + order / x


def _scaled_slope(order: float, x: Tensor) -> tuple[Tensor]:
    descent = Descent(order, x)
    if order < LOWEST_ORDER:
        return (_plus_order_over(-descent.complement, order, x),)
    return (descent.scaled_slope_at_top(),)


class _ScaledSlope(torch.autograd.Function):
    """The derivative of log(e^-x I_v(x)), v/x - (1 - A).

    From order 16 on the two cancel, and Debye's expansion gives their difference.
    """

    @staticmethod
    def forward(ctx: Any, order: float, x: Tensor) -> Tensor:  # noqa: ANN401
        ctx.order = order
        ctx.save_for_backward(x)
        (slope,) = _apply_in_chunks(partial(_scaled_slope, order), x)
        return slope

    @staticmethod
    def backward(ctx: Any, *grads: Any) -> Any:  # noqa: ANN401
        (x,) = ctx.saved_tensors
        derivative = bessel_terms(ctx.order, x).derivative
        if ctx.order > 0:
            derivative = derivative - ctx.order / x**2
        return None, grads[0] * derivative


class _LogBessel(torch.autograd.Function):
    """log I_v(x), or log(e^-x I_v(x)); the derivatives are v/x + A and v/x - (1 - A)."""

    @staticmethod
    def forward(ctx: Any, order: float, x: Tensor, scaled: bool) -> Tensor:  # noqa: ANN401
        ctx.order, ctx.scaled = order, scaled
        ctx.save_for_backward(x)
        (value,) = _apply_in_chunks(partial(_log_i, order, scaled), x)
        return value

    @staticmethod
    def backward(ctx: Any, *grads: Any) -> Any:  # noqa: ANN401
        (x,) = ctx.saved_tensors
        if ctx.scaled:
            slope = _ScaledSlope.apply(ctx.order, x)
        else:
            slope = _plus_order_over(bessel_terms(ctx.order, x).ratio, ctx.order, x)
        # At x = 0 the slope is infinite; a result that does not count must not make a NaN of it.
        return None, torch.where(grads[0] == 0, 0.0, grads[0] * slope), None


def _apply_in_chunks(
    compute: Callable[[Tensor], tuple[Tensor, ...]], x: Tensor
) -> tuple[Tensor, ...]:
    """`compute(x)`, on the CPU one chunk of elements after the other to stay in its cache.

    `compute` works element by element and may return several tensors. Under torch.compile it gets
    `x` as a whole: the compiler fuses the operations itself and wants one graph.
    """
    if torch.compiler.is_compiling() or x.device.type != "cpu":
        return compute(x)
    size = _CHUNK * torch.get_num_threads()
    if x.numel() <= size:
        return compute(x)
    chunks = [compute(chunk) for chunk in x.reshape(-1).split(size)]
    return tuple(torch.cat(parts).view(x.shape) for parts in zip(*chunks, strict=True))
