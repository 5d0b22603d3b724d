from __future__ import annotations

import csv
import json
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors import safe_open
from torch import Tensor, nn

from sxvae import ImageData, ProductSpace, ProductSpaceVAE, Split
from sxvae.errors import ConfigError, DataError
from sxvae.evaluation.embeddings import FORMATS, embed, write_embeddings
from sxvae.evaluation.probe import probe


class _FirstFactorKnows(nn.Module):
    """Features (batch, 6): the class as a direction of R^3, and three numbers of noise."""

    def forward(self, x: Tensor) -> Tensor:
        known, noise = x[:, 0, 0, :3], x[:, 0, 1, :3]
        return torch.cat([known, noise - 0.5], dim=-1)


@pytest.fixture
def data() -> ImageData:
    """Images whose first row is the class, one of three, and whose second is noise."""
    labels = torch.arange(900) % 3
    pixels = torch.zeros(900, 1, 4, 4)
    pixels[:, 0, 0, :3] = 0.9 * nn.functional.one_hot(labels, 3) + 0.1 * torch.rand(900, 3)
    pixels[:, 0, 1, :3] = torch.rand(900, 3)

    def part(start: int, stop: int) -> Split:
        return Split(pixels[start:stop], 1.0, labels[start:stop])

    return ImageData(part(0, 650), part(650, 700), part(700, 900))


@pytest.fixture
def model() -> ProductSpaceVAE:
    """S^2 x S^2: the first factor's mean direction is the class, the second's is noise."""
    decoder = nn.Sequential(nn.Linear(6, 16), nn.Unflatten(1, (1, 4, 4)))
    model = ProductSpaceVAE(
        ProductSpace.parse("2,2"),
        (1, 4, 4),
        encoder=_FirstFactorKnows(),
        decoder=decoder,
        likelihood="gaussian",
    )
    with torch.no_grad():
        model.head.linear.weight[:6].copy_(torch.eye(6))
        model.head.linear.bias[:6].zero_()
    return model


def test_each_factor_is_probed_on_its_own(model: ProductSpaceVAE, data: ImageData) -> None:
    found = probe(model, data)
    assert found["images"] == 200
    assert set(found["accuracy"]) == {"100", "600"}  # there are 650 training images
    for accuracy in found["accuracy"].values():
        knows, does_not = accuracy["per_factor"]
        assert knows == 1
        assert does_not == pytest.approx(1 / 3, abs=0.1)
        assert does_not < accuracy["joint"] <= 1
        assert accuracy["joint_sd"] < 0.1


def test_it_is_the_same_each_time(model: ProductSpaceVAE, data: ImageData) -> None:
    assert probe(model, data, limit=50) == probe(model, data, limit=50)


def test_what_can_not_be_probed(model: ProductSpaceVAE, data: ImageData) -> None:
    with pytest.raises(ConfigError, match="each its own nearest neighbour"):
        probe(model, data, split="train")
    bare = Split(data.train.pixels)
    with pytest.raises(DataError, match="no labels"):
        probe(model, ImageData(bare, bare, bare))
    assert data.test.labels is not None
    few = Split(data.test.pixels[:50], 1.0, data.test.labels[:50])
    with pytest.raises(DataError, match="takes 100 labelled training images, and there are 50"):
        probe(model, ImageData(few, few, few))


def test_embeddings_are_the_posterior_parameters(model: ProductSpaceVAE, data: ImageData) -> None:
    model.train()
    found = embed(model, data, split="validation", samples=3, limit=40)
    assert model.training  # left as it was
    with torch.no_grad():
        loc, concentration, _ = model.posterior_parameters(data.validation.images(slice(0, 40)))
    torch.testing.assert_close(torch.from_numpy(found.loc), loc)
    assert found.concentration is not None
    torch.testing.assert_close(torch.from_numpy(found.concentration), concentration)
    assert found.scale is None
    assert found.label is not None
    assert found.label.tolist() == [(650 + i) % 3 for i in range(40)]
    assert found.z is not None
    assert found.z.shape == (3, 40, 6)
    again = embed(model, data, split="validation", samples=3, limit=40)
    other = embed(model, data, split="validation", samples=3, limit=40, seed=1)
    assert np.array_equal(again.z, found.z)  # type: ignore[arg-type]
    assert not np.array_equal(other.z, found.z)  # type: ignore[arg-type]


def test_classes_keep_their_names(model: ProductSpaceVAE, data: ImageData, tmp_path: Path) -> None:
    names = ("a", "b, c", "ü")
    train, validation, test = (
        Split(part.pixels, 1.0, part.labels, names)
        for part in (data.train, data.validation, data.test)
    )
    named = ImageData(train, validation, test)
    assert probe(model, named, limit=5)["classes"] == list(names)
    assert "classes" not in probe(model, data, limit=5)
    found = embed(model, named, limit=4)
    bare = embed(model, data, limit=4)
    for suffix in FORMATS:
        write_embeddings(found, tmp_path / f"named{suffix}")
        write_embeddings(bare, tmp_path / f"bare{suffix}")
    with np.load(tmp_path / "named.npz") as arrays:
        assert arrays["class_names"].tolist() == list(names)
    with np.load(tmp_path / "bare.npz") as arrays:
        assert "class_names" not in arrays
    with safe_open(tmp_path / "named.safetensors", "np") as file:
        assert json.loads(file.metadata()["class_names"]) == list(names)
        assert set(file.keys()) == {"loc", "concentration", "label"}
    with (tmp_path / "named.csv").open(encoding="utf-8") as text:
        rows = list(csv.DictReader(text))
    assert found.label is not None
    assert [row["class"] for row in rows] == [names[i] for i in found.label]
    assert "class" not in (tmp_path / "bare.csv").read_text().splitlines()[0]
