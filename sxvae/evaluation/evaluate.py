"""The metrics of a trained model."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
from torch import Tensor

from sxvae.collapse import collapsed_factors
from sxvae.config import DECODING_MEMORY, EVALUATION_SAMPLES, SplitName
from sxvae.data.images import ImageData, Split
from sxvae.errors import ConfigError, DataError, NumericalError
from sxvae.evaluation.information import in_factor_order, information_terms, joined_parameters
from sxvae.evaluation.posteriors import posteriors
from sxvae.models.importance import ImportanceTerms, slices
from sxvae.models.vae import ProductSpaceVAE, evaluating
from sxvae.randomness import seeded

_BATCH = 100


@dataclass(frozen=True)
class Evaluation:
    """The metrics of a model on a split, nats per image.

    Attributes:
        log_likelihood: the importance-weighted estimate [4], mean over the images.
        log_likelihood_se: its standard error, the standard deviation over images / sqrt(images);
            None for a single image, whose spread is not known.
        elbo: reconstruction - kl, from the same posterior draws.
        reconstruction: E_q log p(x given z).
        kl: the sum of `kl_per_factor`.
        kl_per_factor: KL(q(z given x), p(z)) in the factors' order.
        concentration_per_factor: the mean concentration, in the factors' order; None for a
            Euclidean factor.
        effective_sample_size: (sum of the importance weights)^2 / sum of their squares, from 1 to
            `samples`, mean over the images.
        mutual_information: I(x; z_j) of each factor under the aggregate posterior over the images,
            q(z_j) = mean of q(z_j given x) [8], at most log(images): what the factor says of the
            image. An estimate by posterior draws, which may fall a little below 0.
        mutual_information_se: its standard errors, as `log_likelihood_se`.
        marginal_kl: KL(q(z_j), p(z_j)) of the aggregate posterior: `kl_per_factor` less
            `mutual_information`.
        marginal_kl_se: its standard errors, likewise.
        collapsed: whether each factor has collapsed: its mutual information is at most 0.1 nat, or
            its concentration at its floor. None for a single image, of which nothing can be said.
        active_factors: how many factors have not collapsed; None for a single image.
        images: the number of images.
        samples: importance samples per image.
        seed: of the posterior draws.
        split: "train", "validation" or "test".
        binarization: how the images became binary: "fixed" (once, with a constant seed),
            or "none" where they were binary already.
        checkpoint: the file of the model; empty if there was none.
        dataset: the data set's name.
    """

    log_likelihood: float
    log_likelihood_se: float | None
    elbo: float
    reconstruction: float
    kl: float
    kl_per_factor: list[float]
    concentration_per_factor: list[float | None]
    effective_sample_size: float
    mutual_information: list[float]
    mutual_information_se: list[float] | None
    marginal_kl: list[float]
    marginal_kl_se: list[float] | None
    collapsed: list[bool] | None
    active_factors: int | None
    images: int
    samples: int
    seed: int
    split: SplitName
    binarization: str
    checkpoint: str
    dataset: str

    def as_dict(self) -> dict[str, Any]:
        """Ready for JSON."""
        return dataclasses.asdict(self)


def prepare_data(model: ProductSpaceVAE, data: ImageData) -> ImageData:
    """Check the images' shape and set the binarisation that the likelihood needs.

    Raises:
        DataError: if `data` is no `ImageData`, the images' shape is not the model's, or the
            likelihood is Bernoulli and the images are neither binary nor binarised.
    """
    if not isinstance(data, ImageData):
        raise DataError(
            f"the data are a {type(data).__name__}, and sxvae.ImageData is needed: make it of "
            "three sxvae.Split, or of a file or folder with sxvae.load_data(path)"
        )
    if data.image_shape != model.settings.input_shape:
        raise DataError(
            f"the images of {data.settings.dataset} have the shape {data.image_shape}, and the "
            f"model takes {model.settings.input_shape}: choose the data set that it was trained on"
        )
    return data.for_likelihood(model.settings.likelihood)


def evaluate(
    model: ProductSpaceVAE,
    data: ImageData,
    *,
    split: SplitName = "test",
    samples: int = EVALUATION_SAMPLES,
    seed: int = 0,
    limit: int | None = None,
    memory: int = DECODING_MEMORY,
    checkpoint: str = "",
    on_progress: Callable[[float, int], None] | None = None,
) -> Evaluation:
    """Measure a model on a split, its images binarised once with a constant seed.

    Args:
        model: on the device to use.
        data: the data set.
        split: "train", "validation" or "test".
        samples: importance samples per image.
        seed: of the posterior draws only.
        limit: take the first so many images.
        memory: what decoding, or comparing draws with images, may take at a time, in MiB; the draws
            do not depend on it.
        checkpoint: the file of the model, for the result.
        on_progress: called with the images done and all images; where the samples of a batch of
            images are decoded in several parts, the images done are a fraction.

    Raises:
        ConfigError: if `samples`, `limit` or `memory` is below 1.
        DataError: if the images' shape is not the model's.
        NumericalError: if a metric is not finite.
    """
    for name, value in (("samples", samples), ("limit", limit), ("memory", memory)):
        if value is not None and value < 1:
            raise ConfigError(f"at least 1 is needed, not {value}", setting=name)
    data = prepare_data(model, data)
    images = data.for_evaluation(split)
    device = next(model.parameters()).device
    count = len(images) if limit is None else min(limit, len(images))
    batches = []
    with evaluating(model), seeded(seed, "evaluation", device):
        for batch in slices(count, _BATCH):
            x = images.images(batch).to(device)
            report = _reporting(on_progress, batch, count)
            batches.append(model.importance_terms(x, samples, memory=memory, on_progress=report))
    terms = ImportanceTerms(*(torch.cat(parts).double() for parts in zip(*batches, strict=True)))
    _refuse_non_finite(terms)
    with seeded(seed, "mutual information", device):
        information = _information(model, images, terms.kl, memory)
    concentration = in_factor_order(terms.concentration.mean(dim=0).tolist(), model.space)
    collapsed = None if count == 1 else collapsed_factors(information[0], concentration)
    kl = terms.kl.mean(dim=0)
    reconstruction = terms.reconstruction.mean().item()
    return Evaluation(
        log_likelihood=terms.log_likelihood.mean().item(),
        log_likelihood_se=_standard_error(terms.log_likelihood),
        elbo=reconstruction - kl.sum().item(),
        reconstruction=reconstruction,
        kl=kl.sum().item(),
        kl_per_factor=kl.tolist(),
        concentration_per_factor=concentration,
        effective_sample_size=terms.effective_samples.mean().item(),
        **information._asdict(),
        collapsed=collapsed,
        active_factors=None if collapsed is None else collapsed.count(False),
        images=count,
        samples=samples,
        seed=seed,
        split=split,
        binarization="none" if data.settings.binarization == "none" else "fixed",
        checkpoint=checkpoint,
        dataset=data.settings.dataset,
    )


class _Information(NamedTuple):
    """The two parts of each factor's KL, as `Evaluation` has them."""

    mutual_information: list[float]
    mutual_information_se: list[float] | None
    marginal_kl: list[float]
    marginal_kl_se: list[float] | None


def _information(model: ProductSpaceVAE, images: Split, kl: Tensor, memory: int) -> _Information:
    """Divide the KL of the first images, shape (images, factors), into its parts."""
    batches = posteriors(model, images, torch.arange(len(kl)))
    parameters = joined_parameters(batches, model.space)
    chosen, terms = information_terms(parameters, model.space, memory=memory)
    information = terms.mean(dim=0)
    return _Information(
        information.tolist(),
        _standard_errors(terms),
        (kl.mean(dim=0) - information).tolist(),
        _standard_errors(kl[chosen] - terms),
    )


def _reporting(
    on_progress: Callable[[float, int], None] | None, batch: slice, count: int
) -> Callable[[float], None] | None:
    """Report the images done from the fraction of a batch that is done."""
    if on_progress is None:
        return None
    return lambda fraction: on_progress(batch.start + fraction * (batch.stop - batch.start), count)


def _standard_error(values: Tensor) -> float | None:
    """The standard error of the mean; None for a single value, whose spread is not known."""
    return values.std().item() / math.sqrt(len(values)) if len(values) > 1 else None


def _standard_errors(values: Tensor) -> list[float] | None:
    """The standard error of each column's mean, as `_standard_error`."""
    if len(values) == 1:
        return None
    errors: list[float] = (values.std(dim=0) / math.sqrt(len(values))).tolist()
    return errors


def _refuse_non_finite(terms: ImportanceTerms) -> None:
    for name, values in terms._asdict().items():
        per_image = torch.isfinite(values).reshape(len(values), values[0].numel()).all(dim=1)
        bad = int((~per_image).sum())
        if bad:
            raise NumericalError(
                f"the {name.replace('_', '-')} of {bad} of {len(values)} images is not finite: the "
                "model's weights have diverged"
            )
