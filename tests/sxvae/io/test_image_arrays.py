from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from sxvae.errors import DataError
from sxvae.io.image_arrays import read_images

SHAPE = (1, 8, 6)
GREY = np.random.default_rng(0).integers(0, 256, (5, 8, 6), np.uint8)


def test_grey_images_with_and_without_a_channel_axis(tmp_path: Path) -> None:
    np.save(tmp_path / "bytes.npy", GREY)
    np.save(tmp_path / "floats.npy", GREY[:, None] / 255)
    for name in ("bytes.npy", "floats.npy"):
        images = read_images(tmp_path / name, SHAPE)
        assert images.x.dtype == np.float32
        np.testing.assert_allclose(images.x, GREY[:, None] / 255, rtol=1e-6)
        assert images.labels is None


def test_labels_come_along(tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", x=GREY, y=np.array(["cat", "dog", "cat", "cat", "dog"]))
    labels = read_images(tmp_path / "a.npz", SHAPE).labels
    assert labels is not None
    assert labels.tolist() == ["cat", "dog", "cat", "cat", "dog"]


def test_levels_axes_and_splits(tmp_path: Path) -> None:
    np.save(tmp_path / "grey.npy", GREY // 16)
    expected = (GREY[:, None] // 16) / 15
    found = read_images(tmp_path / "grey.npy", SHAPE, levels=16)
    np.testing.assert_allclose(found.x, expected, rtol=1e-6)
    np.save(tmp_path / "last.npy", np.moveaxis(GREY[:, None], 1, -1))
    np.testing.assert_allclose(read_images(tmp_path / "last.npy", SHAPE).x, GREY[:, None] / 255)
    y = np.array(["dog", "cat"])
    np.savez(tmp_path / "splits.npz", x_train=GREY, x_test=GREY[3:], y_test=y)
    test = read_images(tmp_path / "splits.npz", SHAPE)
    np.testing.assert_allclose(test.x, GREY[3:, None] / 255)
    assert test.labels is not None
    assert test.labels.tolist() == ["dog", "cat"]
    assert test.remark is not None


def test_what_does_not_fit_is_refused(tmp_path: Path) -> None:
    np.save(tmp_path / "large.npy", np.zeros((2, 1, 9, 8), np.float32))
    np.save(tmp_path / "colour.npy", np.zeros((2, 3, 8, 6), np.uint8))
    np.save(tmp_path / "empty.npy", np.zeros((0, 8, 6), np.uint8))
    np.save(tmp_path / "bright.npy", np.full((2, 8, 6), 2.0))
    np.save(tmp_path / "nan.npy", np.full((2, 8, 6), np.nan))
    np.save(tmp_path / "integers.npy", np.full((2, 8, 6), 255))
    np.save(tmp_path / "mask.npy", np.ones((2, 8, 6), np.uint8))
    np.save(tmp_path / "objects.npy", np.array([{}, {}], dtype=object))
    np.savez(tmp_path / "named.npz", one=GREY, other=GREY)
    np.savez(tmp_path / "labels.npz", x=GREY, y=np.zeros(3))
    (tmp_path / "text.npy").write_text("no numbers")
    (tmp_path / "nothing.npy").touch()
    (tmp_path / "broken.npz").write_bytes(b"PK and no more")
    for name, words in (
        ("large.npy", r"shape \(2, 1, 9, 8\); \(n, 1, 8, 6\) is needed"),
        ("colour.npy", r"\(n, 1, 8, 6\) is needed"),
        ("empty.npy", r"\(n, 1, 8, 6\) is needed"),
        ("bright.npy", r"values from 2 to 2; they must lie in \[0, 1\]"),
        ("nan.npy", "not finite"),
        ("integers.npy", "int64 with values up to 255, .*--levels 256"),
        ("mask.npy", "uint8 with values up to 1, .*--levels 2"),
        ("objects.npy", "damaged, or no .npy file"),
        ("named.npz", "holds 'one', 'other': call the images 'x'"),
        ("labels.npz", r"have the shape \(3,\): one label for each of the 5 images"),
        ("text.npy", "damaged"),
        ("nothing.npy", "damaged"),
        ("nowhere.npy", "can't be read"),
        ("broken.npz", "damaged"),
        ("picture.png", "a single picture"),
    ):
        with pytest.raises(DataError, match=words):
            read_images(tmp_path / name, SHAPE)
