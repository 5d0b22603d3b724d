from __future__ import annotations

import hashlib
import importlib.util
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import sklearn.datasets
import torch
from hypothesis import given
from hypothesis import strategies as st

from sxvae import DataSettings, ImageData, Split, load_data
from sxvae.data import DATASETS, load_again, relocated
from sxvae.data.sources.splitting import partition, shuffled
from sxvae.errors import ConfigError, DataError


def test_digits_are_those_of_scikit_learn(monkeypatch: pytest.MonkeyPatch) -> None:
    bunch = sklearn.datasets.load_digits()
    for moved in (False, True):
        if moved:  # the file, in a release to come
            monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
        train = load_data("digits").train
        np.testing.assert_array_equal(train.pixels[:, 0].numpy(), bunch.images[: len(train)])
        assert train.labels is not None
        np.testing.assert_array_equal(train.labels.numpy(), bunch.target[: len(train)])


def test_digits_are_split_in_order() -> None:
    data = load_data("digits")
    assert [len(data.split(name)) for name in ("train", "validation", "test")] == [1297, 250, 250]
    assert data.image_shape == (1, 8, 8)
    assert data.train.labels is not None
    assert data.train.labels[:5].tolist() == [0, 1, 2, 3, 4]
    grey = data.train.images(slice(0, 100))
    assert grey.dtype == torch.float32
    assert len((data.train.images(slice(None)) * 16).unique()) == 17
    assert (grey.min().item(), grey.max().item()) == (0, 1)


def test_the_evaluation_mask_is_the_same_for_everybody() -> None:
    """Pinned: metrics are comparable only while these bits stay."""
    test = load_data("digits").for_evaluation("test")
    assert test.scale == 1
    digest = hashlib.sha256(test.pixels.numpy().tobytes()).hexdigest()
    assert digest[:16] == "a951db4806b994a2"


def test_the_evaluation_mask_follows_the_grey_values() -> None:
    data = load_data("digits")
    grey = data.test.images(slice(None)).double()
    binary = data.for_evaluation("test").images(slice(None)).double()
    assert set(binary.unique().tolist()) == {0, 1}
    assert (binary[grey == 0] == 0).all()
    assert (binary[grey == 1] == 1).all()
    spread = (grey * (1 - grey)).sum().sqrt()
    assert (binary - grey).sum().abs() < 4 * spread


def test_dynamic_binarisation_draws_anew_and_fixed_does_not() -> None:
    index = torch.arange(200)
    for binarization, same in (("dynamic", False), ("fixed", True)):
        data = load_data(DataSettings.read({"binarization": binarization}))
        split = data.for_training()
        first, second = (data.training_batch(split, index) for _ in range(2))
        assert set(first.unique().tolist()) == {0, 1}
        assert torch.equal(first, second) is same
        if same:
            assert torch.equal(first, data.for_evaluation("train").images(index))


@pytest.mark.parametrize("dtype", [torch.uint8, torch.float32, torch.float64])
def test_dynamic_binarisation_has_the_grey_value_as_its_probability(dtype: torch.dtype) -> None:
    """Each pixel within 5 standard errors, neighbours independent: falsely wrong once in 10^4."""
    grey = torch.tensor([0, 1, 40, 128, 254, 255, 100], dtype=dtype).expand(20_000, 1, 1, 7)
    scale = 255.0
    if dtype.is_floating_point:
        grey, scale = grey / 255, 1.0
    split = Split(grey, scale)
    data = ImageData(split, split, split)
    torch.manual_seed(0)
    x = data.training_batch(split, torch.arange(20_000)).flatten(1).double()
    p = (grey[0].double() / scale).flatten()
    assert set(x.unique().tolist()) == {0, 1}
    deviation = (x.mean(dim=0) - p).abs()
    assert (deviation <= 5 * (p * (1 - p) / len(x)).sqrt()).all()
    centred = x - p
    covariance = centred.T @ centred / len(x)
    errors = ((p * (1 - p)).outer(p * (1 - p)) / len(x)).sqrt()
    assert (covariance.abs() <= 5 * errors)[~torch.eye(7, dtype=torch.bool)].all()


def test_dynamic_binarisation_follows_pytorchs_seed_and_index() -> None:
    split = Split(torch.full((4, 1, 20, 20), 0.5))
    split.pixels[2] = 1
    data = ImageData(split, split, split)
    draws = []
    for seed in (1, 1, 2):
        torch.manual_seed(seed)
        draws.append(data.training_batch(split, torch.tensor([3, 2, 3])))
    assert torch.equal(draws[0], draws[1])
    assert not torch.equal(draws[0], draws[2])
    assert (draws[0][1] == 1).all()
    assert not torch.equal(draws[0][0], draws[0][2])  # one image, drawn twice


def _split(pixels: torch.Tensor) -> Split:
    return Split(pixels)


@pytest.mark.parametrize(
    ("pixels", "message"),
    [
        (torch.zeros(0, 1, 2, 2), r"\(n, C, H, W\)"),
        (torch.zeros(3, 2), r"\(n, C, H, W\)"),
        (torch.zeros(3, 0, 2), r"\(n, C, H, W\)"),
        (torch.full((3, 1, 2, 2), 1.5), "outside"),
        (torch.full((3, 1, 2, 2), -0.1), "outside"),
        (torch.full((3, 1, 2, 2), float("nan")), "not finite"),
    ],
)
def test_bad_images_are_refused(pixels: torch.Tensor, message: str) -> None:
    with pytest.raises(DataError, match=message):
        ImageData(_split(pixels), _split(pixels), _split(pixels))


def test_images_of_two_shapes_are_refused() -> None:
    with pytest.raises(DataError, match="differ in shape"):
        ImageData(
            _split(torch.zeros(3, 1, 2, 2)),
            _split(torch.zeros(3, 1, 2, 2)),
            _split(torch.zeros(3, 1, 4, 4)),
        )


def test_grey_images_without_binarisation_are_refused() -> None:
    settings = DataSettings(dataset="custom", binarization="none")
    grey, binary = _split(torch.full((3, 1, 2, 2), 0.5)), _split(torch.ones(3, 1, 2, 2))
    with pytest.raises(DataError, match="not binary"):
        ImageData(grey, grey, grey, settings).for_likelihood("bernoulli")
    assert ImageData(grey, grey, grey).for_likelihood("gaussian").settings.binarization == "none"
    data = ImageData(binary, binary, binary, settings)
    assert torch.equal(data.for_evaluation("test").images(slice(None)), torch.ones(3, 1, 2, 2))


def test_images_of_python_are_not_looked_for_by_a_name() -> None:
    with pytest.raises(DataError, match="handed over in Python and are not kept"):
        load_again(DataSettings(dataset="custom"))


def test_unknown_data_sets_are_refused() -> None:
    with pytest.raises(ConfigError, match="choose from digits, mnist"):
        load_data("imagenet")
    with pytest.raises(ConfigError, match="by its path"):
        load_data("a" * 300)
    with pytest.raises(ConfigError, match="there is no data set ''"):
        load_data("")


def test_a_stored_folder_that_is_not_here_gives_way(tmp_path: Path) -> None:
    stored = DataSettings(dataset="mnist", data_dir=str(tmp_path / "another machine's"))
    assert relocated(stored).data_dir is None
    assert relocated(stored, str(tmp_path)).data_dir == str(tmp_path)
    here = DataSettings(dataset="mnist", data_dir=str(tmp_path))
    assert relocated(here) == here


@pytest.mark.parametrize(
    "setting",
    [
        *({"channels_last": True}, {"image_size": (8, 8)}, {"split_seed": 1}, {"levels": 17}),
        *({"images_key": "x"}, {"labels_key": "y"}),
    ],
)
@pytest.mark.parametrize("name", DATASETS)
def test_named_sets_refuse_what_is_for_paths(name: str, setting: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match=f"{next(iter(setting))}: .* own images .* {name}"):
        load_data(DataSettings.read({"dataset": name, **setting}))


def test_a_subset_keeps_each_image_with_its_label() -> None:
    whole = Split(torch.arange(4.0).view(4, 1, 1, 1), 4.0, torch.arange(4))
    some = whole.subset(torch.tensor([2, 0]))
    assert some.images(slice(None)).flatten().tolist() == [0.5, 0]
    assert some.labels is not None
    assert some.labels.tolist() == [2, 0]
    assert Split(whole.pixels).subset(slice(2)).labels is None


@given(n=st.integers(10, 300), seed=st.integers(0, 2**63 - 1))
def test_a_division_takes_each_image_once(n: int, seed: int) -> None:
    parts = partition(n, seed)
    assert sorted(torch.cat(parts).tolist()) == list(range(n))
    train, validation, test = map(len, parts)
    assert validation == test == n // 10
    assert train >= 8 * (n // 10)
    assert all(torch.equal(*pair) for pair in zip(parts, partition(n, seed), strict=True))


def test_a_division_is_the_same_for_everybody() -> None:
    """Pinned: metrics are comparable only while these stay."""
    assert shuffled(12, 0).tolist() == [11, 4, 0, 2, 3, 7, 1, 6, 8, 10, 5, 9]
    assert shuffled(12, 1).tolist() == [6, 2, 11, 9, 3, 7, 8, 1, 4, 0, 10, 5]
    assert shuffled(12, 2**32).tolist() == [8, 11, 5, 9, 4, 10, 1, 0, 3, 2, 6, 7]
