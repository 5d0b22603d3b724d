"""What an application may call the path of a bundle."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

import sxvae_runtime
from sxvae_runtime import BundleError, BundleNotFoundError, InputError


class _Entry:
    """As `os.scandir` gives it, for example."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def __fspath__(self) -> bytes:
        return os.fsencode(self._path)


@pytest.mark.parametrize("kind", [str, Path, os.fsencode, _Entry])
@pytest.mark.parametrize("file", ["", "manifest.json", "decoder.onnx", "golden.safetensors"])
def test_every_kind_of_path_to_the_folder_or_a_file_of_it(
    bundle: Path, kind: Any, file: str
) -> None:
    assert sxvae_runtime.load(kind(bundle / file)).path == bundle


def test_the_home_folder_and_links_to_the_folder(
    bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "current").symlink_to(bundle)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("USERPROFILE", str(tmp_path))
    app = sxvae_runtime.load("~/current")
    assert app.path == tmp_path / "current"
    assert app.verify() < 1e-4


def test_what_is_no_path_is_refused(bundle: Path) -> None:
    for value in (None, 3, bundle.joinpath, [str(bundle)]):
        with pytest.raises(InputError, match=r"path is a text or a pathlib\.Path, not of type "):
            sxvae_runtime.load(value)  # type: ignore[arg-type]
    with pytest.raises(InputError, match="is no path of a file or folder"):
        sxvae_runtime.load(bundle / "a\0b")
    for empty in ("", b""):
        with pytest.raises(InputError, match="path is empty"):
            sxvae_runtime.load(empty)
    with pytest.raises(BundleNotFoundError, match="no bundle at ~nobody-of-this-name/bundle"):
        sxvae_runtime.load("~nobody-of-this-name/bundle")


@pytest.mark.parametrize("path", ["nowhere", "manifest.json/x", "x" * 300, "\udcff"])
def test_a_path_without_a_bundle_is_one_error(bundle: Path, path: str) -> None:
    with pytest.raises(BundleError):
        sxvae_runtime.load(bundle / path)


def test_a_run_and_a_checkpoint_are_named_as_what_they_are(copy: Path, tmp_path: Path) -> None:
    run = tmp_path / "runs" / "a"
    run.mkdir(parents=True)
    (run / "config.json").write_text("{}")
    (run / "best.safetensors").write_bytes(b"")
    with pytest.raises(BundleError, match=r"a is a run and no bundle; export it first: sxvae exp"):
        sxvae_runtime.load(run)
    with pytest.raises(BundleError, match=r"best\.safetensors is a file .* export it first"):
        sxvae_runtime.load(run / "best.safetensors")
    with pytest.raises(BundleError, match=r"config\.json is a file; name the folder"):
        sxvae_runtime.load(run / "config.json")
    copy.rename(run / "onnx")
    with pytest.raises(BundleError, match=r"a is no bundle, but holds one: name .*onnx"):
        sxvae_runtime.load(run)
    assert sxvae_runtime.load(run / "onnx").verify() < 1e-4


def test_a_bundle_that_lies_in_a_run_of_the_same_files_is_no_run(copy: Path) -> None:
    (copy / "config.json").write_text("{}")
    assert sxvae_runtime.load(copy).path == copy
    (copy / "manifest.json").unlink()
    with pytest.raises(BundleNotFoundError, match=r"no bundle at .*: it holds no manifest\.json"):
        sxvae_runtime.load(copy / "decoder.onnx" / "..")
