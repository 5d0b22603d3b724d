"""The log-likelihood and its parts, once more from the weights with NumPy and SciPy alone."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from scipy import special, stats

from sxvae import ProductSpace, ProductSpaceVAE

Array = NDArray[np.float64]

_SAMPLES, _IMAGES, _SHAPE = 7, 5, (1, 3, 4)

_SPACES = {
    "vmf": ProductSpace.parse("2,4"),
    "power-spherical": ProductSpace.parse("2,4", distribution="power-spherical"),
    "normal": ProductSpace.parse("3,2", distribution="normal"),
    "single": ProductSpace.parse("3,2", distribution="normal", covariance="single"),
    "full": ProductSpace.parse("3,2", distribution="normal", covariance="full"),
    "mixed": ProductSpace.parse("3,2,3", distribution="power-spherical,normal,vmf"),
}


@pytest.mark.parametrize("likelihood", ["bernoulli", "gaussian", "categorical"])
@pytest.mark.parametrize("name", _SPACES)
def test_importance_weights_agree_with_an_independent_computation(
    name: str, likelihood: Any
) -> None:
    space = _SPACES[name]
    model = ProductSpaceVAE(
        space, _SHAPE, (8, 6), likelihood=likelihood, learn_radius=bool(space.spheres)
    )
    with torch.no_grad():
        for parameter in model.parameters():  # far from the first weights, which are small
            parameter.copy_(torch.randn_like(parameter) / 2)
    model = model.double()
    x = torch.rand(_IMAGES, *_SHAPE, dtype=torch.float64)
    if likelihood == "bernoulli":
        x = x.round()
    torch.manual_seed(1)
    z = model.encode(x).sample((_SAMPLES,))
    torch.manual_seed(1)
    found = model.importance_terms(x, _SAMPLES)

    weights = {key: value.numpy() for key, value in model.state_dict().items()}
    log_q, log_p, kl = _latent_terms(space, weights, x.numpy(), z.numpy())
    given_z = _given_z(likelihood, weights, space, x.numpy(), z.numpy())
    log_weights = given_z + log_p - log_q
    sums = special.logsumexp(log_weights, axis=0)
    effective = np.exp(2 * sums - special.logsumexp(2 * log_weights, axis=0))
    np.testing.assert_allclose(found.log_likelihood, sums - np.log(_SAMPLES), rtol=1e-9)
    np.testing.assert_allclose(found.reconstruction, given_z.mean(axis=0), rtol=1e-9)
    np.testing.assert_allclose(found.kl.detach(), kl, rtol=1e-9)
    np.testing.assert_allclose(found.effective_samples, effective, rtol=1e-7)


def _layers(weights: dict[str, NDArray[Any]], part: str, x: Array) -> Array:
    """Linear layers with ReLU between them."""
    numbers = sorted(
        int(key.split(".")[2]) for key in weights if key.startswith(part) and "weight" in key
    )
    for number in numbers:
        layer = f"{part}.layers.{number}"
        x = x @ weights[f"{layer}.weight"].T + weights[f"{layer}.bias"]
        if part == "encoder" or number != numbers[-1]:
            x = np.maximum(x, 0)
    return x


def _latent_terms(
    space: ProductSpace, weights: dict[str, NDArray[Any]], x: Array, z: Array
) -> tuple[Array, Array, Array]:
    """log q(z given x) and log p(z), shape (samples, images), and the KLs, (images, factors)."""
    features = _layers(weights, "encoder", x.reshape(len(x), -1))
    outputs = features @ weights["head.linear.weight"].T + weights["head.linear.bias"]
    concentrations = np.split(outputs, [space.ambient, space.ambient + len(space.spheres)], axis=-1)
    loc, raw, scales = concentrations
    log_q, log_p = np.zeros(z.shape[:2]), np.zeros(z.shape[:2])
    kl: list[Array] = []
    spheres, start = 0, 0
    for factor in space.factors:
        part = slice(factor.offset, factor.offset + factor.ambient)
        mean, drawn = loc[:, part], z[..., part]
        if factor.family == "normal":
            counts = {"single": 1, "diagonal": factor.dim}
            count = counts.get(str(factor.covariance), factor.dim * (factor.dim + 1) // 2)
            roots = _roots(scales[:, start : start + count], factor.dim, factor.covariance)
            start += count
            density, prior, divergence = _normal(mean, roots, drawn)
        else:
            concentration = np.logaddexp(raw[:, spheres], 0) + 1
            spheres += 1
            direction = mean / np.linalg.norm(mean, axis=-1, keepdims=True)
            family = _von_mises_fisher if factor.family == "vmf" else _power_spherical
            density, divergence = family(direction, concentration, drawn)
            prior = np.full(density.shape, -_log_area(factor.ambient))
        log_q, log_p = log_q + density, log_p + prior
        kl.append(divergence)
    return log_q, log_p, np.stack(kl, axis=-1)


def _log_area(ambient: int) -> float:
    """The logarithm of the unit sphere's surface."""
    half = ambient / 2
    return float(np.log(2) + half * np.log(np.pi) - special.gammaln(half))


def _von_mises_fisher(mean: Array, concentration: Array, z: Array) -> tuple[Array, Array]:
    density = np.stack(
        [
            stats.vonmises_fisher(m, k).logpdf(z[:, image])
            for image, (m, k) in enumerate(zip(mean, concentration, strict=True))
        ],
        axis=1,
    )
    order = mean.shape[-1] / 2
    ratio = special.ive(order, concentration) / special.ive(order - 1, concentration)
    entropy = [
        stats.vonmises_fisher(m, k).entropy() for m, k in zip(mean, concentration, strict=True)
    ]
    assert (ratio < 1).all()
    return density, _log_area(mean.shape[-1]) - np.array(entropy)


def _power_spherical(mean: Array, concentration: Array, z: Array) -> tuple[Array, Array]:
    beta = (mean.shape[-1] - 1) / 2
    alpha = beta + concentration
    normaliser = (
        (alpha + beta) * np.log(2)
        + beta * np.log(np.pi)
        + special.gammaln(alpha)
        - special.gammaln(alpha + beta)
    )
    density = concentration * np.log1p((z * mean).sum(axis=-1)) - normaliser
    expected = np.log(2) + special.digamma(alpha) - special.digamma(alpha + beta)
    return density, concentration * expected - normaliser + _log_area(mean.shape[-1])


def _roots(outputs: Array, dim: int, covariance: str | None) -> Array:
    """The covariances' lower triangular roots, shape (images, dim, dim)."""
    positive = np.logaddexp(outputs, 0) + 1e-4
    if covariance != "full":
        return np.eye(dim) * np.broadcast_to(positive, (len(outputs), dim))[:, None, :]
    roots = np.zeros((len(outputs), dim, dim))
    rows, columns = np.tril_indices(dim)
    roots[:, rows, columns] = np.where(rows == columns, positive, outputs)
    return roots


def _normal(mean: Array, roots: Array, z: Array) -> tuple[Array, Array, Array]:
    density = np.stack(
        [
            stats.multivariate_normal(m, root @ root.T).logpdf(z[:, image])
            for image, (m, root) in enumerate(zip(mean, roots, strict=True))
        ],
        axis=1,
    )
    covariance = roots @ roots.transpose(0, 2, 1)
    log_determinant = np.linalg.slogdet(covariance)[1]
    trace = np.trace(covariance, axis1=1, axis2=2)
    kl = ((mean**2).sum(axis=-1) + trace - mean.shape[-1] - log_determinant) / 2
    return density, stats.norm.logpdf(z).sum(axis=-1), kl


def _given_z(
    likelihood: str, weights: dict[str, NDArray[Any]], space: ProductSpace, x: Array, z: Array
) -> Array:
    """log p(x given z), shape (samples, images)."""
    scaled = z.copy()
    for radius, index in zip(weights.get("radius.log_radius", ()), space.spheres, strict=False):
        factor = space.factors[index]
        scaled[..., factor.offset : factor.offset + factor.ambient] *= np.exp(radius)
    outputs = _layers(weights, "decoder", scaled)
    pixels = x.reshape(len(x), -1)
    log_p: Any
    if likelihood == "bernoulli":
        log_p = special.log_expit(outputs * (2 * pixels - 1))
    elif likelihood == "gaussian":
        scale = np.exp(weights["likelihood.log_scale"]) + 0.01
        log_p = stats.norm.logpdf(pixels, special.expit(outputs), scale)
    else:
        levels = np.rint(pixels * 255).astype(int)
        log_levels = special.log_softmax(outputs.reshape(*z.shape[:2], 256, -1), axis=2)
        log_p = np.take_along_axis(log_levels, levels[None, :, None, :], axis=2)[:, :, 0]
    return np.asarray(log_p.sum(axis=-1))
