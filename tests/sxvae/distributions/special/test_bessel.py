from __future__ import annotations

import math
from collections.abc import Callable

import mpmath
import pytest
import torch
from torch import Tensor

from sxvae.distributions.special.bessel import (
    bessel_ratio,
    bessel_ratio_complement,
    bessel_terms,
    log_bessel_i,
    log_bessel_ive,
)

ORDERS = [0.0, 0.5, 1.0, 1.5, 4.0, 9.5, 15.5, 16.0, 16.5, 23.5, 24.0, 49.0, 499.0]
ARGUMENTS = [1e-6, 1e-3, 0.1, 1.0, 3.0, 10.0, 100.0, 1e3, 1e4, 1e6]
FUNCTIONS = [log_bessel_i, log_bessel_ive, bessel_ratio, bessel_ratio_complement]


@pytest.fixture(autouse=True)
def _fifty_digits() -> None:
    mpmath.mp.dps = 50


def _argument(x: float, dtype: torch.dtype = torch.float64) -> Tensor:
    return torch.tensor(x, dtype=dtype, requires_grad=True)


def _relative(found: Tensor, expected: mpmath.mpf) -> float:
    return abs(float(mpmath.mpf(found.item()) / expected - 1))


def _bessel(order: float, x: float) -> tuple[mpmath.mpf, mpmath.mpf]:
    """I_v(x) and its ratio to the next order."""
    value = mpmath.besseli(order, x)
    return value, mpmath.besseli(order + 1, x) / value


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("x", ARGUMENTS)
def test_against_mpmath_in_float64(order: float, x: float) -> None:
    value, ratio = _bessel(order, x)
    argument = _argument(x)

    log_value = log_bessel_i(order, argument)
    largest_term = max(1.0, x, order * abs(math.log(x)), abs(float(mpmath.log(value))))
    assert abs(float(mpmath.mpf(log_value.item()) - mpmath.log(value))) <= 1e-12 * largest_term
    scaled = mpmath.log(value) - mpmath.mpf(x)
    assert abs(float(log_bessel_ive(order, argument).item() - scaled)) <= 1e-12 * largest_term

    assert _relative(bessel_ratio(order, argument), ratio) <= 1e-13
    assert _relative(bessel_ratio_complement(order, argument), 1 - ratio) <= 1e-12

    (gradient,) = torch.autograd.grad(log_value, argument)
    assert _relative(gradient, ratio + order / mpmath.mpf(x)) <= 1e-9
    (gradient,) = torch.autograd.grad(bessel_ratio(order, argument), argument)
    derivative = 1 - ratio**2 - (2 * order + 1) * ratio / x
    assert _relative(gradient, derivative) <= 1e-11


@pytest.mark.parametrize("order", [0.0, 9.5, 99.0])
@pytest.mark.parametrize("x", [1e-3, 3.0, 1e4])
def test_float32_gives_the_float64_answer_rounded(order: float, x: float) -> None:
    narrow = torch.tensor(x, dtype=torch.float32)
    for function in (log_bessel_i, log_bessel_ive, bessel_ratio, bessel_ratio_complement):
        found = function(order, narrow)
        assert found.dtype == torch.float32
        torch.testing.assert_close(
            found, function(order, narrow.double()).float(), rtol=1e-7, atol=0
        )


@pytest.mark.parametrize("order", [0.0, 0.5, 24.0, 5e4])
def test_zero_and_the_largest_argument_are_finite(order: float) -> None:
    x = torch.tensor([0.0, 1e8], dtype=torch.float64)
    for term in bessel_terms(order, x):
        assert torch.isfinite(term).all()
    assert bessel_ratio(order, x)[0] == 0
    assert bessel_terms(order, x).log_decay[0].item() == pytest.approx(0, abs=1e-10)


def test_log_bessel_i_at_zero() -> None:
    zero = torch.zeros((), dtype=torch.float64)
    assert log_bessel_i(0.0, zero).item() == pytest.approx(0, abs=1e-14)
    assert log_bessel_i(1.0, zero).item() == -math.inf


def test_zero_has_no_sign_and_the_smallest_numbers_are_not_zero() -> None:
    x = torch.tensor([-0.0, 5e-324, 1e-307], dtype=torch.float64)
    assert log_bessel_i(1.0, x)[0] == -math.inf
    assert torch.isfinite(log_bessel_i(1.0, x)[1:]).all()
    assert log_bessel_i(0.0, x).tolist() == pytest.approx([0.0] * 3, abs=1e-11)


@pytest.mark.parametrize("order", [0.0, 0.5, 9.0, 24.0, 50.0])
def test_many_arguments_at_once_give_what_few_give(order: float) -> None:
    """Large tensors are worked through in blocks, and the expansion is evaluated otherwise."""
    x = (10 ** torch.linspace(-6, 8, 3 * 60_001, dtype=torch.float64)).view(3, -1).t()
    few = x[::1_000]
    for function in FUNCTIONS:
        many = function(order, x)
        assert many.shape == x.shape
        assert torch.isfinite(many).all()
        torch.testing.assert_close(many[::1_000], function(order, few), rtol=1e-12, atol=1e-12)
    for many, expected in zip(bessel_terms(order, x), bessel_terms(order, few), strict=True):
        torch.testing.assert_close(many[::1_000], expected, rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize("function", [log_bessel_i, log_bessel_ive, bessel_ratio])
def test_derivatives_of_many_arguments_at_once(function: Callable[[float, Tensor], Tensor]) -> None:
    x = torch.linspace(0.1, 90.0, 150_000, dtype=torch.float64)

    def derivatives(x: Tensor) -> tuple[Tensor, Tensor]:
        x = x.clone().requires_grad_()
        (first,) = torch.autograd.grad(function(1.5, x).sum(), x, create_graph=True)
        (second,) = torch.autograd.grad(first.sum(), x)
        return first, second

    for many, few in zip(derivatives(x), derivatives(x[::1_000]), strict=True):
        torch.testing.assert_close(many[::1_000], few, rtol=1e-11, atol=0)


@pytest.mark.parametrize("shape", [(0,), (0, 3), ()])
def test_shapes_without_elements_or_dimensions(shape: tuple[int, ...]) -> None:
    x = torch.zeros(shape)
    for function in FUNCTIONS:
        assert function(0.5, x).shape == shape


def test_nothing_overflows_far_beyond_the_tested_arguments() -> None:
    x = torch.tensor([1e-300, 1e-30, 1e14, 1e100], dtype=torch.float64)
    for order in (0.0, 0.5, 30.0):
        assert torch.isfinite(log_bessel_ive(order, x)).all()
        assert all(torch.isfinite(term).all() for term in bessel_terms(order, x)[:4])


@pytest.mark.parametrize("order", [0.0, 0.5, 4.5, 24.0, 50_000.0])
def test_first_and_second_derivatives(order: float) -> None:
    x = torch.tensor([0.3, 2.0, 40.0, 3e3], dtype=torch.float64, requires_grad=True)
    for function in FUNCTIONS:
        assert torch.autograd.gradcheck(lambda t, f=function: f(order, t), (x,))
        assert torch.autograd.gradgradcheck(lambda t, f=function: f(order, t), (x,))
    assert torch.autograd.gradcheck(lambda t: tuple(bessel_terms(order, t)), (x,))


@pytest.mark.parametrize("order", [0.0, 4.0, 999.0])
@pytest.mark.parametrize("x", [1e-6, 1.0, 100.0, 1e6])
def test_second_derivative_against_mpmath(order: float, x: float) -> None:
    """The ratio's second derivative and the slope of ratio / x: tiny differences at both ends."""
    mpmath.mp.dps = 60
    wide = mpmath.mpf(x)
    _, ratio = _bessel(order, wide)
    first = 1 - ratio**2 - (2 * order + 1) * ratio / wide
    second = -2 * ratio * first - (2 * order + 1) * (first / wide - ratio / wide**2)
    argument = _argument(x)
    (slope,) = torch.autograd.grad(bessel_ratio(order, argument), argument, create_graph=True)
    (found,) = torch.autograd.grad(slope, argument)
    assert _relative(found, second) <= 1e-11
    (found,) = torch.autograd.grad(bessel_terms(order, argument).ratio_over_x, argument)
    assert _relative(found, (first - ratio / wide) / wide) <= 1e-11


def test_negative_arguments_are_nan_and_negative_orders_refused() -> None:
    x = torch.tensor([-1e-3, 1.0])
    for function in FUNCTIONS:
        assert function(1.5, x).isnan().tolist() == [True, False]
        with pytest.raises(ValueError, match="order"):
            function(-0.5, x)


def test_a_value_that_does_not_count_leaves_gradients_alone() -> None:
    x = torch.tensor([0.0, 1.0], requires_grad=True)
    (gradient,) = torch.autograd.grad(log_bessel_i(2.0, x)[1], x)
    assert gradient[0] == 0
    assert gradient[1] > 0


def test_third_derivatives_are_refused() -> None:
    x = _argument(2.0)
    (first,) = torch.autograd.grad(bessel_ratio(1.5, x), x, create_graph=True)
    (second,) = torch.autograd.grad(first, x, create_graph=True)
    with pytest.raises(NotImplementedError, match="twice differentiable"):
        torch.autograd.grad(second, x)


@pytest.mark.filterwarnings("ignore:.*should not be instantiated")  # PyTorch 2.9's own doing
@pytest.mark.parametrize("order", [0.0, 30.0])
@pytest.mark.parametrize("function", [log_bessel_ive, bessel_ratio])
def test_compiles_into_one_graph(order: float, function: Callable[[float, Tensor], Tensor]) -> None:
    torch._dynamo.reset()
    compiled = torch.compile(lambda x: function(order, x), fullgraph=True, backend="aot_eager")
    x = torch.tensor([0.3, 2.0, 40.0], requires_grad=True)
    value, expected = compiled(x), function(order, x)
    torch.testing.assert_close(value, expected)
    gradients = [torch.autograd.grad(result.sum(), x)[0] for result in (value, expected)]
    torch.testing.assert_close(*gradients)
