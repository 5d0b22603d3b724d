"""Accuracy of predicting labels from few labelled latent codes, by nearest neighbours."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from sxvae.config import SplitName
from sxvae.data import ImageData
from sxvae.errors import ConfigError, DataError
from sxvae.evaluation.embeddings import mean_directions
from sxvae.evaluation.evaluate import prepare_data
from sxvae.models.vae import ProductSpaceVAE

LABELLED = (100, 600, 1_000)
NEIGHBOURS = 5
_DRAWS = 10
_SEED = 2_001


def probe(
    model: ProductSpaceVAE,
    data: ImageData,
    *,
    split: SplitName = "test",
    limit: int | None = None,
) -> dict[str, Any]:
    """Accuracy of k nearest neighbours by cosine distance between posterior means, as in [1].

    The neighbours are 100, 600 and 1,000 labelled training images (those numbers that the training
    split has), drawn with a constant seed; each accuracy is the mean over ten draws.

    Args:
        model: on the device to use.
        data: the data set, with labels.
        split: whose labels are predicted, "test" or "validation".
        limit: the number of its images, taken from the beginning; all if None.

    Returns:
        JSON-ready: "neighbours", "draws", "images", "classes" (their names, if they have names),
        and "accuracy": for each number of labels the
        accuracy with all coordinates ("joint"), its standard deviation over the draws
        ("joint_sd"; None where all training images are labelled, so that the draws do not
        differ), and that with each factor's own ("per_factor").

    Raises:
        ConfigError: if the split is "train", of which the labelled images are.
        DataError: if the images have no labels, do not fit the model, or are fewer than 100.
    """
    check_probe(data, split)
    data = prepare_data(model, data)
    train, target = data.for_evaluation("train"), data.for_evaluation(split)
    assert train.labels is not None
    assert target.labels is not None
    numbers = [number for number in LABELLED if number <= len(train)]
    count = len(target) if limit is None else min(limit, len(target))
    # NumPy guarantees this older generator's stream for good.
    rng = np.random.RandomState(_SEED)
    draws = {
        number: [rng.permutation(len(train))[:number] for _ in range(_DRAWS)] for number in numbers
    }
    used = np.unique(np.concatenate([index for indices in draws.values() for index in indices]))
    codes = np.empty((len(train), model.space.ambient), dtype=np.float32)
    codes[used] = mean_directions(model, train, torch.from_numpy(used))
    predicted = mean_directions(model, target, torch.arange(count))
    truth = target.labels[:count].cpu().numpy()
    labels = train.labels.cpu().numpy()
    parts = [slice(None), *(factor.slice for factor in model.space.factors)]
    accuracy = {}
    for number, indices in draws.items():
        found = np.array(
            [
                [
                    _accuracy(codes[i][:, part], labels[i], predicted[:, part], truth)
                    for part in parts
                ]
                for i in indices
            ]
        )
        joint, *per_factor = found.mean(axis=0).tolist()
        accuracy[str(number)] = {
            "joint": joint,
            "joint_sd": float(found[:, 0].std(ddof=1)) if number < len(train) else None,
            "per_factor": per_factor,
        }
    about = {"neighbours": NEIGHBOURS, "draws": _DRAWS, "images": count, "accuracy": accuracy}
    return about if target.class_names is None else {**about, "classes": list(target.class_names)}


def check_probe(data: ImageData, split: SplitName) -> None:
    """Refuse data that can't be probed, before any work starts.

    Raises:
        ConfigError: if the split is "train", of which the labelled images are.
        DataError: if the images have no labels or are fewer than 100.
    """
    if split == "train":
        raise ConfigError(
            "the labelled images of a probe are training images, each its own nearest neighbour: "
            "choose the test or the validation split"
        )
    if data.train.labels is None or data.split(split).labels is None:
        raise DataError(f"{data.settings.dataset} has no labels, and a probe needs them")
    if len(data.train) < LABELLED[0]:
        raise DataError(
            f"a probe takes {LABELLED[0]} labelled training images, and there are {len(data.train)}"
        )


def _accuracy(
    codes: NDArray[Any], labels: NDArray[Any], queries: NDArray[Any], truth: NDArray[Any]
) -> float:
    from sklearn.neighbors import KNeighborsClassifier

    classifier = KNeighborsClassifier(NEIGHBOURS, metric="cosine").fit(codes, labels)
    return float(classifier.score(queries, truth))
