"""Larochelle's text files, and the copy that is kept of them."""

from __future__ import annotations

import os
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from sxvae import DataSettings, load_data
from sxvae.config import Binarization
from sxvae.data.sources.cache import cached_bits
from sxvae.data.sources.static_mnist import parse_amat
from sxvae.errors import DataError

IMAGES = {"train": 50_000, "valid": 10_000, "test": 10_000}


def _text(bits: NDArray[np.uint8]) -> bytes:
    """Images in the format of the real files: a line "0 1 ... 0" for each."""
    characters = np.full((*bits.shape, 2), ord(" "), dtype=np.uint8)
    characters[..., 0] = bits + ord("0")
    characters[:, -1, 1] = ord("\n")
    return characters.tobytes()


@pytest.fixture(scope="module")
def data_dir(tmp_path_factory: pytest.TempPathFactory, letter_f: NDArray[np.uint8]) -> Path:
    """The three files at their true length; the first image of each is an F."""
    folder = tmp_path_factory.mktemp("data")
    (folder / "static-mnist").mkdir()
    rng = np.random.default_rng(0)
    for part, n in IMAGES.items():
        bits = rng.integers(0, 2, (n, 784), dtype=np.uint8)
        bits[0] = letter_f.ravel()
        (folder / "static-mnist" / f"binarized_mnist_{part}.amat").write_bytes(_text(bits))
    return folder


def test_the_whole_set(data_dir: Path, letter_f: NDArray[np.uint8]) -> None:
    """In seconds, and faster from the copy, with each kind of binarisation the same images."""
    start = time.perf_counter()
    data = load_data(DataSettings(dataset="static-mnist", data_dir=str(data_dir)))
    parsed = time.perf_counter()
    again = load_data(DataSettings(dataset="static-mnist", data_dir=str(data_dir)))
    copied = time.perf_counter()
    assert parsed - start < 30  # some 2 s on a machine with nothing else to do
    assert copied - parsed < parsed - start
    assert (len(data.train), len(data.validation), len(data.test)) == tuple(IMAGES.values())
    assert data.image_shape == (1, 28, 28)
    upright = torch.from_numpy(letter_f)
    for split, copy in (
        (data.train, again.train),
        (data.validation, again.validation),
        (data.test, again.test),
    ):
        assert torch.equal(split.pixels[0, 0], upright)
        assert torch.equal(split.pixels, copy.pixels)
        assert split.labels is None
    index = torch.arange(100)
    kinds: tuple[Binarization, ...] = ("dynamic", "fixed", "none")
    for kind in kinds:
        settings = DataSettings(dataset="static-mnist", data_dir=str(data_dir), binarization=kind)
        binary = load_data(settings).for_likelihood("bernoulli")
        assert torch.equal(binary.for_evaluation("test").images(index), data.test.images(index))
        batch = binary.training_batch(binary.for_training(), index)
        assert torch.equal(batch, data.train.images(index))


def test_a_file_that_ends_early_is_refused(data_dir: Path, tmp_path: Path) -> None:
    """Even between two lines."""
    (tmp_path / "static-mnist").mkdir()
    for part in IMAGES:
        whole = data_dir / "static-mnist" / f"binarized_mnist_{part}.amat"
        (tmp_path / "static-mnist" / whole.name).symlink_to(whole)
    test = tmp_path / "static-mnist" / "binarized_mnist_test.amat"
    content = test.read_bytes()
    test.unlink()
    test.write_bytes(content[: 9_999 * 784 * 2])
    with pytest.raises(DataError, match=r"test\.amat has 9,999 images in place of 10,000"):
        load_data(DataSettings(dataset="static-mnist", data_dir=str(tmp_path)))


def test_missing_files_are_named_with_their_address(tmp_path: Path) -> None:
    with pytest.raises(DataError) as caught:
        load_data(DataSettings(dataset="static-mnist", data_dir=str(tmp_path)))
    message = str(caught.value)
    assert str(tmp_path / "static-mnist") in message
    assert "binarized_mnist_train.amat" in message
    assert "http://www.cs.toronto.edu/~larocheh/public/datasets/binarized_mnist/" in message
    assert "--data-dir" in message
    assert list(tmp_path.iterdir()) == []


def test_spaces_and_line_ends_do_not_matter(letter_f: NDArray[np.uint8]) -> None:
    bits = np.stack([letter_f.ravel(), 1 - letter_f.ravel()])
    plain = _text(bits)
    for text in (plain, plain[:-1], plain.replace(b"\n", b" \r\n"), plain + b"\r\n\n"):
        assert np.array_equal(parse_amat(text, Path("file")), bits)


LINE = b" ".join([b"0", b"1"] * 392)


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\n",
        LINE[:-2],
        LINE + b"\n" + LINE[:-1] + b"2",
        LINE + b"\n0 1\n",
        LINE.replace(b"1", b"0.5"),
        LINE.replace(b"1", b"-1"),
        LINE.replace(b"1", b"256"),
        b"<!DOCTYPE html><title>404 Not Found</title>",
        b"\x89HDF\r\n\x1a\n\x00\x00",
    ],
)
def test_other_content_is_refused(content: bytes) -> None:
    with pytest.raises(DataError, match=r"a\.amat does not hold lines of 784 numbers 0 or 1"):
        parse_amat(content, Path("a.amat"))


class _Parser:
    """Bytes to bits, counting how often."""

    def __init__(self) -> None:
        self.calls = 0

    def __call__(self, content: bytes) -> NDArray[np.uint8]:
        self.calls += 1
        return np.frombuffer(content, dtype=np.uint8).reshape(-1, 5) - ord("0")


def test_the_copy_serves_until_the_file_changes(tmp_path: Path) -> None:
    source, parser = tmp_path / "a.amat", _Parser()
    source.write_bytes(b"0110010011")
    first = cached_bits(source, parser)
    assert np.array_equal(cached_bits(source, parser), first)
    assert parser.calls == 1
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.amat", "a.amat.safetensors"]
    stamp = source.stat()
    source.write_bytes(b"1110010011")  # of the same length, and made to look as old
    os.utime(source, ns=(stamp.st_atime_ns, stamp.st_mtime_ns))
    assert cached_bits(source, parser)[0].tolist() == [1, 1, 1, 0, 0]
    assert cached_bits(source, parser)[0].tolist() == [1, 1, 1, 0, 0]
    assert parser.calls == 2


def test_a_damaged_copy_is_made_again(tmp_path: Path) -> None:
    """Whichever byte it is."""
    source, parser = tmp_path / "a.amat", _Parser()
    source.write_bytes(b"0110010011")
    expected = cached_bits(source, parser)
    cache = tmp_path / "a.amat.safetensors"
    sound = cache.read_bytes()
    flips = [sound[:i] + bytes([sound[i] ^ 1]) + sound[i + 1 :] for i in range(len(sound))]
    for damaged in (b"", b"text", sound[:20], sound[:-1], *flips):
        cache.write_bytes(damaged)
        assert np.array_equal(cached_bits(source, parser), expected)
    cache.write_bytes(sound)
    calls = parser.calls
    assert np.array_equal(cached_bits(source, parser), expected)
    assert parser.calls == calls


def test_a_copy_that_cannot_be_kept_is_done_without(tmp_path: Path) -> None:
    source, parser = tmp_path / "a.amat", _Parser()
    source.write_bytes(b"0110010011")
    (tmp_path / "a.amat.safetensors").mkdir()  # a file can't take a folder's place
    for _ in range(2):
        assert cached_bits(source, parser).tolist() == [[0, 1, 1, 0, 0], [1, 0, 0, 1, 1]]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.amat", "a.amat.safetensors"]
