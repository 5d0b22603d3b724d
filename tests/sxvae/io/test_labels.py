from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from sxvae.errors import DataError
from sxvae.io.labels import read_labels

CLASSES = np.array([2, 0, 1, 2])


@pytest.mark.parametrize(
    "y",
    [
        *(CLASSES.astype(dtype) for dtype in ("uint8", "uint64", ">i4", "float32", "f8")),
        *(CLASSES[:, None], np.eye(3)[CLASSES], np.eye(3, dtype=bool)[CLASSES]),
        *(CLASSES.astype(str), CLASSES.astype("S"), np.ma.masked_less(CLASSES, 0)),
    ],
)
def test_every_way_of_writing_classes(y: np.ndarray) -> None:
    labels = read_labels(y, 4, "the labels")
    assert labels.values.dtype == np.int64
    assert labels.values.tolist() == CLASSES.tolist()
    assert labels.class_names is None


def test_text_becomes_classes_in_the_order_of_the_alphabet() -> None:
    for y in (["dog", "cat", "dog"], [b"dog", b"cat", b"dog"], [["dog"], ["cat"], ["dog"]]):
        labels = read_labels(np.array(y), 3, "the labels")
        assert labels.values.tolist() == [1, 0, 1]
        assert labels.class_names == ("cat", "dog")


def test_bytes_that_are_no_text_stay_different_classes() -> None:
    labels = read_labels(np.array([b"\xff", b"\xfe", b"\xff"]), 3, "the labels")
    assert labels.values.tolist() == [1, 0, 1]
    assert labels.class_names == ("\\xfe", "\\xff")


@pytest.mark.filterwarnings("error")
def test_labels_of_16_bits_are_read_without_a_warning() -> None:
    assert read_labels(CLASSES.astype(np.float16), 4, "the labels").values.tolist() == [2, 0, 1, 2]
    with pytest.raises(DataError, match="hold inf"):
        read_labels(np.array([np.inf, 0], dtype=np.float16), 2, "the labels")


@pytest.mark.parametrize(
    ("y", "sentence"),
    [
        (np.arange(3), r"have the shape \(3,\): one label for each of the 4 images is needed"),
        (np.eye(4)[:3], r"\(3, 4\)"),
        (np.ones((4, 3)), r"\(4, 3\)"),
        (np.zeros((4, 3)), r"\(4, 3\)"),
        (np.float64(1), r"\(\)"),
        (np.array([0, 1, 0.5, 2]), r"hold 0\.5, which is no class"),
        (np.array([0, 1, np.nan, 2]), "hold nan"),
        (np.array([0, 1, np.inf, 2]), "hold inf"),
        (np.array([0, 1, 2**63, 2], dtype=np.uint64), "hold 9223372036854775808, which is too"),
        (np.ma.masked_equal(CLASSES, 1), "masked values"),
        (CLASSES.astype(complex), "of type complex128"),
        (np.array(["a", None, "b", None], dtype=object), "hold None of type NoneType: whole"),
        (np.array([1, None, 2, 3], dtype=object), "of type int: whole numbers or text"),
    ],
)
def test_what_is_no_class_is_refused(y: Any, sentence: str) -> None:
    with pytest.raises(DataError, match=f"^the labels {sentence}|^the labels .*{sentence}"):
        read_labels(y, 4, "the labels")
