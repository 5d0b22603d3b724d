"""MNIST and its two drop-in replacements, in files of their true format."""

from __future__ import annotations

import struct
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from sxvae import DataSettings, load_data
from sxvae.errors import DataError

FOLDERS = {"mnist": "MNIST", "fashion-mnist": "FashionMNIST", "kmnist": "KMNIST"}
TRAINING, TEST = 10_020, 30


def _write_idx(path: Path, values: NDArray[np.uint8]) -> None:
    header = struct.pack(f">HBB{values.ndim}I", 0, 8, values.ndim, *values.shape)
    path.write_bytes(header + values.tobytes())


def _write_set(raw: Path, picture: NDArray[np.uint8]) -> None:
    """Each image is the picture with its own number in the first pixels; labels are n % 10."""
    raw.mkdir(parents=True)
    for part, n in (("train", TRAINING), ("t10k", TEST)):
        numbers = np.arange(n)
        images = np.repeat(picture[np.newaxis] * np.uint8(255), n, axis=0)
        images[:, 0, 0], images[:, 0, 1] = numbers // 256, numbers % 256
        _write_idx(raw / f"{part}-images-idx3-ubyte", images)
        _write_idx(raw / f"{part}-labels-idx1-ubyte", (numbers % 10).astype(np.uint8))


@pytest.mark.parametrize("name", FOLDERS)
def test_splits_and_scale(name: str, tmp_path: Path, letter_f: NDArray[np.uint8]) -> None:
    _write_set(tmp_path / FOLDERS[name] / "raw", letter_f)
    data = load_data(DataSettings(dataset=name, data_dir=str(tmp_path)))
    assert data.settings.dataset == name
    for split, first, n in (
        (data.train, 0, TRAINING - 10_000),
        (data.validation, TRAINING - 10_000, 10_000),
        (data.test, 0, TEST),
    ):
        numbers = torch.arange(first, first + n)
        high, low = split.pixels[:, 0, 0, 0].long(), split.pixels[:, 0, 0, 1].long()
        assert torch.equal(256 * high + low, numbers)
        assert split.labels is not None
        assert torch.equal(split.labels, numbers % 10)
        picture = split.images(slice(0, 1))[0, 0, 1:]
        assert torch.equal(picture, torch.from_numpy(letter_f[1:]).float())


@pytest.mark.parametrize("name", FOLDERS)
def test_damaged_files_are_told_apart_from_missing_ones(name: str, tmp_path: Path) -> None:
    raw = tmp_path / FOLDERS[name] / "raw"
    raw.mkdir(parents=True)
    for part in ("train", "t10k"):
        for kind in ("images-idx3", "labels-idx1"):
            (raw / f"{part}-{kind}-ubyte").write_bytes(b"\x00\x00\x08\x03\x00\x00")
    with pytest.raises(DataError, match=f"the {FOLDERS[name]} files in .* are damaged"):
        load_data(DataSettings(dataset=name, data_dir=str(tmp_path)))


@pytest.fixture
def no_network(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A proxy that refuses. urllib keeps the proxies of its first request, so it is reset."""
    for scheme in ("http", "https"):
        monkeypatch.setenv(f"{scheme}_proxy", "http://127.0.0.1:9")
    urllib.request.install_opener(None)
    yield
    urllib.request.install_opener(None)


@pytest.mark.usefixtures("no_network")
@pytest.mark.parametrize("name", FOLDERS)
def test_incomplete_files_are_not_called_damaged(name: str, tmp_path: Path) -> None:
    raw = tmp_path / FOLDERS[name] / "raw"
    raw.mkdir(parents=True)
    (raw / "train-images-idx3-ubyte").write_bytes(b"good data")
    with pytest.raises(DataError, match=f"{FOLDERS[name]} is not under .* not be downloaded"):
        load_data(DataSettings(dataset=name, data_dir=str(tmp_path)))
    assert [path.name for path in raw.iterdir()] == ["train-images-idx3-ubyte"]


def test_real_mnist(mnist_dir: Path) -> None:
    """Scaled to [0, 1] first: its on-rate is 0.131, not the 0.19 of the pixels above 0."""
    data = load_data(DataSettings(dataset="mnist", data_dir=str(mnist_dir)))
    assert [len(data.split(name)) for name in ("train", "validation", "test")] == [
        50_000,
        10_000,
        10_000,
    ]
    assert data.image_shape == (1, 28, 28)
    assert data.train.pixels.dtype == torch.uint8
    batch = data.training_batch(data.for_training(), torch.arange(20_000))
    assert batch.mean().item() == pytest.approx(0.131, abs=0.002)
    assert data.for_evaluation("test").images(slice(None)).mean().item() == pytest.approx(
        0.1325, abs=0.002
    )
