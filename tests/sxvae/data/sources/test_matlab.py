"""Omniglot's and Caltech's MATLAB files, written as their makers did: column by column."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from scipy.io import savemat

from sxvae import DataSettings, ImageData, load_data
from sxvae.errors import DataError

OMNIGLOT, CALTECH = "chardata.mat", "caltech101_silhouettes_28_split1.mat"
TRAINING, TEST = 1_400, 20


def _columns(pictures: NDArray[Any]) -> NDArray[Any]:
    """Pictures (n, 28, 28) as rows of 784, each column after column."""
    return np.stack([picture.flatten(order="F") for picture in pictures])


def _one_hot(labels: NDArray[Any]) -> NDArray[Any]:
    one_hot: NDArray[Any] = np.eye(50)[labels].T
    return one_hot


def _omniglot(picture: NDArray[np.uint8]) -> dict[str, Any]:
    """Grey pictures with their own number, / 2,000, in the top left corner; labels are n % 50."""
    content: dict[str, Any] = {}
    for data, target, n in (("data", "target", TRAINING), ("testdata", "testtarget", TEST)):
        pictures = np.repeat(picture[np.newaxis] * 0.75, n, axis=0)
        pictures[:, 0, 0] = np.arange(n) / 2_000
        content |= {data: _columns(pictures).T, target: _one_hot(np.arange(n) % 50)}
    return content


def _caltech(picture: NDArray[np.uint8]) -> dict[str, Any]:
    """Black pictures, 0, on white, 1."""
    content: dict[str, Any] = {}
    for part, n in (("train", 7), ("val", 5), ("test", 6)):
        pictures = np.repeat(1 - picture[np.newaxis], n, axis=0)
        content[f"{part}_data"] = _columns(pictures)
        content[f"{part}_labels"] = np.arange(1, n + 1, dtype=np.uint8)[:, np.newaxis]
    return content


def _write(folder: Path, name: str, file: str, content: dict[str, Any]) -> DataSettings:
    (folder / name).mkdir(exist_ok=True)
    savemat(folder / name / file, content, do_compression=True)
    return DataSettings(dataset=name, data_dir=str(folder))


def _numbers(data: ImageData, split: str) -> list[int]:
    corner = getattr(data, split).images(slice(None))[:, 0, 0, 0]
    return [round(2_000 * value) for value in corner.tolist()]


def test_omniglot(tmp_path: Path, letter_f: NDArray[np.uint8]) -> None:
    settings = _write(tmp_path, "omniglot", OMNIGLOT, _omniglot(letter_f))
    data = load_data(settings)
    assert data.image_shape == (1, 28, 28)
    upright = 0.75 * torch.from_numpy(letter_f[1:]).float()
    for split in (data.train, data.validation, data.test):
        assert torch.equal(split.images(slice(0, 1))[0, 0, 1:], upright)
    train, validation, test = (_numbers(data, name) for name in ("train", "validation", "test"))
    assert (len(validation), len(train)) == (1_345, TRAINING - 1_345)
    assert sorted(train + validation) == list(range(TRAINING))
    assert validation != sorted(validation)
    assert test == list(range(TEST))
    for numbers, split in ((train, data.train), (validation, data.validation)):
        assert split.labels is not None
        assert split.labels.tolist() == [number % 50 for number in numbers]
    again = load_data(settings)
    assert _numbers(again, "train") == train
    assert train[:5] == [301, 457, 342, 365, 788]  # the same for everybody


def test_omniglot_without_labels(tmp_path: Path, letter_f: NDArray[np.uint8]) -> None:
    content = {name: _omniglot(letter_f)[name] for name in ("data", "testdata")}
    data = load_data(_write(tmp_path, "omniglot", OMNIGLOT, content))
    assert data.train.labels is None
    assert data.test.labels is None


def test_caltech101(tmp_path: Path, letter_f: NDArray[np.uint8]) -> None:
    data = load_data(_write(tmp_path, "caltech101", CALTECH, _caltech(letter_f)))
    assert data.image_shape == (1, 28, 28)
    for split, n in ((data.train, 7), (data.validation, 5), (data.test, 6)):
        assert len(split) == n
        assert torch.equal(split.pixels[n - 1, 0], torch.from_numpy(letter_f))
        assert split.labels is not None
        assert split.labels.tolist() == list(range(1, n + 1))
    none = data.settings.model_copy(update={"binarization": "none"})
    assert len(load_data(none).for_likelihood("bernoulli").test) == 6


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"data": None}, "holds no images called data"),
        ({"testdata": "text"}, "holds no images called testdata"),
        (
            {"data": np.zeros((784, 1_345)), "target": None},
            "1,345 training images, .* takes 1,345 of",
        ),
        ({"data": np.zeros((256, 2_000))}, "does not hold images of 784 pixels"),
        ({"testdata": np.zeros((784, 0))}, "does not hold images of 784 pixels"),
        ({"data": np.full((784, TRAINING), 255.0)}, r"data in .* outside \[0, 1\]"),
        ({"testdata": np.full((784, TEST), np.nan)}, r"testdata in .* outside \[0, 1\]"),
        ({"target": np.zeros((50, 7))}, "target in .* has 7 labels for 1,400 images"),
    ],
)
def test_another_omniglot_file_is_refused(
    tmp_path: Path, letter_f: NDArray[np.uint8], change: dict[str, Any], sentence: str
) -> None:
    content = {k: v for k, v in {**_omniglot(letter_f), **change}.items() if v is not None}
    settings = _write(tmp_path, "omniglot", OMNIGLOT, content)
    with pytest.raises(DataError, match=sentence):
        load_data(settings)


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"val_data": None}, "holds no images called val_data"),
        ({"train_data": np.zeros((7, 256))}, "does not hold images of 784 pixels"),
        ({"train_data": np.full((7, 784), 255, np.uint8)}, "train_data in .* is not binary"),
        ({"test_labels": np.zeros((5, 1))}, "test_labels in .* has 5 labels for 6 images"),
    ],
)
def test_another_caltech_file_is_refused(
    tmp_path: Path, letter_f: NDArray[np.uint8], change: dict[str, Any], sentence: str
) -> None:
    content = {k: v for k, v in {**_caltech(letter_f), **change}.items() if v is not None}
    settings = _write(tmp_path, "caltech101", CALTECH, content)
    with pytest.raises(DataError, match=sentence):
        load_data(settings)


@pytest.mark.parametrize(
    ("name", "file", "address"),
    [
        ("omniglot", OMNIGLOT, "https://github.com/yburda/iwae/"),
        ("caltech101", CALTECH, "https://people.cs.umass.edu/~marlin/data/"),
    ],
)
def test_a_file_that_is_missing_or_damaged(
    tmp_path: Path, letter_f: NDArray[np.uint8], name: str, file: str, address: str
) -> None:
    settings = DataSettings(dataset=name, data_dir=str(tmp_path))
    with pytest.raises(DataError, match="put it there from") as caught:
        load_data(settings)
    assert f"{file} is not in {tmp_path / name}" in str(caught.value)
    assert address in str(caught.value)
    content = _omniglot(letter_f) if name == "omniglot" else _caltech(letter_f)
    _write(tmp_path, name, file, content)
    path = tmp_path / name / file
    sound = path.read_bytes()
    hdf5 = b"\x89HDF\r\n\x1a\n" + bytes(1_000)
    for damaged in (b"", b"<html>404</html>", sound[:100], sound[: len(sound) // 2], hdf5):
        path.write_bytes(damaged)
        with pytest.raises(DataError, match=r"damaged|another file"):
            load_data(settings)
