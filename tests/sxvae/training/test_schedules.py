from __future__ import annotations

import pytest

from sxvae.training.schedules import kl_weight, learning_rate


def test_kl_weight_grows_linearly_from_zero() -> None:
    assert [kl_weight(epoch, 4, 1.0) for epoch in range(6)] == [0, 0.25, 0.5, 0.75, 1, 1]
    assert kl_weight(0, 0, 0.5) == 0.5
    assert kl_weight(2, 4, 0.5) == pytest.approx(0.25)


def test_a_frozen_kl_has_no_weight_and_warms_up_afterwards() -> None:
    assert [kl_weight(epoch, 2, 2.0, freeze=3) for epoch in range(7)] == [0, 0, 0, 0, 1, 2, 2]
    assert [kl_weight(epoch, 0, 1.0, freeze=2) for epoch in range(4)] == [0, 0, 1, 1]


def test_the_learning_rate_stays_or_falls_as_a_cosine() -> None:
    assert [learning_rate(epoch, 4, 0.1, "constant") for epoch in range(4)] == [0.1] * 4
    cosine = [learning_rate(epoch, 4, 0.1, "cosine") for epoch in range(5)]
    assert cosine == pytest.approx([0.1, 0.1 * (2 + 2**0.5) / 4, 0.05, 0.1 * (2 - 2**0.5) / 4, 0])
