from __future__ import annotations

import math

import pytest
import torch

from sxvae import ImageData, ProductSpace, ProductSpaceVAE, Split, evaluate, load_data
from sxvae.errors import ConfigError, DataError, NumericalError


@pytest.fixture(scope="module")
def data() -> ImageData:
    return load_data("digits")


@pytest.fixture(scope="module")
def model(data: ImageData) -> ProductSpaceVAE:
    with torch.random.fork_rng():
        torch.manual_seed(1)
        return ProductSpaceVAE(ProductSpace.parse("4,2,4"), data.image_shape, (32,))


def test_metrics_of_an_untrained_model(model: ProductSpaceVAE, data: ImageData) -> None:
    metrics = evaluate(model, data, samples=50)
    assert metrics.log_likelihood == pytest.approx(-64 * math.log(2), abs=1.5)
    assert metrics.log_likelihood >= metrics.elbo
    assert metrics.elbo == pytest.approx(metrics.reconstruction - metrics.kl)
    assert metrics.kl == pytest.approx(sum(metrics.kl_per_factor))
    assert len(metrics.kl_per_factor) == len(metrics.concentration_per_factor) == 3
    assert (metrics.images, metrics.samples, metrics.seed) == (250, 50, 0)
    assert (metrics.split, metrics.binarization, metrics.dataset) == ("test", "fixed", "digits")


def test_the_seed_drives_the_draws_only(model: ProductSpaceVAE, data: ImageData) -> None:
    before = torch.get_rng_state()
    first, again = (evaluate(model, data, samples=3, seed=5) for _ in range(2))
    other = evaluate(model, data, samples=3, seed=6)
    assert first == again
    assert first.log_likelihood != other.log_likelihood
    assert first.kl == other.kl  # closed form: the images are the same
    assert first.mutual_information != other.mutual_information
    assert torch.equal(before, torch.get_rng_state())


def test_limit_and_split(model: ProductSpaceVAE, data: ImageData) -> None:
    seen: list[tuple[int, int]] = []
    metrics = evaluate(
        model,
        data,
        split="validation",
        samples=2,
        limit=120,
        on_progress=lambda *done: seen.append(done),
    )
    assert metrics.images == 120
    assert seen == [(100, 120), (120, 120)]
    assert evaluate(model, data, samples=2, limit=10_000).images == 250
    alone = evaluate(model, data, samples=2, limit=1)
    unknown = ("log_likelihood_se", "mutual_information_se", "marginal_kl_se", "collapsed")
    found = alone.as_dict()
    assert [found[key] for key in (*unknown, "active_factors")] == [None] * 5


def test_the_standard_error_is_that_of_the_mean(model: ProductSpaceVAE, data: ImageData) -> None:
    metrics = evaluate(model, data, samples=500)
    x = data.for_evaluation("test").images(slice(None))
    spread = model.importance_log_likelihood(x, 500).std().item()
    assert metrics.log_likelihood_se == pytest.approx(spread / math.sqrt(250), rel=0.1)


def test_the_kl_has_two_parts(model: ProductSpaceVAE, data: ImageData) -> None:
    metrics = evaluate(model, data, samples=2)
    parts = zip(metrics.mutual_information, metrics.marginal_kl, strict=True)
    assert [sum(pair) for pair in parts] == pytest.approx(metrics.kl_per_factor)
    again = [evaluate(model, data, samples=2, seed=seed).mutual_information for seed in range(1, 5)]
    errors = metrics.mutual_information_se
    assert errors is not None
    for index, error in enumerate(errors):
        values = [found[index] for found in again]
        # Other draws for the same images differ by less than other images would.
        assert max(values) - min(values) < 4 * error


def test_refusals(model: ProductSpaceVAE, data: ImageData) -> None:
    with pytest.raises(ConfigError, match="samples: at least 1"):
        evaluate(model, data, samples=0)
    with pytest.raises(ConfigError, match="limit: at least 1"):
        evaluate(model, data, limit=0)
    with pytest.raises(ConfigError, match="memory: at least 1"):
        evaluate(model, data, memory=0)
    small = Split(torch.zeros(3, 1, 4, 4))
    with pytest.raises(DataError, match="have the shape"):
        evaluate(model, ImageData(small, small, small))


def test_a_non_finite_metric_is_an_error_and_not_left_out(data: ImageData) -> None:
    model = ProductSpaceVAE(ProductSpace.parse("2"), data.image_shape, (8,))
    with torch.no_grad():
        list(model.decoder.parameters())[-1][0] = torch.nan
    with pytest.raises(NumericalError, match="log-likelihood of 7 of 7 images is not finite"):
        evaluate(model, data, samples=2, limit=7)
