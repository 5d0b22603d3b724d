"""Cosines of von Mises-Fisher samples, drawn by PyTorch."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from sxvae.distributions.sampling import wood


@pytest.mark.parametrize("ambient", [2, 3, 4, 50])
@pytest.mark.parametrize("concentration", [0.0, 1.0, 1e4, 1e8])
def test_one_minus_and_one_plus_belong_together(ambient: int, concentration: float) -> None:
    k = torch.full((3, 1_000), concentration)
    one_minus, one_plus = wood.draw_cosines(k, ambient)
    assert one_minus.shape == one_plus.shape == k.shape
    assert one_minus.dtype == one_plus.dtype == torch.float64
    assert one_minus.min() > 0
    assert one_plus.min() > 0
    torch.testing.assert_close(one_minus + one_plus, torch.full_like(one_minus, 2.0))
    if concentration == 1e8:  # 1 - cosine keeps its digits: k (1 - t) is Gamma((p-1)/2)
        mean, deviation = (ambient - 1) / 2, ((ambient - 1) / 2) ** 0.5
        scaled = concentration * one_minus
        assert abs(scaled.mean() - mean) < 5 * deviation / k.numel() ** 0.5


@pytest.mark.parametrize("ambient", [2, 4, 10, 200, 5_000])
def test_few_proposals_are_rejected(ambient: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """At most 1.53 a sample, Wood's own number, and less above p = 2; 0.02 is 4 standard errors."""
    drawn = 0

    def counting(like: Tensor, ambient: int) -> Tensor:
        nonlocal drawn
        drawn += like.numel()
        return propose(like, ambient)

    propose = wood._symmetric_beta
    monkeypatch.setattr(wood, "_symmetric_beta", counting)
    count, most = 20_000, 1.53 if ambient == 2 else 1.5
    for concentration in (0.0, 1e-6, 1.0, 30.0, 1e4, 1e8):
        drawn = 0
        wood.draw_cosines(torch.full((count,), concentration), ambient)
        assert count <= drawn <= (most + 0.02) * count
