"""A user's own images as files in a folder."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image

from sxvae import DataSettings, ImageData, load_data
from sxvae.data.sources.folders import load_folder
from sxvae.errors import ConfigError, DataError

N = 10


def _noise(*shape: int, seed: int = 0) -> NDArray[np.uint8]:
    return np.random.default_rng(seed).integers(0, 256, shape, dtype=np.uint8)


def _write(folder: Path, n: int = N, *, shape: tuple[int, ...] = (5, 7)) -> list[NDArray[np.uint8]]:
    folder.mkdir(parents=True, exist_ok=True)
    images = [_noise(*shape, seed=i) for i in range(n)]
    for i, image in enumerate(images):
        Image.fromarray(image).save(folder / f"{i:03}.png")
    return images


def _all(data: ImageData) -> torch.Tensor:
    return torch.cat([data.train.pixels, data.validation.pixels, data.test.pixels])


def test_a_flat_folder(tmp_path: Path) -> None:
    images = _write(tmp_path)
    (tmp_path / "README.txt").write_text("not an image")
    (tmp_path / ".hidden.png").write_text("nor this")
    data = load_data(tmp_path)
    assert data.image_shape == (1, 5, 7)
    assert [len(split) for split in (data.train, data.validation, data.test)] == [8, 1, 1]
    assert data.train.labels is None
    found = {image.numpy().tobytes() for image in _all(data)}
    assert found == {image.tobytes() for image in images}
    assert data.settings.content_sha256 is not None
    assert data.settings.dataset == str(tmp_path)


def test_subfolders_are_labels_in_the_order_of_their_names(tmp_path: Path) -> None:
    expected = {}
    for label, name in enumerate(("10", "9", "a")):  # as text: "10" comes before "9"
        for image in _write(tmp_path / name, 5, shape=(4, 6, 3)):
            image[0, 0] = label
            expected[np.moveaxis(image, -1, 0).tobytes()] = label
        for i, file in enumerate(sorted((tmp_path / name).iterdir())):
            image = _noise(4, 6, 3, seed=i)
            image[0, 0] = label
            Image.fromarray(image).save(file)
    (tmp_path / ".git").mkdir()
    data = load_data(tmp_path)
    assert data.image_shape == (3, 4, 6)
    for split in (data.train, data.validation, data.test):
        assert split.labels is not None
        for image, label in zip(split.pixels, split.labels, strict=True):
            assert expected.pop(image.numpy().tobytes()) == label
    assert not expected


def _grey(image: Image.Image, folder: Path, name: str = "a.png", **options: Any) -> torch.Tensor:
    """What a folder of this one image holds, shape (C, H, W), in [0, 1]."""
    folder.mkdir(exist_ok=True)
    image.save(folder / name, **options)
    return load_folder(folder, None).splits["train"].images(slice(None))[0]


def test_every_kind_of_pixel(tmp_path: Path, letter_f: NDArray[np.uint8]) -> None:
    """An F is an upright F, whatever way its file says so."""
    white_f = Image.fromarray(letter_f * 255)
    expected = torch.from_numpy(letter_f).float()[None]
    palette = white_f.convert("P")
    sixteen = Image.fromarray(letter_f.astype(np.uint16) * 65_535)
    for kind, image, name in (
        ("grey", white_f, "a.png"),
        ("bits", white_f.convert("1"), "a.png"),
        ("palette", palette, "a.png"),
        ("gif", palette, "a.gif"),
        ("16 bits", sixteen, "a.png"),
        ("16 bits, tiff", sixteen, "a.tiff"),
        ("opaque", white_f.convert("LA"), "a.png"),
        ("pgm", white_f, "a.PGM"),
    ):
        assert torch.equal(_grey(image, tmp_path / kind, name), expected), kind
    assert torch.equal(_grey(white_f.convert("RGB"), tmp_path / "rgb"), expected.repeat(3, 1, 1))
    jpeg = _grey(white_f.convert("CMYK"), tmp_path / "cmyk", "a.jpg")
    assert jpeg.shape == (3, 28, 28)
    assert (jpeg - expected).abs().mean() < 0.05
    turned = white_f.transpose(Image.Transpose.ROTATE_90)  # a camera held upright, saying so
    exif = Image.Exif()
    exif[0x0112] = 6
    assert torch.equal(_grey(turned, tmp_path / "camera", exif=exif), expected)


def test_sixteen_bits_are_scaled_not_clipped(tmp_path: Path) -> None:
    ramp = np.arange(0, 65_536, 256, dtype=np.uint16).reshape(16, 16)
    grey = _grey(Image.fromarray(ramp), tmp_path / "ramp")
    assert grey[0].numpy() == pytest.approx(ramp / 65_535, abs=0.5 / 255 + 1e-6)


def test_transparency_is_laid_on_white(tmp_path: Path) -> None:
    pixels = np.zeros((2, 2, 4), dtype=np.uint8)
    pixels[0, 0] = (255, 0, 0, 255)
    pixels[0, 1] = (0, 0, 0, 255)
    pixels[1, 1] = (0, 0, 0, 51)
    colour = _grey(Image.fromarray(pixels), tmp_path / "rgba")
    expected = torch.tensor([[[1, 0], [1, 0.8]], [[0, 0], [1, 0.8]], [[0, 0], [1, 0.8]]])
    assert torch.equal(colour, expected)
    grey = _grey(Image.fromarray(pixels).convert("LA"), tmp_path / "la")
    assert torch.equal(grey[0, 1], torch.tensor([1, 0.8]))
    black = Image.fromarray(np.zeros((2, 2), dtype=np.uint8))
    assert torch.equal(_grey(black, tmp_path / "key", transparency=0), torch.ones(1, 2, 2))


def test_colour_makes_all_of_them_colour(tmp_path: Path) -> None:
    grey = _write(tmp_path, 12)[0]
    Image.fromarray(_noise(5, 7, 3)).save(tmp_path / "999.png")
    whole = load_folder(tmp_path, None).splits["train"]
    assert tuple(whole.pixels.shape) == (13, 3, 5, 7)
    for channel in whole.pixels[0].numpy():
        assert np.array_equal(channel, grey)
    assert np.array_equal(whole.pixels[12].numpy(), np.moveaxis(_noise(5, 7, 3), -1, 0))


def test_resizing_averages(tmp_path: Path) -> None:
    """A fine chequerboard becomes grey: pixels left out would make it black or white."""
    board = (np.indices((64, 96)).sum(axis=0) % 2 * 255).astype(np.uint8)
    for i in range(N):
        Image.fromarray(board).save(tmp_path / f"{i}.png")
    data = load_data(DataSettings(dataset=str(tmp_path), image_size=(8, 6)))
    assert data.image_shape == (1, 8, 6)
    assert data.train.images(slice(None)).numpy() == pytest.approx(0.5, abs=0.02)
    Image.fromarray(board[:32, :32]).save(tmp_path / "small.png")  # another size to begin with
    again = load_data(DataSettings(dataset=str(tmp_path), image_size=(8, 6)))
    assert len(_all(again)) == N + 1
    assert again.settings.content_sha256 != data.settings.content_sha256


def test_folders_that_cannot_be_images_are_refused(tmp_path: Path) -> None:
    def refused(folder: Path, sentence: str) -> None:
        with pytest.raises(DataError, match=sentence) as caught:
            load_data(folder)
        assert "\n" not in str(caught.value)
        assert str(folder) in str(caught.value)

    empty = tmp_path / "empty"
    empty.mkdir()
    refused(empty, r"empty holds no images \(.*\.jpg, .*\.png")
    few = tmp_path / "few"
    _write(few, 9)
    refused(few, "few holds 9 images, and at least 10 are needed")
    mixed = tmp_path / "mixed"
    _write(mixed)
    Image.fromarray(_noise(7, 5)).save(mixed / "999.png")
    refused(mixed, r"000\.png \(5x7\) and 999\.png \(7x5\) do: resize them with --image-size")
    beside = tmp_path / "beside"
    _write(beside)
    _write(beside / "cats")
    refused(beside, "holds images beside subfolders")
    deep = tmp_path / "deep"
    _write(deep / "cats" / "black")
    refused(deep, "deep/cats holds no images")
    png = (mixed / "000.png").read_bytes()
    for name, content in (("text", b"text"), ("empty", b""), ("cut", png[:60]), ("head", png[:20])):
        damaged = tmp_path / f"damaged-{name}"
        _write(damaged)
        (damaged / "005.png").write_bytes(content)
        refused(damaged, r"the image .*005\.png can't be read \(it is damaged")


def test_pixels_that_do_not_fit_are_refused(tmp_path: Path) -> None:
    for kind, pixels, sentence in (
        (
            "float",
            np.zeros((2, 2), dtype=np.float32),
            "floating-point pixels: divide them by .*, and keep all images in one .npy",
        ),
        ("deep", np.full((2, 2), 70_000, dtype=np.int32), "more than 16 bits a pixel"),
    ):
        with pytest.raises(DataError, match=sentence):
            _grey(Image.fromarray(pixels), tmp_path / kind, "a.tiff")


def test_an_image_that_is_too_large_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _write(tmp_path)
    for limit in (20, 10):  # 35 pixels: first Pillow's warning, then its error
        monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", limit)
        with pytest.raises(DataError, match=r"000\.png is too large"):
            load_data(tmp_path)


def test_settings_that_do_not_apply_are_refused(tmp_path: Path) -> None:
    _write(tmp_path)
    with pytest.raises(ConfigError, match=r"channels_last: .* is a folder of images"):
        load_data(DataSettings(dataset=str(tmp_path), channels_last=True))
