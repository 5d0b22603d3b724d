"""MNIST and its two drop-in replacements, in files of their true format."""

from __future__ import annotations

import gzip
import struct
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import get_args

import numpy as np
import pytest
import torch
import torchvision.datasets
from numpy.typing import NDArray

from sxvae import DataSettings, load_data
from sxvae.config import SplitName
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


def _compress(raw: Path, suffix: str = ".gz") -> None:
    """Compress each file again, so that no checksum of a download fits."""
    for path in list(raw.iterdir()):
        path.write_bytes(gzip.compress(path.read_bytes(), 1))
        path.rename(raw / f"{path.name}{suffix}")


@pytest.mark.usefixtures("no_network")
@pytest.mark.parametrize("kind", ["compressed again", "compressed under a plain name", "dotted"])
def test_files_are_taken_by_their_content(
    kind: str, tmp_path: Path, letter_f: NDArray[np.uint8]
) -> None:
    raw = tmp_path / "MNIST" / "raw"
    _write_set(raw, letter_f)
    expected = load_data(DataSettings(dataset="mnist", data_dir=str(tmp_path)))
    if kind == "dotted":
        for path in list(raw.iterdir()):
            path.rename(raw / path.name.replace("-idx", ".idx"))
    else:
        _compress(raw, ".gz" if kind == "compressed again" else "")
    before = {path.name: path.read_bytes() for path in raw.iterdir()}
    assert len(before) == 4
    raw.chmod(0o555)  # nothing has to be unpacked into the folder
    found = load_data(DataSettings(dataset="mnist", data_dir=str(tmp_path)))
    for name in get_args(SplitName):
        assert torch.equal(found.split(name).pixels, expected.split(name).pixels)
        labels, known = found.split(name).labels, expected.split(name).labels
        assert labels is not None
        assert known is not None
        assert torch.equal(labels, known)
    assert {path.name: path.read_bytes() for path in raw.iterdir()} == before


@pytest.mark.usefixtures("no_network")
@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (lambda whole: whole[:-1], "its array of 30 bytes has 29"),
        (lambda whole: whole + b"0", "its array of 30 bytes has 31"),
        (lambda whole: gzip.compress(whole)[:-9], "it can't be unpacked"),
        (lambda whole: gzip.compress(whole)[:20] + b"\0" * 20, "it can't be unpacked"),
        (lambda _: b"", "ubyte is empty"),
        (lambda b: b[:6], "is incomplete: it ends before its array begins"),
        (lambda _: b"<!DOCTYPE html><html>404</html>", "is a web page that was saved in place of"),
        (lambda _: b"PK\x03\x04" + bytes(40), "is a zip archive: unpack it"),
        (lambda _: b"\0\0\x08\x03" + bytes(40), "its array has 3 axes in place of 1"),
        (lambda _: b"\0\0\x0d\x01" + bytes(40), "does not begin as an IDX file does"),
        (lambda _: struct.pack(">HBBI", 0, 8, 1, 29) + bytes(29), "30 images, and .* 29 labels"),
        (lambda _: struct.pack(">HBBI", 0, 8, 1, 2**32 - 1), "array of 4,294,967,295 bytes has 0"),
    ],
)
def test_damaged_files_are_named_for_what_they_are(
    content: Callable[[bytes], bytes], sentence: str, tmp_path: Path, letter_f: NDArray[np.uint8]
) -> None:
    raw = tmp_path / "MNIST" / "raw"
    _write_set(raw, letter_f)
    labels = raw / "t10k-labels-idx1-ubyte"
    labels.write_bytes(content(labels.read_bytes()))
    with pytest.raises(DataError, match=sentence) as caught:
        load_data(DataSettings(dataset="mnist", data_dir=str(tmp_path)))
    assert labels.name in str(caught.value)
    assert "delete" in str(caught.value)


def test_a_download_adds_only_what_is_missing(
    tmp_path: Path, letter_f: NDArray[np.uint8], monkeypatch: pytest.MonkeyPatch
) -> None:
    raw = tmp_path / "MNIST" / "raw"
    _write_set(raw, letter_f)
    _compress(raw)
    kept = {path.name: path.read_bytes() for path in raw.iterdir() if "labels" not in path.name}
    for path in raw.glob("*labels*"):
        path.unlink()

    def downloaded(root: str, *, download: bool) -> None:
        assert download
        _write_set(Path(root) / "MNIST" / "raw", 1 - letter_f)

    monkeypatch.setattr(torchvision.datasets, "MNIST", downloaded)
    data = load_data(DataSettings(dataset="mnist", data_dir=str(tmp_path)))
    assert torch.equal(
        data.test.images(slice(0, 1))[0, 0, 1:], torch.from_numpy(letter_f[1:]).float()
    )
    names = {f"{part}-labels-idx1-ubyte" for part in ("train", "t10k")}
    assert {path.name for path in raw.iterdir()} == names | set(kept)
    assert all((raw / name).read_bytes() == content for name, content in kept.items())


def test_a_download_that_can_not_be_kept(
    tmp_path: Path, letter_f: NDArray[np.uint8], monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "data").write_text("a file where the folder is to be")
    monkeypatch.setattr(
        torchvision.datasets,
        "MNIST",
        lambda root, **_: _write_set(Path(root) / "MNIST" / "raw", letter_f),
    )
    with pytest.raises(DataError, match=r"what was downloaded can't be kept: .*--data-dir"):
        load_data(DataSettings(dataset="mnist", data_dir=str(tmp_path / "data")))


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
    sentence = (
        f"{FOLDERS[name]} is not under .* as a whole .train-labels.*, t10k-images.* missing. and "
        "could not be downloaded"
    )
    with pytest.raises(DataError, match=sentence):
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
