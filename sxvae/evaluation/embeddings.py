"""Embeddings: the posterior parameters of images as arrays, and the files that hold them."""

from __future__ import annotations

import csv
import io
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.numpy import save

from sxvae.config import SplitName
from sxvae.data import ImageData, Split
from sxvae.errors import ConfigError
from sxvae.evaluation.evaluate import prepare_data
from sxvae.evaluation.posteriors import posteriors
from sxvae.io.atomic import write_atomically
from sxvae.models.posterior import posterior_parameters
from sxvae.models.vae import ProductSpaceVAE
from sxvae.randomness import seeded
from sxvae.spaces import PosteriorParameters
from sxvae.user_paths import user_path

FORMATS = (".npz", ".safetensors", ".csv")


@dataclass(frozen=True)
class Embeddings:
    """The posteriors of n images.

    Attributes:
        loc: mean directions and means side by side, shape (n, ambient).
        concentration: the concentration of each sphere, shape (n, spheres); None without spheres.
        scale: of the normal factors as `Factor.scales` says, side by side, shape (n, scales); None
            without them.
        label: integers, shape (n,); None where the data have none.
        z: posterior draws, shape (draws, n, ambient); None if none were asked for.
        class_names: what the labels 0, 1, 2, ... are called; None where they have no names.
    """

    loc: NDArray[np.float32]
    concentration: NDArray[np.float32] | None
    scale: NDArray[np.float32] | None
    label: NDArray[np.int64] | None
    z: NDArray[np.float32] | None
    class_names: tuple[str, ...] | None = None

    def arrays(self) -> dict[str, NDArray[Any]]:
        """The arrays of numbers that are not None, by name."""
        return {name: array for name, array in vars(self).items() if isinstance(array, np.ndarray)}


def embed(
    model: ProductSpaceVAE,
    data: ImageData,
    *,
    split: SplitName = "test",
    samples: int = 0,
    seed: int = 0,
    limit: int | None = None,
) -> Embeddings:
    """The posteriors of a split's images, binarised as for evaluation.

    Args:
        model: on the device to use.
        data: the data set.
        split: "train", "validation" or "test".
        samples: number of posterior draws for each image.
        seed: random seed of the posterior draws.
        limit: the number of images, taken from the beginning; all if None.

    Raises:
        DataError: if the images do not fit the model.
    """
    images = prepare_data(model, data).for_evaluation(split)
    count = len(images) if limit is None else min(limit, len(images))
    parameters: list[PosteriorParameters] = []
    draws: list[NDArray[np.float32]] = []
    with seeded(seed, "embeddings", next(model.parameters()).device):
        for posterior in posteriors(model, images, torch.arange(count)):
            parameters.append(posterior_parameters(posterior, model.space))
            if samples:
                draws.append(posterior.sample((samples,)).cpu().numpy())
    joined = [torch.cat(parts).cpu().numpy() for parts in zip(*parameters, strict=True)]
    loc, concentration, scale = joined
    return Embeddings(
        loc,
        concentration if model.space.spheres else None,
        scale if model.space.scales else None,
        None if images.labels is None else images.labels[:count].cpu().numpy().astype(np.int64),
        np.concatenate(draws, axis=1) if draws else None,
        images.class_names,
    )


def mean_directions(
    model: ProductSpaceVAE, images: Split, index: torch.Tensor
) -> NDArray[np.float32]:
    """The mean directions and means of the images at `index`, shape (len(index), ambient)."""
    batches = posteriors(model, images, index)
    loc = [posterior_parameters(posterior, model.space).loc for posterior in batches]
    directions: NDArray[np.float32] = torch.cat(loc).cpu().numpy()
    return directions


def check_format(path: str | Path) -> None:
    """Refuse a file name whose ending is no format of embeddings.

    Raises:
        ConfigError: if it does not end in .npz, .safetensors or .csv.
    """
    if Path(path).suffix not in FORMATS:
        raise ConfigError(
            f"{path} names no format of embeddings: end it in {', '.join(FORMATS[:-1])} or "
            f"{FORMATS[-1]}"
        )


def write_embeddings(embeddings: Embeddings, path: str | Path) -> None:
    """Write embeddings atomically, in the format that the file's ending names.

    A .npz or .safetensors file holds `Embeddings.arrays`. A .csv file has a line for each image:
    `label`, then `loc_0`, `loc_1` and so on, `concentration_0`, `scale_0`, and `z_0_0`, `z_0_1` for
    the first draw's coordinates. The names of the classes are the array `class_names` of a .npz
    file, a JSON list in the metadata of a .safetensors file, and the column `class` of a .csv file.

    Raises:
        ConfigError: if the ending is another.
        OutputError: if it can't be written.
    """
    check_format(path)
    target = user_path(path)
    arrays, names = embeddings.arrays(), embeddings.class_names
    if target.suffix == ".safetensors":
        metadata = None if names is None else {"class_names": json.dumps(names)}
        contiguous = {name: np.ascontiguousarray(array) for name, array in arrays.items()}
        content = save(contiguous, metadata)
    elif target.suffix == ".npz":
        buffer = io.BytesIO()
        write: Any = np.savez  # whose own options its stubs take for array names
        write(buffer, **arrays, **({} if names is None else {"class_names": np.array(names)}))
        content = buffer.getvalue()
    else:
        content = _csv(arrays, names).encode()
    write_atomically(target, content)


def _csv(arrays: dict[str, NDArray[Any]], names: tuple[str, ...] | None) -> str:
    columns: dict[str, NDArray[Any]] = {}
    if "label" in arrays:
        columns["label"] = arrays["label"]
        if names is not None:
            columns["class"] = np.array(names)[arrays["label"]]
    for name in ("loc", "concentration", "scale"):
        if name in arrays:
            columns |= {f"{name}_{i}": column for i, column in enumerate(arrays[name].T)}
    for draw, values in enumerate(arrays.get("z", ())):
        columns |= {f"z_{draw}_{i}": column for i, column in enumerate(values.T)}
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(columns)
    writer.writerows(zip(*columns.values(), strict=True))
    return text.getvalue()
