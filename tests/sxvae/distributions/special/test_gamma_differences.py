from __future__ import annotations

import itertools

import mpmath
import pytest
import torch

from sxvae.distributions.special.gamma_differences import (
    digamma_difference,
    log_gamma_difference,
    trigamma_difference,
)


@pytest.mark.parametrize("b", [0.5, 1.0, 4.5, 50.0, 49_999.5])
@pytest.mark.parametrize("excess", [0.0, 1e-6, 1.0, 30.0, 1e4, 1e8])
def test_against_mpmath(b: float, excess: float) -> None:
    mpmath.mp.dps = 50
    a = torch.tensor(b + excess, dtype=torch.float64)
    low, high = mpmath.mpf(a.item()), mpmath.mpf(a.item()) + mpmath.mpf(b)
    expected = mpmath.loggamma(high) - mpmath.loggamma(low)
    found = log_gamma_difference(a, b).item()
    assert abs(found - expected) <= 1e-14 * max(1, abs(expected))
    for order, function in enumerate((digamma_difference, trigamma_difference)):
        expected = mpmath.psi(order, high) - mpmath.psi(order, low)
        assert abs(function(a, b).item() / expected - 1) <= 1e-14


@pytest.mark.parametrize("b", [0.5, 2.0, 300.0])
def test_each_is_the_derivative_of_the_one_before(b: float) -> None:
    a = torch.tensor([0.5, 3.0, 40.0, 1e4], dtype=torch.float64, requires_grad=True)
    chain = (log_gamma_difference, digamma_difference, trigamma_difference)
    for function, derivative in itertools.pairwise(chain):
        (slope,) = torch.autograd.grad(function(a, b).sum(), a)
        torch.testing.assert_close(slope, derivative(a, b), rtol=1e-12, atol=0)
