"""What a smaller form costs, measured on images of the validation split."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sxvae.data import load_again
from sxvae.errors import NumericalError, OutputError
from sxvae.evaluation.evaluate import prepare_data
from sxvae.models.vae import ProductSpaceVAE
from sxvae.runs.checkpoint import Checkpoint
from sxvae_export.checks import run_graph

# How far a smaller form may be from float32 without --allow-drift.
DRIFT_BOUND = 0.02
ERROR_BOUND = 0.01

_MOST_IMAGES = 1_000


@dataclasses.dataclass(frozen=True)
class Drift:
    """A smaller form beside float32.

    Attributes:
        images: how many it was measured on.
        outputs: for each output of encoder and decoder the root mean square of the difference,
            relative to the root mean square of float32's output.
        squared_error: mean squared error of a pixel's reconstruction, in float32.
        squared_error_now: in the smaller form, which encodes and decodes.
        bytes: of encoder and decoder, in float32.
        bytes_now: in the smaller form.
    """

    images: int
    outputs: dict[str, float]
    squared_error: float
    squared_error_now: float
    bytes: int
    bytes_now: int

    @property
    def largest(self) -> float:
        """The largest of the outputs' drifts."""
        return float(np.max(list(self.outputs.values())))  # NaN if any is, unlike the builtin max

    @property
    def rise(self) -> float:
        """Of the squared error, relative to float32's."""
        return self.squared_error_now / self.squared_error - 1 if self.squared_error else math.inf

    def refuse_large(self, *, allowed: bool) -> None:
        """Refuse what is over the bounds, unless that is allowed.

        Raises:
            NumericalError: if outputs are not finite, which is never allowed.
            OutputError: saying how far over the bounds it is.
        """
        if not math.isfinite(self.largest + self.squared_error_now):
            raise NumericalError(
                "the smaller form's outputs are not finite, so the model's numbers are too large "
                "for it: the bundle was not written"
            )
        if not allowed and (self.largest > DRIFT_BOUND or self.rise > ERROR_BOUND):
            raise OutputError(
                f"the smaller form's outputs differ from float32's by {self.largest:.2%} (at most "
                f"{DRIFT_BOUND:.0%} is let through) and its squared error is {self.rise:+.2%} (at "
                f"most {ERROR_BOUND:+.0%}): the bundle was not written; --allow-drift writes it "
                "all the same"
            )

    def as_dict(self) -> dict[str, Any]:
        """Ready for JSON."""
        return dataclasses.asdict(self)


def validation_images(
    source: Checkpoint,
    model: ProductSpaceVAE,
    data_dir: str | None,
    on_change: Callable[[str], None] | None,
) -> NDArray[np.float32]:
    """The first validation images of the run's data set, as the model is evaluated on them.

    Raises:
        ConfigError: if the run's images are no data set that can be loaded by name.
        DataError: if they can't be had, or have changed and there is no `on_change`.
    """
    data = prepare_data(model, load_again(source.settings.data, data_dir, on_change))
    images: NDArray[np.float32] = (
        data.for_evaluation("validation").images(slice(0, _MOST_IMAGES)).numpy()
    )
    return images


def measure(
    before: Mapping[str, bytes], after: Mapping[str, bytes], images: NDArray[np.float32]
) -> Drift:
    """Run two forms of encoder and decoder.

    The decoders' drift is that for the same latent vectors, float32's mean directions.
    """
    outputs: dict[str, float] = {}
    encoded = run_graph(before["encoder"], {"x": images})
    encoded_now = run_graph(after["encoder"], {"x": images})
    z, z_now = encoded["mean_direction"], encoded_now["mean_direction"]
    decoded, decoded_now = (run_graph(form["decoder"], {"z": z}) for form in (before, after))
    for pair in ((encoded, encoded_now), (decoded, decoded_now)):
        outputs |= {name: _relative(pair[0][name], pair[1][name]) for name in pair[0]}
    reconstructed = run_graph(after["decoder"], {"z": z_now})["mean"]
    return Drift(
        images=len(images),
        outputs=outputs,
        squared_error=_mean_square(decoded["mean"] - images),
        squared_error_now=_mean_square(reconstructed - images),
        bytes=sum(len(before[name]) for name in ("encoder", "decoder")),
        bytes_now=sum(len(after[name]) for name in ("encoder", "decoder")),
    )


def _relative(expected: NDArray[np.float32], found: NDArray[np.float32]) -> float:
    return math.sqrt(_mean_square(found - expected) / _mean_square(expected))


def _mean_square(values: NDArray[np.float32]) -> float:
    return float(np.mean(np.square(values, dtype=np.float64)))
