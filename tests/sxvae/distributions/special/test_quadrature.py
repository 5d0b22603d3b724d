"""The nodes and weights against integrals in closed form."""

from __future__ import annotations

import math

import pytest
import torch

from sxvae.distributions.special.quadrature import double_exponential, gauss_legendre

CPU = torch.device("cpu")


@pytest.mark.parametrize("count", [1, 4, 20])
def test_gauss_legendre_is_exact_for_polynomials(count: int) -> None:
    nodes, weights = gauss_legendre(count, CPU)
    for degree in range(2 * count):
        integral = (weights * nodes**degree).sum().item()
        assert integral == pytest.approx(1 / (degree + 1), rel=1e-13)


def test_double_exponential_nodes_integrate_singular_functions() -> None:
    nodes, to_end, weights = double_exponential(96, CPU)
    torch.testing.assert_close(nodes + to_end, torch.ones_like(nodes))
    for values, expected in (
        (nodes.log(), -1.0),
        (to_end.log(), -1.0),
        (nodes**-0.25, 4 / 3),
        ((nodes * to_end) ** -0.25, math.gamma(0.75) ** 2 / math.gamma(1.5)),
        (nodes.exp(), math.e - 1),
    ):
        assert (values * weights).sum().item() == pytest.approx(expected, rel=1e-12)
