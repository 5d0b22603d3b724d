"""How much accuracy a lower precision costs, measured on images of the validation split."""

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

# The bounds above which a lower precision is refused without --allow-accuracy-loss: on the relative
# difference of an output, and on the relative rise of the squared error.
DIFFERENCE_BOUND = 0.02
ERROR_BOUND = 0.01

_MOST_IMAGES = 1_000


@dataclasses.dataclass(frozen=True)
class AccuracyLoss:
    """A lower precision compared with float32. The manifest and --json have it with these names.

    Attributes:
        images: the number of images that it was measured on.
        outputs: for each output of encoder and decoder the root mean square of the difference from
            float32, relative to the root mean square of float32's output.
        squared_error: the mean squared error of a reconstructed pixel in float32.
        squared_error_now: the same, where the lower precision encodes and decodes.
        bytes: the size of encoder and decoder in float32.
        bytes_now: the same in the lower precision.
    """

    images: int
    outputs: dict[str, float]
    squared_error: float
    squared_error_now: float
    bytes: int
    bytes_now: int

    @property
    def largest_difference(self) -> float:
        """The largest relative difference of an output."""
        return float(np.max(list(self.outputs.values())))  # NaN if any is, unlike the builtin max

    @property
    def error_rise(self) -> float:
        """The rise of the squared error, relative to float32's."""
        return self.squared_error_now / self.squared_error - 1 if self.squared_error else math.inf

    def refuse_large(self, *, allowed: bool) -> None:
        """Refuse a loss above the bounds.

        Args:
            allowed: accept any loss, as long as the outputs are finite.

        Raises:
            NumericalError: if outputs are not finite.
            OutputError: if the loss is above the bounds and that is not allowed.
        """
        if not math.isfinite(self.largest_difference + self.squared_error_now):
            raise NumericalError(
                "outputs in the lower precision are not finite, so the model's numbers are too "
                "large for it: the bundle was not written"
            )
        above = self.largest_difference > DIFFERENCE_BOUND or self.error_rise > ERROR_BOUND
        if above and not allowed:
            raise OutputError(
                f"outputs in the lower precision differ from float32's by "
                f"{self.largest_difference:.2%} (at most {DIFFERENCE_BOUND:.0%} is accepted) and "
                f"the squared error changes by {self.error_rise:+.2%} (at most {ERROR_BOUND:+.0%}):"
                " the bundle was not written; --allow-accuracy-loss writes it all the same"
            )

    def as_dict(self) -> dict[str, Any]:
        """The measurements, ready for JSON."""
        return dataclasses.asdict(self)


def validation_images(
    source: Checkpoint,
    model: ProductSpaceVAE,
    data_dir: str | None,
    on_change: Callable[[str], None] | None,
) -> NDArray[np.float32]:
    """The first validation images of the run's data set, binarised as for evaluation.

    Args:
        source: the checkpoint, whose settings name the data set.
        model: its model.
        data_dir: the folder that holds the data set; None for the run's own or the usual one.
        on_change: called with a sentence if the images at a path differ from those of the run.

    Returns:
        Shape (n, C, H, W), values in [0, 1], n at most 1,000.

    Raises:
        ConfigError: if the run's images were passed in from Python, so that nothing can load them.
        DataError: if they can't be loaded, or differ and there is no `on_change`.
    """
    data = prepare_data(model, load_again(source.settings.data, data_dir, on_change))
    images: NDArray[np.float32] = (
        data.for_evaluation("validation").images(slice(0, _MOST_IMAGES)).numpy()
    )
    return images


def measure_accuracy_loss(
    full: Mapping[str, bytes], reduced: Mapping[str, bytes], images: NDArray[np.float32]
) -> AccuracyLoss:
    """Run encoder and decoder in both precisions, and compare.

    The decoders are compared on the same latent vectors, float32's mean directions.

    Args:
        full: the serialised graphs in float32, by their names.
        reduced: the serialised graphs in the lower precision.
        images: values in [0, 1], shape (n, C, H, W).
    """
    encoded = run_graph(full["encoder"], {"x": images})
    encoded_now = run_graph(reduced["encoder"], {"x": images})
    z, z_now = encoded["mean_direction"], encoded_now["mean_direction"]
    decoded, decoded_now = (run_graph(graphs["decoder"], {"z": z}) for graphs in (full, reduced))
    outputs: dict[str, float] = {}
    for before, now in ((encoded, encoded_now), (decoded, decoded_now)):
        outputs |= {name: _relative_difference(before[name], now[name]) for name in before}
    reconstructed = run_graph(reduced["decoder"], {"z": z_now})["mean"]
    return AccuracyLoss(
        images=len(images),
        outputs=outputs,
        squared_error=_mean_square(decoded["mean"] - images),
        squared_error_now=_mean_square(reconstructed - images),
        bytes=sum(len(full[name]) for name in ("encoder", "decoder")),
        bytes_now=sum(len(reduced[name]) for name in ("encoder", "decoder")),
    )


def _relative_difference(expected: NDArray[np.float32], found: NDArray[np.float32]) -> float:
    return math.sqrt(_mean_square(found - expected) / _mean_square(expected))


def _mean_square(values: NDArray[np.float32]) -> float:
    return float(np.mean(np.square(values, dtype=np.float64)))
