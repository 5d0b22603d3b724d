"""Images and labels that are handed over in Python: taken as they are meant, or refused."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader

import sxvae
from sxvae import DataSettings, ImageData, ProductSpace, ProductSpaceVAE, Split, TrainingSettings
from sxvae.errors import DataError

X = torch.rand(12, 1, 4, 4, generator=torch.Generator().manual_seed(0))


def _data(split: Split, **settings: Any) -> ImageData:
    return ImageData(split, split, split, DataSettings(dataset="custom", **settings))


@pytest.mark.parametrize(
    ("pixels", "tolerance"),
    [
        *((X.numpy(), 0), (X.tolist(), 0), (list(X), 0), (X.clone().requires_grad_(), 0)),
        *((X.double(), 0), (X.half(), 1e-3), (X.bfloat16(), 1e-2), (X.numpy().astype(">f8"), 0)),
        *((X[:, 0], 0), (X.transpose(2, 3).contiguous().transpose(2, 3), 0)),
        *((np.asfortranarray(X.numpy()), 0), (np.ma.masked_less(X.numpy(), -1), 0)),
        *(((255 * X).round().to(torch.uint8), 3e-3), ((65_535 * X).numpy().astype("u2"), 3e-5)),
    ],
)
def test_images_of_any_kind(pixels: Any, tolerance: float) -> None:
    split = Split(pixels)
    assert split.pixels.dtype in (torch.uint8, torch.float32)
    assert split.pixels.is_contiguous()
    assert not split.pixels.requires_grad
    assert (split.images(slice(None)) - X).abs().max() <= tolerance
    batch = _data(split).training_batch(split, torch.arange(12))
    assert set(batch.unique().tolist()) == {0, 1}


@pytest.mark.parametrize("dtype", [torch.bool, torch.uint8, torch.int64, torch.int8, torch.half])
def test_masks_of_any_kind(dtype: torch.dtype) -> None:
    split = Split((X > 0.5).to(dtype))
    assert torch.equal(split.images(slice(None)), (X > 0.5).float())


@pytest.mark.parametrize("white", [16, 4_095])
def test_a_scale_counts_for_every_type(white: int) -> None:
    values = (white * X).round()
    dtypes = (torch.float32, torch.uint16, torch.int32, torch.int64) + (torch.uint8,) * (
        white < 255
    )
    for dtype in dtypes:
        split = Split(values.to(dtype), white)
        torch.testing.assert_close(split.images(slice(None)), values / white)
    assert _data(Split((16 * X).byte(), 16)).settings.levels == 17
    assert _data(Split((255 * X).byte(), 255)).settings.levels is None


@pytest.mark.parametrize(
    ("pixels", "scale", "sentence"),
    [
        ((16 * X).byte(), None, r"uint8 with values up to 15, .*scale=15 for 0 to 15.*scale=255"),
        ((255 * X).long(), None, "int64 with values up to .*scale=255"),
        (X > 0.5, 255, "the scale of bool images is 1"),
        (X, 0, "a number above 0, not 0"),
        (X, "255", "a number above 0, not '255'"),
        (X, float("nan"), "a number above 0"),
        (X.to(torch.complex64), None, "complex64"),
        (X.to_sparse(), None, "without plain numbers"),
        (X.to("meta"), None, "without plain numbers"),
        ("images.npy", None, "<U10: an array or tensor of numbers"),
        (None, None, "object"),
        ([[1.0], [1.0, 2.0]], None, "no array: its rows differ"),
        ([X[0], X[0, :, 1:]], None, "can't be stacked"),
        (np.ma.masked_less(X.numpy(), 0.5), None, "masked values"),
    ],
)
def test_what_is_no_images_is_refused(pixels: Any, scale: Any, sentence: str) -> None:
    with pytest.raises(DataError, match=sentence):
        Split(pixels, scale)


def test_ranges_and_axes_are_checked_with_the_whole() -> None:
    with pytest.raises(DataError, match=r"from .* to 1\.\d+, outside \[0, 1\]: .*scale="):
        _data(Split(2 * X))
    rounded = X.where(X < 0.5, torch.tensor(1.0000001))
    assert rounded.max() > 1
    data = _data(Split(rounded))
    assert data.train.pixels.max() == 1
    last = Split(torch.rand(4, 8, 8, 2))
    with pytest.raises(DataError, match=r"channels last as it seems: .*permute\(0, 3, 1, 2\)"):
        _data(last)
    assert _data(last, channels_last=False).image_shape == (8, 8, 2)
    with pytest.raises(DataError, match=r"train images are a Tensor: wrap them in sxvae\.Split"):
        ImageData(X, X, X)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "labels",
    [
        *(np.arange(12) % 3, list(range(12)), torch.arange(12).float(), torch.arange(12)[:, None]),
        *(torch.eye(12), np.arange(12, dtype=np.uint64), torch.arange(12).bfloat16()),
        *(torch.arange(12, dtype=torch.uint8), torch.arange(12.0, requires_grad=True)),
    ],
)
def test_labels_of_any_kind(labels: Any) -> None:
    found = Split(X, labels=labels).labels
    assert found is not None
    assert (found.dtype, found.shape) == (torch.int64, (12,))
    assert found[:3].tolist() == [0, 1, 2]


@pytest.mark.parametrize(
    ("labels", "sentence"),
    [
        (torch.arange(3), r"shape \(3,\): one label for each of the 12 images"),
        (torch.arange(12) + 0.5, r"hold 0\.5"),
        (np.arange(12, dtype=np.uint64) + 2**63, "too large"),
        (np.ma.masked_equal(np.arange(12), 3), "masked values"),
        ("cat", r"shape \(\)"),
    ],
)
def test_what_is_no_labels_is_refused(labels: Any, sentence: str) -> None:
    with pytest.raises(DataError, match=sentence):
        Split(X, labels=labels)


def test_classes_have_one_name_in_all_splits() -> None:
    train = Split(X, labels=["dog", "cat"] * 6)
    test = Split(X, labels=["fox", "dog"] * 6)
    data = ImageData(train, Split(X), test)
    assert data.settings.class_names == data.train.class_names == ("cat", "dog", "fox")
    assert data.train.labels is not None
    assert data.test.labels is not None
    assert data.train.labels[:2].tolist() == [1, 0]
    assert data.test.labels[:2].tolist() == [2, 1]
    named = Split(X, labels=[0, 1] * 6, class_names=["low", "high"])
    assert named.subset(slice(3)).class_names == ("low", "high")
    assert _data(named).for_evaluation("test").class_names == ("low", "high")
    with pytest.raises(DataError, match="names and those of another have not"):
        ImageData(train, Split(X, labels=[0] * 12), test)
    with pytest.raises(DataError, match="from 0 to 2, and there are 2 class names"):
        Split(X, labels=[0, 2] * 6, class_names=["low", "high"])
    with pytest.raises(DataError, match="'dog', which is none of the class names"):
        Split(X, labels=["cat", "dog"] * 6, class_names=["cat", "fox"])
    with pytest.raises(DataError, match="different texts"):
        Split(X, labels=[0, 1] * 6, class_names=["low", "low"])


def test_training_takes_own_tensors_and_nothing_else(tmp_path: Any) -> None:
    model = ProductSpaceVAE(ProductSpace.parse("2"), input_shape=(1, 4, 4), hidden_dims=(4,))
    config = TrainingSettings(epochs=1, burn_in=0, kl_warmup=0, eval_samples=2)
    split = Split(X.bfloat16().requires_grad_(), labels=np.arange(12.0)[:, None] % 2)
    run = sxvae.fit(model, _data(split), config, runs_dir=tmp_path, device="cpu")
    assert run.evaluation is not None
    for other in (X, (X, X), "digits", tmp_path, DataLoader(X)):  # type: ignore[var-annotated, arg-type]
        with pytest.raises(DataError, match=r"and sxvae\.ImageData is needed: .*load_data"):
            sxvae.fit(model, other, config, runs_dir=tmp_path)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        ("a\0b", "without a NUL character"),
        ("\ud800", "a text in UTF-8"),
        ("a" * 5_000, "at most 4096 characters"),
    ],
)
def test_classes_that_a_run_could_not_keep_are_refused_before_training(
    name: str, sentence: str
) -> None:
    with pytest.raises(DataError, match=f"^the images can't be used: class_names: .*{sentence}"):
        _data(Split(X, labels=[name, "dog"] * 6))
    with pytest.raises(DataError, match=sentence):
        _data(Split(X, labels=[0, 1] * 6, class_names=[name, "dog"]))
