"""Files as people have them: names, splits, types, and what is no file of arrays."""

from __future__ import annotations

import json
import os
import socket
import struct
import zipfile
from pathlib import Path
from typing import Any

import ml_dtypes
import numpy as np
import pytest
from safetensors.numpy import save, save_file

from sxvae.errors import DataError
from sxvae.io.array_files import ArrayFile, read_array_file
from sxvae.io.array_names import NO_KEYS, Keys

A, B, C = (np.full((n, 2, 2), n, np.uint8) for n in (4, 2, 3))


def _read(folder: Path, arrays: dict[str, Any], keys: Keys = NO_KEYS) -> ArrayFile:
    np.savez(folder / "own.npz", **arrays)
    return read_array_file(folder / "own.npz", keys)


@pytest.mark.parametrize(
    ("images", "labels"),
    [
        *(("x", "y"), ("X", "y"), ("images", "labels"), ("image", "label"), ("data", "target")),
        *(("arr_0", "arr_1"), ("imgs", "classes"), ("Images", "Targets"), ("scans", None)),
    ],
)
def test_usual_names(tmp_path: Path, images: str, labels: str | None) -> None:
    y = [0, 1, 1, 0]
    file = _read(tmp_path, {images: A} | ({} if labels is None else {labels: y}))
    (part,) = file.parts.values()
    np.testing.assert_array_equal(part.x, A)
    if labels is not None:
        assert part.labels is not None
        assert part.labels.values.tolist() == y
    said = file.remark or ""
    assert (images, labels) == ("x", "y") or f"own.npz was read as images '{images}'" in said
    assert labels in (None, "y") or f"with the labels '{labels}'" in said


@pytest.mark.parametrize(
    ("names", "labels"),
    [(("trainX", "testX"), ("trainY", "testY")), (("xtrain", "xtest"), ("ytrain", "ytest"))],
)
def test_names_without_a_mark_between_their_words(
    names: tuple[str, str], labels: tuple[str, str], tmp_path: Path
) -> None:
    arrays = {names[0]: A, names[1]: B, labels[0]: [0, 1, 1, 0], labels[1]: [1, 0]}
    parts = _read(tmp_path, arrays).parts
    assert list(parts) == ["train", "test"]
    assert parts["test"].labels is not None
    assert parts["test"].labels.values.tolist() == [1, 0]


def test_what_is_left_beside_the_names_of_the_documentation_is_said(tmp_path: Path) -> None:
    assert _read(tmp_path, {"x": A}).remark is None
    assert _read(tmp_path, {"x": A, "X": A}).remark == (
        "own.npz was read as images 'x'; 'X' not read"
    )


def test_images_are_not_left_out(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"own\.npz holds no 'none'; it holds 'x'"):
        _read(tmp_path, {"x": A}, Keys(images="none"))


def test_names_that_the_user_says(tmp_path: Path) -> None:
    arrays = {"scans": A, "masks": A, "ward": [3, 1, 2, 1], "y": [0, 0, 0, 0]}
    file = _read(tmp_path, arrays, Keys("scans", "ward"))
    labels = file.parts[None].labels
    assert labels is not None
    assert labels.values.tolist() == [3, 1, 2, 1]
    assert file.remark is not None
    assert file.remark.endswith("images 'scans' with the labels 'ward'; 'masks', 'y' not read")
    assert _read(tmp_path, arrays, Keys("scans", "none")).parts[None].labels is None
    with pytest.raises(
        DataError, match=r"own\.npz holds 'scans', .* call the images 'x'.*--images-key"
    ):
        _read(tmp_path, arrays)
    with pytest.raises(DataError, match="holds no 'scan'; it holds 'scans', 'masks', 'ward', 'y'"):
        _read(tmp_path, arrays, Keys("scan"))
    with pytest.raises(DataError, match=r"'label', 'target': say .* labels with --labels-key"):
        _read(tmp_path, {"x": A, "label": [0] * 4, "target": [0] * 4})
    with pytest.raises(DataError, match=r"\(4, 14\).*; --labels-key none leaves them out"):
        _read(tmp_path, {"x": A, "y": np.ones((4, 14))})


@pytest.mark.parametrize(
    ("names", "splits"),
    [
        (("train_images", "val_images", "test_images"), ["train", "validation", "test"]),
        (("x_train", "x_valid", "x_test"), ["train", "validation", "test"]),
        (("train", "dev", "test"), ["train", "validation", "test"]),
        (("X_train", "X_test"), ["train", "test"]),
        (("train_data", "validation_data"), ["train", "validation"]),
    ],
)
def test_splits_of_the_file(tmp_path: Path, names: tuple[str, ...], splits: list[str]) -> None:
    file = _read(tmp_path, dict(zip(names, (A, B, C), strict=False)))
    assert list(file.parts) == splits
    for part, expected in zip(file.parts.values(), (A, B, C), strict=False):
        np.testing.assert_array_equal(part.x, expected)
        assert part.labels is None


def test_labels_go_with_their_split(tmp_path: Path) -> None:
    """As MedMNIST writes them, a column each, and Keras."""
    numbers = {"train": [[0], [1], [2], [0]], "val": [[1], [2]], "test": [[2], [2], [0]]}
    images = dict(zip(numbers, (A, B, C), strict=True))
    for written in (
        {f"{s}_images": images[s] for s in numbers}
        | {f"{s}_labels": y for s, y in numbers.items()},
        {f"x_{s}": images[s] for s in numbers} | {f"y_{s}": y for s, y in numbers.items()},
    ):
        for part, y in zip(_read(tmp_path, written).parts.values(), numbers.values(), strict=True):
            assert part.labels is not None
            assert part.labels.values.tolist() == np.ravel(y).tolist()
    with pytest.raises(DataError, match="no images to train on"):
        _read(tmp_path, {"x_test": A, "x_val": B})
    with pytest.raises(DataError, match="'train_images' and 'x_train': say which are the images"):
        _read(tmp_path, {"train_images": A, "x_train": B})


def test_bfloat16_is_read_and_float8_named(tmp_path: Path) -> None:
    path = tmp_path / "own.safetensors"
    values = np.linspace(0, 1, 48, dtype=np.float32).reshape(3, 4, 4)
    rounded = values.astype(ml_dtypes.bfloat16)
    y = np.arange(3)
    save_file({"y": y, "x": rounded, "other": values}, path)
    part = read_array_file(path).parts[None]
    np.testing.assert_array_equal(part.x, rounded.astype(np.float32))
    assert part.labels is not None
    assert part.labels.values.tolist() == [0, 1, 2]
    for name in ("F8_E4M3", "F8_E5M2"):
        path.write_bytes(_with_header({"x": (name, [3, 4, 4], 0, 48)}, bytes(48)))
        with pytest.raises(DataError, match=f"'x' in .* is of type {name}, floating point of 8"):
            read_array_file(path)


def _with_header(entries: dict[str, tuple[str, list[int], int, int]], data: bytes) -> bytes:
    parts = [
        f"{json.dumps(name.rstrip('+'))}:"
        + json.dumps({"dtype": dtype, "shape": shape, "data_offsets": [start, end]})
        for name, (dtype, shape, start, end) in entries.items()
    ]
    header = ("{" + ",".join(parts) + "}").encode()
    return struct.pack("<Q", len(header)) + header + data


def test_a_name_that_is_there_twice_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "own.safetensors"
    path.write_bytes(
        _with_header({"x": ("U8", [2, 2, 2], 0, 8), "x+": ("U8", [2, 2, 2], 8, 16)}, bytes(16))
    )
    with pytest.raises(DataError, match="names the tensor 'x' twice"):
        read_array_file(path)
    archive = tmp_path / "own.npz"
    np.savez(archive, x=A)
    with zipfile.ZipFile(archive, "a") as file, pytest.warns(UserWarning, match="Duplicate name"):
        file.writestr("x.npy", zipfile.ZipFile(archive).read("x.npy"))
    with pytest.raises(DataError, match="twice"):
        read_array_file(archive)


@pytest.mark.parametrize(
    ("name", "content", "sentence"),
    [
        ("own.mat", b"MATLAB 7.3 MAT-file", "a file of MATLAB 7.3, which is HDF5: open it with h5"),
        ("own.mat", b"MATLAB 5.0 MAT-file", "a file of MATLAB: open it with scipy.io.loadmat"),
        ("own.pt", b"", "pickled file of PyTorch, which is never loaded"),
        ("own.pkl", b"", "a pickle, which can run any code"),
        ("own.csv", b"", "a table of text: open it with numpy.loadtxt"),
        ("own.parquet", b"", "a table of Arrow"),
        ("own.h5", b"", "a file of HDF5"),
        ("own.tar", b"", "an archive: unpack it"),
        ("own.png", b"", "a single picture: name the folder"),
        ("t10k-images-idx3-ubyte", b"", "a file of MNIST's kind"),
        ("own.xyz", b"", r"none of what images are read from: \.npy, \.npz, \.safetensors"),
    ],
)
def test_other_files_are_named_as_what_they_are(
    tmp_path: Path, name: str, content: bytes, sentence: str
) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(DataError, match=f"{name} is .*{sentence}|{name} is {sentence}"):
        read_array_file(tmp_path / name)


def test_what_is_no_file_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.npy")
    (tmp_path / "folder.npz").mkdir()
    (tmp_path / "zero.npy").symlink_to("/dev/zero")
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(tmp_path / "s.npy"))
        for name, kind in (
            *(("pipe.npy", "a named pipe"), ("folder.npz", "a folder")),
            *(("zero.npy", "a device"), ("s.npy", "a socket")),
        ):
            with pytest.raises(
                DataError, match=f"{name} is {kind} and no file: save its content as a file"
            ):
                read_array_file(tmp_path / name)


def test_a_huge_sparse_file_is_refused_before_it_is_read(tmp_path: Path) -> None:
    shape = (10**6, 4_096, 4_096)  # 15 TiB of uint8
    for name in ("own.npy", "own.safetensors"):
        path = tmp_path / name
        with path.open("wb") as file:
            if name.endswith("npy"):
                np.lib.format.write_array_header_1_0(
                    file, {"descr": "|u1", "fortran_order": False, "shape": shape}
                )
            else:
                entry = {"x": ("U8", list(shape), 0, int(np.prod(shape)))}
                file.write(_with_header(entry, b""))
            file.truncate(file.tell() + int(np.prod(shape)))
        with pytest.raises(DataError, match="does not fit into this machine's memory"):
            read_array_file(path)


def test_nothing_but_the_header_is_trusted(tmp_path: Path) -> None:
    path = tmp_path / "own.safetensors"
    sound = save({"x": A})
    for content in (b"", sound[:5], sound[:-1], struct.pack("<Q", 2**60) + b"{}", b"[]" * 20):
        path.write_bytes(content)
        with pytest.raises(DataError, match="damaged"):
            read_array_file(path)
