"""What `sxvae.fit` and its companions are called with by mistake is refused in a sentence."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

import sxvae
from sxvae import ImageData, ProductSpace, ProductSpaceVAE
from sxvae.errors import ConfigError


@pytest.mark.parametrize(
    ("argument", "value", "sentence"),
    [
        ("name", 3, "3 is no name for a run: it is text"),
        ("name", Path("a"), "is no name for a run"),
        ("name", b"a", "is no name for a run"),
        ("runs_dir", None, "None is no path"),
        ("runs_dir", b"runs", "is no path"),
        ("runs_dir", "a\0b", r"'a\\x00b' is no path"),
        ("device", None, "None is no device"),
        ("device", 1.5, "1.5 is no device"),
        ("device", "\x1b[31m", r"'\\x1b\[31m' is no device here"),
        ("device", "x" * 5_000, r"^.{0,120}$"),
        ("threads", 1.5, "a whole number, not 1.5"),
        ("threads", True, "a whole number, not True"),
        ("threads", "2", "a whole number, not '2'"),
    ],
)
def test_fit(
    argument: str, value: Any, sentence: str, few_digits: ImageData, tmp_path: Path
) -> None:
    model = ProductSpaceVAE(ProductSpace.parse("2"), few_digits.image_shape, (4,))
    arguments = {"runs_dir": tmp_path / "runs", argument: value}
    with pytest.raises(ConfigError, match=sentence):
        sxvae.fit(model, few_digits, **arguments)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("path", [None, 3, b"x", "a\0b"])
def test_paths_of_runs_and_checkpoints(path: Any) -> None:
    with pytest.raises(ConfigError, match="is no path"):
        sxvae.load(path)
    with pytest.raises(ConfigError, match="is no path"):
        sxvae.resume(path)


@pytest.mark.parametrize("name", ["settings", "tests", "", None, ["test"]])
def test_splits(name: Any, few_digits: ImageData) -> None:
    with pytest.raises(ConfigError, match="is no split: it is train, validation or test"):
        few_digits.split(name)
