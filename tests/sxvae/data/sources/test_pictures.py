"""One picture in a file: its bits, its first frame, its orientation, and its size."""

from __future__ import annotations

import shutil
import struct
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image

from sxvae import DataSettings, load_data
from sxvae.data.sources import folders
from sxvae.data.sources.folders import load_folder
from sxvae.errors import DataError


def _png(values: NDArray[np.uint16], colour_type: int, transparent: bytes = b"") -> bytes:
    """A PNG with 16 bits a channel, some of which Pillow does not write; shape (H, W, C)."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        checksum = struct.pack(">I", zlib.crc32(kind + data))
        return struct.pack(">I", len(data)) + kind + data + checksum

    height, width = values.shape[:2]
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in values)
    header = struct.pack(">IIBBBBB", width, height, 16, colour_type, 0, 0, 0)
    key = chunk(b"tRNS", transparent) if transparent else b""
    content = chunk(b"IHDR", header) + key + chunk(b"IDAT", zlib.compress(rows))
    return b"\x89PNG\r\n\x1a\n" + content + chunk(b"IEND", b"")


def _train(folder: Path, levels: int | None = None) -> torch.Tensor:
    """The images of a folder, scaled to [0, 1], in the order of their names."""
    return load_folder(folder, None, levels).splits["train"].images(slice(None))


_RAMP = np.linspace(0, 65_535, 256).round().astype(np.uint16).reshape(16, 16)


@pytest.mark.parametrize("suffix", ["png", "tiff", "pgm"])
def test_sixteen_bits_are_kept(suffix: str, tmp_path: Path) -> None:
    Image.fromarray(_RAMP).save(tmp_path / f"a.{suffix}")
    assert _train(tmp_path)[0, 0].numpy() == pytest.approx(_RAMP / 65_535, rel=1e-6)


def test_a_tiff_whose_0_is_white(tmp_path: Path) -> None:
    Image.fromarray(_RAMP).save(tmp_path / "a.tiff", tiffinfo={262: 0})
    assert _train(tmp_path)[0, 0].numpy() == pytest.approx(1 - _RAMP / 65_535, abs=1e-6)


def test_pictures_of_different_depth_keep_the_greater_one(tmp_path: Path) -> None:
    Image.fromarray(np.full((16, 16, 3), (10, 20, 30), np.uint8)).save(tmp_path / "b.png")
    Image.fromarray(np.full((16, 16), 77, np.uint8)).save(tmp_path / "a.png")
    Image.fromarray(_RAMP).save(tmp_path / "c.png")
    grey, colour, deep = _train(tmp_path).numpy()
    assert grey == pytest.approx(77 / 255, rel=1e-6)
    assert colour == pytest.approx(np.array([[[10]], [[20]], [[30]]]) / 255 * np.ones((16, 16)))
    assert deep == pytest.approx(np.broadcast_to(_RAMP / 65_535, (3, 16, 16)), rel=1e-6)


def test_sixteen_bits_are_resized_without_rounding_to_eight(tmp_path: Path) -> None:
    board = 30_000 + 101 * (np.indices((32, 32)).sum(axis=0) % 2).astype(np.uint16)
    board[0, 0] = 65_535
    Image.fromarray(board.astype(np.uint16)).save(tmp_path / "a.png")
    small = load_folder(tmp_path, (8, 8)).splits["train"].images(slice(None))
    assert small[0, 0, 4:, 4:].numpy() == pytest.approx(30_050.5 / 65_535, abs=2e-5)


@pytest.mark.parametrize(
    ("dtype", "largest", "levels"),
    [(np.uint8, 1, 2), (np.uint8, 16, 17), (np.uint16, 4_095, 4_096)],
)
def test_the_scale_of_masks_and_of_twelve_bits_is_asked_for(
    dtype: type, largest: int, levels: int, tmp_path: Path
) -> None:
    drawn = np.random.default_rng(0).integers(0, largest + 1, (10, 4, 4))
    values: NDArray[Any] = drawn.astype(dtype)
    values[0, 0, 0] = largest
    for i, picture in enumerate(values):
        Image.fromarray(picture).save(tmp_path / f"{i}.png")
    with pytest.raises(DataError, match=f"values up to {largest}, .*--levels {levels}"):
        load_data(tmp_path)
    assert _train(tmp_path, levels)[:, 0].numpy() == pytest.approx(values / largest, rel=1e-6)
    settings = DataSettings(dataset=str(tmp_path), levels=levels)
    assert load_data(settings).train.images(slice(None)).max() <= 1


def test_the_scale_does_not_depend_on_the_size_that_is_asked_for(tmp_path: Path) -> None:
    """A white dot that resizing averages away still says that 255 is white."""
    for i in range(10):
        picture = np.zeros((32, 32), np.uint8)
        picture[i, i] = 255
        Image.fromarray(picture).save(tmp_path / f"{i}.png")
    data = load_data(DataSettings(dataset=str(tmp_path), image_size=(4, 4)))
    assert data.train.scale == 255
    assert 0 < data.train.pixels.max() < 20


def test_what_pillow_reduces_to_eight_bits_is_said(tmp_path: Path) -> None:
    colour = np.stack([_RAMP, _RAMP // 2, _RAMP // 3], axis=-1)
    (tmp_path / "colour.png").write_bytes(_png(colour, 2))
    whole = load_folder(tmp_path, None)
    assert whole.remarks[1] == (
        "16 bits are kept of plain grey only, and 8 of colour and transparency: 1 (colour.png)"
    )
    expected = np.moveaxis(colour, -1, 0) / 65_535
    assert whole.splits["train"].images(slice(None))[0].numpy() == pytest.approx(
        expected, abs=1 / 255
    )


def test_grey_of_sixteen_bits_with_transparency(tmp_path: Path) -> None:
    values = np.full((2, 2, 2), 65_535, np.uint16)
    values[0, 0] = (0, 0)
    values[0, 1] = (0, 65_535)
    (tmp_path / "alpha.png").write_bytes(_png(values, 4))
    keyed = np.full((2, 2, 1), 40_000, np.uint16)
    keyed[1, 1] = 7
    (tmp_path / "key.png").write_bytes(_png(keyed, 0, struct.pack(">H", 7)))
    alpha, key = _train(tmp_path)
    assert alpha.tolist() == [[[1, 0], [1, 1]]]
    assert key.flatten().tolist() == pytest.approx([40_000 / 65_535] * 3 + [1])


def test_of_several_pictures_the_first_is_read_and_said(tmp_path: Path) -> None:
    frames = [Image.fromarray(np.full((2, 2), grey, np.uint8)) for grey in (255, 100, 50)]
    for name in ("a.tif", "b.gif", "c.png", "d.webp"):
        frames[0].save(tmp_path / name, save_all=True, append_images=frames[1:])
    frames[0].save(tmp_path / "single.gif")
    loaded = load_folder(tmp_path, None)
    assert loaded.splits["train"].images(slice(None)).min() > 0.99
    assert loaded.remarks[1:] == (
        "only the first picture is read of files that hold several: 4 (a.tif, b.gif, c.png, ...)",
    )


def _exif(*entries: tuple[int, int, int]) -> bytes:
    """EXIF data of entries (tag, type, value in four bytes), each of which counts one value."""
    packed = b"".join(struct.pack(">HHII", tag, kind, 1, value) for tag, kind, value in entries)
    return b"Exif\0\0MM\0*\0\0\0\x08" + struct.pack(">H", len(entries)) + packed + b"\0" * 4


@pytest.mark.parametrize(
    ("exif", "is_turned"),
    [
        (_exif((0x0112, 3, 6 << 16)), True),
        (_exif((0x0100, 11, 0x40C00000), (0x0112, 3, 6 << 16)), True),  # a width of 6.0
        (_exif((0x0103, 2, 0x41000000), (0x0112, 3, 6 << 16)), True),  # a compression of "A"
        (_exif((0x0112, 2, 0x36000000)), False),  # an orientation of "6"
        (_exif((0x0112, 3, 99 << 16)), False),
        (b"Exif\0\0MM\0*\0\0\0\x08\xff\xff", False),
        (b"Exif\0\0II*\0\xff\xff\xff\xff", False),
        (b"Exif\0\0", False),
    ],
)
def test_odd_exif_data_leave_a_photograph_readable(
    exif: bytes, is_turned: bool, tmp_path: Path
) -> None:
    picture = np.zeros((16, 16), np.uint8)
    picture[:8] = 255
    Image.fromarray(picture).save(tmp_path / "a.jpg", exif=exif)
    expected = np.rot90(picture, -1) if is_turned else picture
    assert _train(tmp_path)[0, 0].numpy() == pytest.approx(expected / 255, abs=0.05)


def test_small_files_of_many_pixels_are_refused_before_they_are_decoded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(folders, "read_picture", lambda *_: pytest.fail("decoded"))
    Image.new("1", (9_000, 9_000)).save(tmp_path / "00.png")  # 81 megapixels in 10 kB
    for i in range(1, 30):
        shutil.copy(tmp_path / "00.png", tmp_path / f"{i:02}.png")
    for size in (None, (8, 8)):
        with pytest.raises(DataError, match=r"2,430 megapixels together, and at most 1,000 are"):
            load_data(DataSettings(dataset=str(tmp_path), image_size=size))


def test_large_photographs_are_not_too_many_pixels(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The bound grows with the files: noise, which does not compress, never meets it."""
    monkeypatch.setattr(folders, "MOST_PIXELS", 1)
    noise = np.random.default_rng(0).integers(0, 256, (10, 64, 64), dtype=np.uint8)
    for i, picture in enumerate(noise):
        Image.fromarray(picture).save(tmp_path / f"{i}.png")
    assert load_data(tmp_path).image_shape == (1, 64, 64)
