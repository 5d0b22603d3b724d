from __future__ import annotations

import math

import mpmath
import pytest
import torch
from torch import Tensor

from sxvae.special import (
    bessel_ratio,
    bessel_ratio_complement,
    bessel_terms,
    log_bessel_i,
    log_bessel_i_reduced,
)

ORDERS = [0.0, 0.5, 1.0, 1.5, 4.0, 9.5, 23.5, 24.0, 49.0, 499.0]
ARGUMENTS = [1e-6, 1e-3, 0.1, 1.0, 3.0, 10.0, 100.0, 1e3, 1e4, 1e6]


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
    for function in (log_bessel_i, log_bessel_i_reduced, bessel_ratio, bessel_ratio_complement):
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
    at_zero = -order * math.log(2) - math.lgamma(order + 1)
    assert log_bessel_i_reduced(order, x)[0].item() == pytest.approx(at_zero, rel=1e-13, abs=1e-13)


def test_log_bessel_i_at_zero() -> None:
    zero = torch.zeros((), dtype=torch.float64)
    assert log_bessel_i(0.0, zero).item() == pytest.approx(0, abs=1e-14)
    assert log_bessel_i(1.0, zero).item() == -math.inf


@pytest.mark.parametrize("order", [0.0, 4.5, 30.0])
def test_derivatives(order: float) -> None:
    x = torch.tensor([0.3, 2.0, 40.0], dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda t: log_bessel_i_reduced(order, t), (x,))
    assert torch.autograd.gradgradcheck(lambda t: log_bessel_i_reduced(order, t), (x,))
    assert torch.autograd.gradcheck(lambda t: bessel_ratio(order, t), (x,))
    assert torch.autograd.gradcheck(lambda t: bessel_ratio_complement(order, t), (x,))
