from __future__ import annotations

from collections.abc import Callable

import pytest
import torch

from sxvae import ImageData, ProductSpaceVAE, Split, TrainingSettings
from sxvae.training.metrics import MeanMetrics
from sxvae.training.validation import validate


def test_the_metrics_have_weight_1_and_the_same_noise_each_time(
    few_digits: ImageData, untrained: Callable[..., ProductSpaceVAE]
) -> None:
    model, images = untrained(), few_digits.for_evaluation("validation")
    config = TrainingSettings(beta=0.1, val_log_likelihood=300)
    metrics = validate(model, images, config)
    assert set(metrics) == {"elbo", "reconstruction", "kl", "kl_per_factor", "log_likelihood"}
    assert metrics["elbo"] == pytest.approx(metrics["reconstruction"] - metrics["kl"])
    with torch.no_grad():
        kl = model.elbo(images.images(slice(None))).kl.mean(dim=0)
    assert metrics["kl_per_factor"] == pytest.approx(kl.tolist(), rel=1e-5)
    assert metrics["log_likelihood"] > metrics["elbo"]
    torch.rand(3)  # the caller's stream does not matter
    assert validate(model, images, config) == metrics
    without = validate(model, images, TrainingSettings())
    assert without == {k: v for k, v in metrics.items() if k != "log_likelihood"}
    assert not model.training


def test_many_images_are_one_mean(untrained: Callable[..., ProductSpaceVAE]) -> None:
    """Three batches of 1,000, 1,000 and 1 image, of which the last counts as one."""
    model = untrained()
    one, other = torch.zeros(1, 1, 8, 8), torch.ones(1, 1, 8, 8)
    images = Split(torch.cat([one.expand(2_000, -1, -1, -1), other]))
    kl = validate(model, images, TrainingSettings())["kl"]
    with torch.no_grad():
        first, last = (model.elbo(x).kl.sum().item() for x in (one, other))
    assert kl == pytest.approx((2_000 * first + last) / 2_001, rel=1e-5)


def test_totals_weigh_batches_by_their_images() -> None:
    metrics_so_far = MeanMetrics()
    metrics_so_far.add(torch.tensor(1.0), torch.tensor([-1.0, -3.0, -2.0]), torch.ones(3, 2))
    metrics_so_far.add(torch.tensor(5.0), torch.tensor([-6.0]), torch.tensor([[3.0, 5.0]]))
    means = metrics_so_far.means()
    assert means["loss"] == pytest.approx(2)
    assert means["reconstruction"] == pytest.approx(-3)
    assert means["kl_per_factor"] == pytest.approx([1.5, 2])
    assert means["kl"] == pytest.approx(3.5)
