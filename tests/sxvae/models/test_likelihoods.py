from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
import scipy.integrate
import scipy.stats
import torch
from torch import Tensor
from torch.distributions import Bernoulli, Categorical, Independent

from sxvae.config import GAUSSIAN_SCALE_FLOOR, ModelSettings
from sxvae.errors import DataError
from sxvae.models.likelihoods import (
    LEVELS,
    BernoulliImage,
    BernoulliPixels,
    CategoricalImage,
    CategoricalPixels,
    GaussianPixels,
    pixel_likelihood,
)


def test_settings_name_their_likelihood() -> None:
    shape = (1, 4, 4)
    kinds = {"bernoulli": BernoulliPixels, "gaussian": GaussianPixels}
    for name, kind in {**kinds, "categorical": CategoricalPixels}.items():
        settings = ModelSettings.read({"input_shape": shape, "likelihood": name})
        assert type(pixel_likelihood(settings)) is kind
    assert CategoricalPixels().outputs_shape((3, 4, 5)) == (768, 4, 5)
    assert BernoulliPixels().outputs_shape((3, 4, 5)) == (3, 4, 5)


def test_bernoulli_sums_to_one() -> None:
    likelihood = BernoulliPixels()(torch.randn(2, 1, 2, 3, dtype=torch.float64))
    assert (likelihood.batch_shape, likelihood.event_shape) == ((2,), (1, 2, 3))
    images = torch.tensor(list(itertools.product([0.0, 1.0], repeat=6))).double()
    log_prob = likelihood.log_prob(images.reshape(-1, 1, 1, 2, 3))
    assert log_prob.shape == (64, 2)
    torch.testing.assert_close(log_prob.logsumexp(dim=0), torch.zeros(2).double())


def test_bernoulli_is_pytorchs_for_each_pixel() -> None:
    """Values and gradients, one image for many outputs and many images for one output."""
    logits = (10 * torch.randn(5, 4, 2, 2, 3, dtype=torch.float64)).requires_grad_()
    likelihood = BernoulliPixels()(logits)
    theirs = Independent(Bernoulli(logits=logits), 3)
    for shape in ((2, 2, 3), (4, 2, 2, 3), (5, 4, 2, 2, 3), (7, 5, 1, 2, 2, 3)):
        x = torch.bernoulli(torch.full(shape, 0.5, dtype=torch.float64))
        found, expected = likelihood.log_prob(x), theirs.log_prob(x)
        torch.testing.assert_close(found, expected)
        (gradient,) = torch.autograd.grad(found.sum(), logits)
        (expected_gradient,) = torch.autograd.grad(expected.sum(), logits)
        torch.testing.assert_close(gradient, expected_gradient)
    torch.testing.assert_close(likelihood.mean, theirs.mean)
    torch.testing.assert_close(likelihood.entropy(), theirs.entropy())
    assert likelihood.sample((6,)).shape == (6, 5, 4, 2, 2, 3)
    wider = likelihood.expand((3, 5, 4))
    assert isinstance(wider, BernoulliImage)
    x = torch.ones(2, 2, 3, dtype=torch.float64)
    torch.testing.assert_close(wider.log_prob(x), likelihood.log_prob(x).expand(3, -1, -1))


def test_bernoulli_is_finite_where_it_is_sure() -> None:
    likelihood = BernoulliPixels()(torch.full((1, 1, 1), 200.0))
    assert likelihood.log_prob(torch.ones(1, 1, 1)).item() == 0
    assert likelihood.log_prob(torch.zeros(1, 1, 1)).item() == -200


def test_bernoulli_has_every_derivative() -> None:
    def log_prob(logits: Tensor, value: Tensor) -> Tensor:
        found: Tensor = BernoulliPixels()(logits).log_prob(value)
        return found

    logits = torch.randn(3, 1, 2, 2, dtype=torch.float64, requires_grad=True)
    for shape in ((1, 2, 2), (3, 1, 2, 2), (2, 1, 1, 2, 2)):
        value = torch.rand(shape, dtype=torch.float64, requires_grad=True)
        assert torch.autograd.gradcheck(log_prob, (logits, value))
        assert torch.autograd.gradgradcheck(log_prob, (logits, value))


def test_bernoulli_validates_where_asked_for() -> None:
    likelihood = BernoulliImage(torch.zeros(2, 1, 2, 2), validate_args=True)
    with pytest.raises(ValueError, match="support"):
        likelihood.log_prob(torch.full((1, 2, 2), 0.5))


@pytest.mark.parametrize("value", [0.5, 0.999, 2.0, -1.0, math.nan])
def test_bernoulli_refuses_grey_images(value: float) -> None:
    x = torch.zeros(2, 1, 2, 2)
    BernoulliPixels().check(x)
    x[1, 0, 1, 0] = value
    with pytest.raises(DataError, match="images of 0 and 1 only"):
        BernoulliPixels().check(x)


def test_other_likelihoods_take_grey_images() -> None:
    x = torch.rand(2, 1, 2, 2)
    GaussianPixels("learned").check(x)
    CategoricalPixels().check(x)


@pytest.mark.parametrize("scale", [0.05, 1.0, 1, "learned"])
def test_gaussian_integrates_to_one_and_is_scipys(scale: float) -> None:
    pixels = GaussianPixels(scale).double()
    outputs = torch.tensor([[[[0.7]]]], dtype=torch.float64)
    with torch.no_grad():
        likelihood, sigma = pixels(outputs), float(pixels.scale)
        mean = float(likelihood.mean)
        assert mean == pytest.approx(1 / (1 + math.exp(-0.7)))
        # Bounds at 12 standard deviations leave out 1e-33.
        total, _ = scipy.integrate.quad(
            lambda x: float(
                likelihood.log_prob(torch.full((1, 1, 1), x, dtype=torch.float64)).exp()
            ),
            mean - 12 * sigma,
            mean + 12 * sigma,
        )
        assert total == pytest.approx(1, abs=1e-9)
        x = torch.rand(5, 1, 3, 2, 2, dtype=torch.float64)
        outputs = torch.randn(4, 3, 2, 2, dtype=torch.float64)
        found = pixels(outputs).log_prob(x)
    expected = scipy.stats.norm(outputs.sigmoid().numpy(), sigma).logpdf(x.numpy())
    np.testing.assert_allclose(found, expected.sum(axis=(-1, -2, -3)), rtol=1e-12)


def test_a_learned_gaussian_scale_stays_above_its_floor() -> None:
    """On images that are matched exactly it shrinks to the floor, where the density is bounded."""
    pixels = GaussianPixels("learned")
    optimiser = torch.optim.SGD(pixels.parameters(), lr=1.0)
    outputs = torch.zeros(1, 1, 4, 4)
    x = outputs.sigmoid()
    start = pixels.scale.item()
    for _ in range(200):
        optimiser.zero_grad()
        (-pixels(outputs).log_prob(x).sum()).backward()
        optimiser.step()
    assert GAUSSIAN_SCALE_FLOOR <= pixels.scale.item() < 1.05 * GAUSSIAN_SCALE_FLOOR < start
    bound = 16 * scipy.stats.norm(0, GAUSSIAN_SCALE_FLOOR).logpdf(0)
    assert pixels(outputs).log_prob(x).item() <= bound + 1e-3
    with torch.no_grad():
        pixels.log_scale.fill_(-1e4)
    assert pixels.scale.item() == pytest.approx(GAUSSIAN_SCALE_FLOOR)
    assert pixels(outputs).log_prob(torch.ones(1, 4, 4)).isfinite().all()


def test_a_fixed_gaussian_scale_has_no_parameter() -> None:
    pixels = GaussianPixels(0.2)
    assert (list(pixels.parameters()), list(pixels.state_dict())) == ([], [])
    assert float(pixels.scale) == pytest.approx(0.2)


def _logits(*batch: int) -> Tensor:
    """Logits of images with 2 channels and 2 x 3 pixels."""
    return 3 * torch.randn(*batch, 2, LEVELS, 2, 3, dtype=torch.float64)


def test_categorical_sums_to_one_in_each_channel() -> None:
    """One pixel of two channels: all 256 levels of one, with the other held at one level."""
    logits = torch.randn(2, LEVELS, 1, 1, dtype=torch.float64)
    likelihood = CategoricalImage(logits, validate_args=True)
    images = torch.empty(LEVELS, LEVELS, 2, 1, 1, dtype=torch.float64)
    levels = torch.arange(LEVELS).double() / 255
    images[..., 0, 0, 0], images[..., 1, 0, 0] = levels[:, None], levels
    log_prob = likelihood.log_prob(images)
    assert log_prob.shape == (LEVELS, LEVELS)
    torch.testing.assert_close(log_prob.exp().sum(), torch.tensor(1.0).double())
    torch.testing.assert_close(log_prob.logsumexp(dim=1), logits[0, :, 0, 0].log_softmax(dim=0))
    torch.testing.assert_close(log_prob.logsumexp(dim=0), logits[1, :, 0, 0].log_softmax(dim=0))


def test_categorical_is_pytorchs_for_each_pixel() -> None:
    logits = _logits(4)
    likelihood = CategoricalImage(logits)
    assert (likelihood.batch_shape, likelihood.event_shape) == ((4,), (2, 2, 3))
    theirs = Categorical(logits=logits.movedim(-3, -1))
    levels = torch.randint(LEVELS, (5, 4, 2, 2, 3))
    found = likelihood.log_prob(levels.double() / 255)
    torch.testing.assert_close(found, theirs.log_prob(levels).sum(dim=(-1, -2, -3)))
    torch.testing.assert_close(likelihood.entropy(), theirs.entropy().sum(dim=(-1, -2, -3)))
    values = torch.arange(LEVELS).double() / 255
    mean = (theirs.probs * values).sum(dim=-1)
    torch.testing.assert_close(likelihood.mean, mean)
    second = (theirs.probs * values**2).sum(dim=-1)
    torch.testing.assert_close(likelihood.variance, second - mean**2)


def test_outputs_are_split_into_the_channels_levels() -> None:
    outputs = torch.randn(4, 2 * LEVELS, 2, 3)
    likelihood = CategoricalPixels()(outputs)
    blue = outputs[:, LEVELS:].softmax(dim=1)
    mean = (blue * torch.linspace(0, 1, LEVELS)[:, None, None]).sum(dim=1)
    torch.testing.assert_close(likelihood.mean[:, 1], mean)
    assert likelihood.mean.min() >= 0
    assert likelihood.mean.max() <= 1


def test_a_sure_categorical_has_no_negative_variance() -> None:
    logits = torch.zeros(1, LEVELS, 1, 1)
    logits[0, 200] = 80.0
    likelihood = CategoricalImage(logits)
    assert float(likelihood.mean) == pytest.approx(200 / 255)
    assert 0 <= float(likelihood.variance) < 1e-12
    assert float(likelihood.entropy()) == pytest.approx(0, abs=1e-6)
    assert float(CategoricalImage(torch.zeros(1, LEVELS, 1, 1)).entropy()) == pytest.approx(
        math.log(LEVELS), rel=1e-6
    )


def test_values_are_rounded_to_the_nearest_level() -> None:
    """Round(255 x): every level from every float32 way of writing it, and what lies between."""
    logits = torch.randn(1, LEVELS, 1, 1)
    log_p = logits[0, :, 0, 0].log_softmax(dim=0)
    likelihood = CategoricalImage(logits)
    levels = torch.arange(LEVELS)
    for x in (levels / 255, levels * torch.tensor(1 / 255), (levels + 0.4).clamp(max=255) / 255):
        found = likelihood.log_prob(x.float().reshape(-1, 1, 1, 1))
        torch.testing.assert_close(found, log_p)


def test_samples_follow_the_probabilities() -> None:
    """A chi-squared test a pixel at a p-value of 1e-6: a false alarm in 80,000 runs."""
    logits = 2 * torch.rand(2, LEVELS, 2, 3)  # each level is expected 20 times and more
    likelihood = CategoricalImage(logits, validate_args=True)
    x = likelihood.sample((20_000,))
    assert x.shape == (20_000, 2, 2, 3)
    assert not likelihood.has_rsample
    likelihood.log_prob(x[:5])  # they pass validation
    levels = (x * 255).round().long()
    torch.testing.assert_close(levels / 255, x)
    probs = logits.double().softmax(dim=1).numpy()
    for channel, row, column in itertools.product(range(2), range(2), range(3)):
        counts = np.bincount(levels[:, channel, row, column].numpy(), minlength=LEVELS)
        test = scipy.stats.chisquare(counts, 20_000 * probs[channel, :, row, column])
        assert test.pvalue > 1e-6
    error = (x.mean(dim=0) - likelihood.mean) / (likelihood.variance / 20_000).sqrt()
    assert error.abs().max() < 5.5


def test_sample_dimensions_broadcast() -> None:
    likelihood = CategoricalImage(_logits(3, 4))
    x = torch.rand(2, 2, 3, dtype=torch.float64)
    each = likelihood.log_prob(x)
    assert each.shape == (3, 4)
    images = torch.rand(4, 2, 2, 3, dtype=torch.float64)
    more = likelihood.log_prob(images)
    assert more.shape == (3, 4)
    for i in range(4):
        torch.testing.assert_close(more[:, i], likelihood.log_prob(images[i])[:, i])
    assert likelihood.log_prob(torch.rand(7, 1, 1, 2, 2, 3)).shape == (7, 3, 4)
    assert likelihood.sample((6,)).shape == (6, 3, 4, 2, 2, 3)
    assert likelihood.sample().shape == (3, 4, 2, 2, 3)


def test_expand() -> None:
    likelihood = CategoricalImage(_logits(4), validate_args=True)
    wider = likelihood.expand((3, 4))
    assert (wider.batch_shape, wider.event_shape) == ((3, 4), (2, 2, 3))
    x = torch.rand(4, 2, 2, 3, dtype=torch.float64)
    torch.testing.assert_close(wider.log_prob(x), likelihood.log_prob(x).expand(3, 4))
    torch.testing.assert_close(wider.mean, likelihood.mean.expand(3, -1, -1, -1, -1))
    with pytest.raises(ValueError, match="support"):
        wider.log_prob(x + 1)


def test_arguments_are_validated_where_asked_for() -> None:
    likelihood = CategoricalImage(_logits(), validate_args=True)
    for bad in (-0.1, 1.1, math.nan):
        with pytest.raises(ValueError, match="support"):
            likelihood.log_prob(torch.full((2, 2, 3), bad))
    with pytest.raises(ValueError, match="event_shape"):
        likelihood.log_prob(torch.zeros(2, 2, 2))
    with pytest.raises(ValueError, match="logits"):
        CategoricalImage(_logits() * math.nan, validate_args=True)


def test_the_gradient_is_one_hot_minus_softmax() -> None:
    logits = _logits(3).requires_grad_()
    x = torch.rand(3, 2, 2, 3, dtype=torch.float64)
    (gradient,) = torch.autograd.grad(CategoricalImage(logits).log_prob(x).sum(), logits)
    one_hot = torch.nn.functional.one_hot((x * 255).round().long(), LEVELS).movedim(-1, -3)
    torch.testing.assert_close(gradient, one_hot - logits.detach().softmax(dim=-3))
