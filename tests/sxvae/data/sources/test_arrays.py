"""A user's own images as an array in a file."""

from __future__ import annotations

import io
import zipfile
from pathlib import Path
from typing import Any

import ml_dtypes
import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from safetensors.numpy import save_file

from sxvae import DataSettings, ImageData, Split, load_data
from sxvae.config import SplitName
from sxvae.data import load_again
from sxvae.errors import ConfigError, DataError

N = 20
NAMES: tuple[SplitName, ...] = ("train", "validation", "test")


def _save(path: Path, x: NDArray[Any], y: NDArray[Any] | None = None) -> Path:
    arrays: dict[str, Any] = {"x": np.ascontiguousarray(x)} | ({} if y is None else {"y": y})
    if path.suffix == ".npy":
        np.save(path, x)
    elif path.suffix == ".npz":
        np.savez(path, **arrays)
    else:
        save_file(arrays, path)
    return path


def _numbered(*shape: int) -> NDArray[np.uint8]:
    """`N` images whose pixels are all different from the next image's."""
    whole = np.arange(np.prod((N, *shape))).reshape(N, *shape)
    return (whole % 251).astype(np.uint8)


def _all(data: ImageData) -> list[Split]:
    return [data.split(name) for name in NAMES]


@pytest.mark.parametrize("suffix", [".npy", ".npz", ".safetensors", ".NPZ"])
def test_every_kind_of_file(tmp_path: Path, suffix: str) -> None:
    x, y = _numbered(3, 4, 5), np.arange(N) % 7
    path = _save(tmp_path / f"own{suffix.lower()}", x, y).rename(tmp_path / f"own{suffix}")
    data = load_data(path)
    assert data.image_shape == (3, 4, 5)
    assert [len(split) for split in _all(data)] == [16, 2, 2]
    assert data.settings.dataset == str(path)
    originals = {image.tobytes(): label for image, label in zip(x, y, strict=True)}
    for split in _all(data):
        assert split.scale == 255
        for i, image in enumerate(split.pixels.numpy()):
            label = originals.pop(image.tobytes())
            if split.labels is None:
                assert suffix == ".npy"
            else:
                assert split.labels[i] == label
    assert not originals


@pytest.mark.parametrize(
    ("shape", "channels_last", "expected"),
    [
        ((6, 5), False, (1, 6, 5)),
        ((3, 6, 5), False, (3, 6, 5)),
        ((2, 6, 1), False, (2, 6, 1)),
        ((6, 5, 3), True, (3, 6, 5)),
        ((6, 5, 1), True, (1, 6, 5)),
        ((3, 3, 3), True, (3, 3, 3)),
    ],
)
def test_shapes(
    tmp_path: Path, shape: tuple[int, ...], channels_last: bool, expected: tuple[int, ...]
) -> None:
    x = _numbered(*shape)
    path = _save(tmp_path / "own.npy", x)
    data = load_data(DataSettings(dataset=str(path), channels_last=channels_last))
    assert data.image_shape == expected
    first = np.moveaxis(x, -1, 1) if channels_last else x.reshape(N, *expected)
    assert data.train.pixels[0].numpy().tobytes() in {image.tobytes() for image in first}


@pytest.mark.parametrize(
    "dtype",
    [
        *("uint8", "uint16", "bool", "int64", "uint32", "int8"),
        *("float16", "float32", ">f4", "float64"),
    ],
)
def test_types(tmp_path: Path, dtype: str) -> None:
    """Zeros and ones are these in every type; bytes may be 1 of 255, so they are asked about."""
    x = (_numbered(4, 4) % 2).astype(dtype)
    path, levels = _save(tmp_path / "own.npy", x), None
    if dtype in ("uint8", "uint16"):
        with pytest.raises(DataError, match=r"own\.npy is uint.* up to 1, .*--levels 2"):
            load_data(path)
        levels = 2
    data = load_data(DataSettings(dataset=str(path), levels=levels))
    grey = data.train.images(slice(None))
    assert grey.dtype == torch.float32
    assert set(grey.unique().tolist()) == {0, 1}


@pytest.mark.parametrize("levels", [17, 200, 4_096])
@pytest.mark.parametrize("dtype", ["uint8", "uint16", "int64"])
def test_levels(tmp_path: Path, levels: int, dtype: str) -> None:
    values = np.minimum(_numbered(4, 4).astype(np.int64) * levels // 250, levels - 1)
    if levels > 256 and dtype == "uint8":
        return
    path = str(_save(tmp_path / "own.npy", values.astype(dtype)))
    data = load_data(DataSettings(dataset=path, levels=levels))
    found = torch.cat([split.images(slice(None)) for split in _all(data)]).flatten()
    expected = np.sort(values.ravel() / (levels - 1))
    np.testing.assert_allclose(np.sort(found.numpy()), expected, rtol=1e-6)


def test_levels_are_of_whole_numbers(tmp_path: Path) -> None:
    """Floating point may hold them, as scikit-learn's digits do."""
    whole = _numbered(4, 4) % 17
    for values, fits in ((whole.astype(float), True), (whole / 16, False), (whole > 8, False)):
        settings = DataSettings(dataset=str(_save(tmp_path / "own.npy", values)), levels=17)
        if fits:
            assert load_data(settings).train.scale == 16
        else:
            with pytest.raises(DataError, match=r"no whole numbers, .* leave out --levels"):
                load_data(settings)


def test_a_run_from_before_scales_were_asked_about_loads_its_images_again(tmp_path: Path) -> None:
    path = _save(tmp_path / "own.npy", _numbered(4, 4) % 2)
    then = load_data(DataSettings(dataset=str(path), levels=256)).settings
    stored = then.model_copy(update={"levels": None, "channels_last": False})
    again = load_again(stored)
    assert again.train.scale == 255
    assert again.settings.content_sha256 == stored.content_sha256
    with pytest.raises(DataError, match="255 does not seem"):
        load_data(stored)
    _save(path, _numbered(4, 4) % 3)
    with pytest.raises(DataError, match="are not those that the model was trained on"):
        load_again(stored)


def test_sixteen_bits_are_kept(tmp_path: Path) -> None:
    x = np.linspace(0, 65_535, N * 16).astype(np.uint16).reshape(N, 4, 4)
    data = load_data(_save(tmp_path / "own.npy", x))
    grey = torch.cat([split.images(slice(None)) for split in _all(data)])
    assert len((grey * 65_535).round().unique()) == N * 16


@pytest.mark.parametrize(
    ("shape", "asked"),
    [
        *(((8, 8, 2), True), ((8, 8, 4), True), ((28, 28, 3), True), ((28, 20, 5), True)),
        *(((4, 4, 1), True), ((2, 3, 3), False), ((3, 32, 4), False), ((12, 16, 16), False)),
        *(((1, 28, 4), False), ((8, 4, 8), False), ((16, 16, 16), False)),
    ],
)
def test_doubtful_axes_are_asked_about(tmp_path: Path, shape: tuple[int, ...], asked: bool) -> None:
    path = str(_save(tmp_path / "own.npy", _numbered(*shape)))
    if asked:
        with pytest.raises(DataError, match="with --channels-last, or with --no-channels-last"):
            load_data(path)
    else:
        assert load_data(path).image_shape == shape
    assert load_data(DataSettings(dataset=path, channels_last=False)).image_shape == shape


def test_splits_of_the_file_are_kept_and_missing_ones_made(tmp_path: Path) -> None:
    """A tenth of the training images is for validation, by the seed."""
    x, y = _numbered(4, 5), np.array(["b", "c"] * 10)  # bright, with dark test images
    path = tmp_path / "keras.npz"
    np.savez(path, x_train=x, y_train=y, x_test=x[:3], y_test=np.array(["a", "a", "c"]))
    first, again, other = (
        load_data(DataSettings(dataset=str(path), split_seed=seed)) for seed in (0, 0, 1)
    )
    assert [len(split) for split in _all(first)] == [18, 2, 3]
    assert torch.equal(first.train.pixels, again.train.pixels)
    assert not torch.equal(first.validation.pixels, other.validation.pixels)
    assert torch.equal(first.test.pixels, other.test.pixels)
    np.testing.assert_array_equal(first.test.pixels[:, 0], x[:3])
    assert first.settings.class_names == ("a", "b", "c")
    assert first.test.labels is not None
    assert first.test.labels.tolist() == [0, 0, 2]
    assert set(torch.cat([s.labels for s in _all(first) if s.labels is not None]).tolist()) == {
        *(0, 1, 2)
    }
    assert first.settings.content_sha256 == other.settings.content_sha256
    (remark,) = first.remarks
    assert remark.startswith("keras.npz was read as train 'x_train' with the labels 'y_train'")
    np.savez(path, x_train=x, x_test=x[:4])
    assert load_data(path).settings.content_sha256 != first.settings.content_sha256


def test_arrays_in_any_memory_order(tmp_path: Path) -> None:
    x = _numbered(4, 5)
    plain = load_data(_save(tmp_path / "a.npy", x))
    fortran = load_data(_save(tmp_path / "b.npy", np.asfortranarray(x)))
    assert torch.equal(plain.train.pixels, fortran.train.pixels)


def test_the_seed_divides(tmp_path: Path) -> None:
    path = str(_save(tmp_path / "own.npy", _numbered(4, 4)))
    first, again, other = (
        load_data(DataSettings(dataset=path, split_seed=seed)).test.pixels for seed in (5, 5, 6)
    )
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


@given(seed=st.integers(0, 2**63 - 1))
@settings(max_examples=20, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_the_hash_is_of_the_content_alone(tmp_path: Path, seed: int) -> None:
    x, y = _numbered(4, 4), np.arange(N)
    paths = [_save(tmp_path / name, x, y) for name in ("a.npz", "b.safetensors")]
    np.savez_compressed(tmp_path / "c.npz", x=x, y=y, other=np.zeros(3))
    hashes = {
        load_data(DataSettings(dataset=str(path), split_seed=seed)).settings.content_sha256
        for path in (*paths, tmp_path / "c.npz")
    }
    assert len(hashes) == 1
    assert len(str(hashes.pop())) == 64


def test_the_hash_sees_pixels_labels_order_and_shape(tmp_path: Path) -> None:
    x, y = _numbered(4, 4), np.arange(N)
    brighter = x.copy()
    brighter[3, 2, 1] += 1
    contents: list[tuple[NDArray[Any], NDArray[Any] | None]] = [
        *((x, y), (brighter, y), (x, y[::-1].copy()), (x, None), (x[::-1].copy(), y)),
        *((x.reshape(N, 2, 8), y), (x / np.float32(255), y)),
    ]
    paths = [_save(tmp_path / f"{i}.npz", *content) for i, content in enumerate(contents)]
    hashes = {load_data(path).settings.content_sha256 for path in paths}
    assert len(hashes) == len(contents)


def _bad(**arrays: Any) -> bytes:
    file = io.BytesIO()
    np.savez(file, **arrays)
    return file.getvalue()


GOOD = np.zeros((N, 4, 4), dtype=np.uint8)


@pytest.mark.parametrize(
    ("arrays", "sentence"),
    [
        ({"a": GOOD, "b": GOOD}, "holds 'a', 'b': call the images 'x', .* --images-key"),
        ({}, "holds nothing: call the images 'x'"),
        ({"x": np.zeros((N, 16))}, r"shape \(20, 16\) in place of \(n, H, W\) or \(n, C, H, W\)"),
        ({"x": np.zeros((N, 1, 1, 4, 4))}, r"shape \(20, 1, 1, 4, 4\)"),
        ({"x": np.zeros((0, 4, 4))}, r"shape \(0, 4, 4\)"),
        ({"x": np.zeros((N, 0, 4))}, r"shape \(20, 0, 4\)"),
        ({"x": np.zeros(())}, r"shape \(\)"),
        ({"x": np.zeros((N, 28, 28, 3))}, "say so with --channels-last"),
        ({"x": GOOD[:9]}, "holds 9 images, and at least 10 are needed"),
        ({"x": GOOD + np.int64(16)}, r"int64 with values up to 16, .*\(--levels 17 for 0 to 16\)"),
        ({"x": GOOD - np.int64(1)}, "negative values, the least of them -1"),
        ({"x": GOOD.astype(str)}, "the type <U"),
        ({"x": GOOD.astype(complex)}, "the type complex128"),
        ({"x": GOOD.astype(ml_dtypes.bfloat16)}, "as NumPy writes bfloat16: save it as float32"),
        ({"x": GOOD * np.nan}, "not finite"),
        ({"x": GOOD + np.inf}, "not finite"),
        ({"x": GOOD + 1e300}, "not finite"),
        ({"x": GOOD + 255.0}, r"from 255 to 255; they must lie in \[0, 1\]"),
        ({"x": GOOD - 0.5}, "from -0.5 to -0.5"),
        ({"x": GOOD, "y": np.arange(N - 1)}, r"shape \(19,\): one label for each of the 20"),
        ({"x": GOOD, "y": np.ones((N, 2), dtype=int)}, r"shape \(20, 2\)"),
        ({"x": GOOD, "y": np.ones(N) / 2}, r"hold 0\.5, which is no class"),
    ],
)
def test_what_cannot_be_images_is_refused(
    tmp_path: Path, arrays: dict[str, Any], sentence: str
) -> None:
    path = tmp_path / "own.npz"
    path.write_bytes(_bad(**arrays))
    with pytest.raises(DataError, match=sentence) as caught:
        load_data(path)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


def _pickled() -> bytes:
    file = io.BytesIO()
    np.save(file, np.array([{}, []], dtype=object), allow_pickle=True)
    return file.getvalue()


def _npy() -> bytes:
    file = io.BytesIO()
    np.save(file, GOOD)
    return file.getvalue()


def _safetensors(tmp_path: Path) -> bytes:
    return _save(tmp_path / "sound.safetensors", GOOD).read_bytes()


def _zip(content: bytes) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("x.npy", content)
    return file.getvalue()


def test_damaged_and_foreign_files_are_refused(tmp_path: Path) -> None:
    npy, npz, safe = _npy(), _bad(x=GOOD), _safetensors(tmp_path)
    middle = len(npz) // 2
    flipped = npz[:middle] + bytes([npz[middle] ^ 1]) + npz[middle + 1 :]
    huge = npy.replace(b"(20, 4, 4)", b"(9" + b"0" * 6 + b",)")
    for name, content in (
        *(("own.npy", c) for c in (b"", b"text", npy[:20], npy[:-1], huge, npz, _pickled())),
        *(("own.npz", c) for c in (b"", b"text", npz[:-30], flipped, npy, _zip(b"no array"))),
        ("own.npz", _zip(_pickled())),
        *(("own.safetensors", c) for c in (b"", b"text", safe[:-1], safe[:12], npz)),
    ):
        path = tmp_path / name
        path.write_bytes(content)
        with pytest.raises(DataError, match=r"is damaged, or no \.\w+ file of plain numbers"):
            load_data(path)


def test_settings_that_do_not_apply_are_refused(tmp_path: Path) -> None:
    path = _save(tmp_path / "own.npy", GOOD)
    with pytest.raises(ConfigError, match="image_size: only image files in a folder are resized"):
        load_data(DataSettings(dataset=str(path), image_size=(8, 8)))
    with pytest.raises(ConfigError, match="data_dir: it is for data sets with a name"):
        load_data(DataSettings(dataset=str(path), data_dir=str(tmp_path)))
    with pytest.raises(DataError, match=r"\(20, 4, 4\) in place of \(n, H, W, C\)"):
        load_data(DataSettings(dataset=str(path), channels_last=True))
    for channels in (1, 2, 3, 4):
        _save(path, np.zeros((N, channels, 8, 8), dtype=np.uint8))
        with pytest.raises(DataError, match="leave out --channels-last"):
            load_data(DataSettings(dataset=str(path), channels_last=True))


def test_paths_without_images(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for missing in ("own.npy", "./own", str(tmp_path / "own")):
        with pytest.raises(DataError, match=r"there is nothing at .*own"):
            load_data(missing)
    (tmp_path / "own.xyz").write_text("1,2")
    with pytest.raises(DataError, match=r"is none of what images are read from: \.npy, \.npz"):
        load_data(tmp_path / "own.xyz")
    with pytest.raises(DataError, match="is a device and no file"):
        load_data("/dev/zero")
    with pytest.raises(DataError, match="can't be read"):
        load_data(f"./{'a' * 300}")
    monkeypatch.chdir(tmp_path)
    (tmp_path / "imagenet").mkdir()  # a folder's plain name is a path as well
    with pytest.raises(DataError, match="imagenet holds no images"):
        load_data("imagenet")
    (tmp_path / "digits").mkdir()  # but a data set's name comes first
    assert load_data("digits").image_shape == (1, 8, 8)
