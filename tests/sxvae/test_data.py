from __future__ import annotations

import hashlib
from pathlib import Path

import pytest
import torch

from sxvae import DataSettings, ImageData, Split, load_data
from sxvae.data import located
from sxvae.errors import ConfigError, DataError


def test_digits_are_split_in_order() -> None:
    data = load_data("digits")
    assert [len(data.split(name)) for name in ("train", "validation", "test")] == [1297, 250, 250]
    assert data.image_shape == (1, 8, 8)
    assert data.train.labels is not None
    assert data.train.labels[:5].tolist() == [0, 1, 2, 3, 4]
    grey = data.train.grey(slice(0, 100))
    assert grey.dtype == torch.float32
    assert len((data.train.grey(slice(None)) * 16).unique()) == 17
    assert (grey.min().item(), grey.max().item()) == (0, 1)


def test_the_evaluation_mask_is_the_same_for_everybody() -> None:
    """Pinned: a figure is comparable only while these bits stay."""
    test = load_data("digits").fixed("test")
    assert test.scale == 1
    digest = hashlib.sha256(test.pixels.numpy().tobytes()).hexdigest()
    assert digest[:16] == "a951db4806b994a2"


def test_the_evaluation_mask_follows_the_grey_values() -> None:
    data = load_data("digits")
    grey = data.test.grey(slice(None)).double()
    binary = data.fixed("test").grey(slice(None)).double()
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
            assert torch.equal(first, data.fixed("train").grey(index))


def _split(pixels: torch.Tensor) -> Split:
    return Split(pixels)


@pytest.mark.parametrize(
    ("pixels", "message"),
    [
        (torch.zeros(0, 1, 2, 2), r"\(n, C, H, W\)"),
        (torch.zeros(3, 2, 2), r"\(n, C, H, W\)"),
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
    assert torch.equal(data.fixed("test").grey(slice(None)), torch.ones(3, 1, 2, 2))


def test_unknown_data_sets_are_refused() -> None:
    with pytest.raises(ConfigError, match="choose from digits, mnist"):
        load_data("imagenet")


def test_mnist_that_is_damaged_is_told_apart_from_missing(tmp_path: Path) -> None:
    raw = tmp_path / "MNIST" / "raw"
    raw.mkdir(parents=True)
    for name in ("train", "t10k"):
        for kind in ("images-idx3", "labels-idx1"):
            (raw / f"{name}-{kind}-ubyte").write_bytes(b"\x00\x00\x08\x03\x00\x00")
    with pytest.raises(DataError, match="damaged"):
        load_data(DataSettings(dataset="mnist", data_dir=str(tmp_path)))


def test_mnist_that_is_incomplete_is_not_called_damaged(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for scheme in ("http", "https"):
        monkeypatch.setenv(f"{scheme}_proxy", "http://127.0.0.1:9")
    raw = tmp_path / "MNIST" / "raw"
    raw.mkdir(parents=True)
    (raw / "train-images-idx3-ubyte").write_bytes(b"good data")
    with pytest.raises(DataError, match="could not be downloaded"):
        load_data(DataSettings(dataset="mnist", data_dir=str(tmp_path)))
    assert [path.name for path in raw.iterdir()] == ["train-images-idx3-ubyte"]


def test_a_stored_folder_that_is_not_here_gives_way(tmp_path: Path) -> None:
    stored = DataSettings(dataset="mnist", data_dir=str(tmp_path / "another machine's"))
    assert located(stored).data_dir is None
    assert located(stored, str(tmp_path)).data_dir == str(tmp_path)
    here = DataSettings(dataset="mnist", data_dir=str(tmp_path))
    assert located(here) == here


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
    assert data.fixed("test").grey(slice(None)).mean().item() == pytest.approx(0.1325, abs=0.002)
