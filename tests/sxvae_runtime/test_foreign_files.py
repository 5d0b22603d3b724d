"""What lies in a bundle's folder in place of its files: links, pipes, folders, other files."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import sxvae_runtime
from sxvae_runtime import BundleError
from sxvae_runtime.bundle_files import is_bundle

FILES = ("manifest.json", "encoder.onnx", "golden.safetensors")


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("inside", [True, False])
def test_links_are_not_followed(copy: Path, tmp_path: Path, name: str, inside: bool) -> None:
    """Not even to the same bytes: what a link names can be changed by others."""
    target = (copy if inside else tmp_path) / "target"
    (copy / name).rename(target)
    (copy / name).symlink_to(target)
    with pytest.raises(BundleError, match=f"{name} is a link, which is not followed: put the file"):
        sxvae_runtime.load(copy)


def test_a_folder_of_links_to_folders_is_fine(copy: Path, tmp_path: Path) -> None:
    (tmp_path / "a").symlink_to(copy)
    (tmp_path / "b").symlink_to(tmp_path / "a")
    assert sxvae_runtime.load(tmp_path / "b").verify() < 1e-4


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="the system has no named pipes")
@pytest.mark.parametrize("name", FILES)
def test_pipes_do_not_hang(copy: Path, name: str) -> None:
    (copy / name).unlink()
    os.mkfifo(copy / name)
    with pytest.raises(BundleError, match=f"{name} is a named pipe and no file"):
        sxvae_runtime.load(copy)
    if name == "manifest.json":
        assert not is_bundle(copy)


@pytest.mark.parametrize("name", FILES)
def test_folders_are_no_files(copy: Path, name: str) -> None:
    (copy / name).unlink()
    (copy / name).mkdir()
    with pytest.raises(BundleError, match=f"{name} is a folder and no file"):
        sxvae_runtime.load(copy)


def test_a_file_that_may_not_be_read(copy: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(path: Path, *rest: object) -> int:
        raise PermissionError(13, "Permission denied", path)

    monkeypatch.setattr(os, "open", refuse)
    with pytest.raises(BundleError, match=r"manifest\.json can't be read \(Permission denied\)"):
        sxvae_runtime.load(copy)


def test_a_huge_file_is_not_read(copy: Path) -> None:
    with (copy / "decoder.onnx").open("r+b") as file:
        file.truncate(2**31)  # which takes no space
    with pytest.raises(BundleError, match=r"decoder\.onnx has 2,147,483,648 bytes, more than"):
        sxvae_runtime.load(copy)


def _link(path: Path, other: Path) -> None:
    path.unlink()
    path.symlink_to(other)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (_link, r"encoder\.onnx can't be read \("),
        (lambda path, other: shutil.copyfile(other, path), r"encoder\.onnx is not the file that"),
        (lambda path, other: other.rename(path), r"encoder\.onnx was replaced while it was read"),
        (lambda path, other: path.unlink(), r"encoder\.onnx is missing"),
    ],
)
def test_a_change_between_the_check_and_the_reading_is_seen(
    copy: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    change: Callable[[Path, Path], object],
    message: str,
) -> None:
    other = tmp_path / "other"
    other.write_bytes(b"somebody else's")
    opening = os.open

    def opened(path: Any, flags: int, *rest: Any, **more: Any) -> int:
        if Path(path).name == "encoder.onnx":
            change(Path(path), other)
        return opening(path, flags, *rest, **more)

    monkeypatch.setattr(os, "open", opened)
    with pytest.raises(BundleError, match=message):
        sxvae_runtime.load(copy)


def test_only_the_bytes_that_were_checked_are_used_later(
    copy: Path, fixtures: Path, tmp_path: Path
) -> None:
    app = sxvae_runtime.load(copy)
    before = app.files()
    assert set(before) == {"manifest.json", "encoder.onnx", "decoder.onnx", "golden.safetensors"}
    other = fixtures / "bundle_v1"
    for name, use in (
        ("decoder.onnx", lambda: app.open_session("decoder")),
        ("golden.safetensors", app.verify),
        ("decoder.onnx", app.files),
    ):
        shutil.copyfile(other / name, copy / name)
        with pytest.raises(BundleError, match=f"{name} is not the file that the manifest names"):
            use()
        (copy / name).write_bytes(before[name])
    shutil.copyfile(other / "manifest.json", copy / "manifest.json")
    assert app.files() == before  # as it was when the bundle was loaded
