from __future__ import annotations

import itertools
from pathlib import Path

import pytest

from sxvae.errors import OutputError
from sxvae.io.atomic import refuse_existing, write_atomically, writing


def _names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_write_atomically_replaces_and_leaves_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "file"
    for content in (b"old", b"new"):
        write_atomically(path, content)
        assert path.read_bytes() == content
    assert _names(tmp_path) == ["file"]


def test_unwritable_paths_are_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(OutputError, match="can't be written"):
        write_atomically(tmp_path / "file" / "x", b"")
    assert _names(tmp_path) == ["file"]


def test_a_failure_to_write_is_one_sentence_and_other_errors_pass(tmp_path: Path) -> None:
    said = r"a/b can't be written \(No such file or directory\)"
    with pytest.raises(OutputError, match=said), writing(Path("a/b")):
        (tmp_path / "a" / "b").touch()
    with pytest.raises(ZeroDivisionError), writing(tmp_path):
        _ = 1 / 0


def test_only_regular_files_are_overwritten(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "dangling").symlink_to("nowhere")
    (tmp_path / "loop").symlink_to("loop")
    names = ("folder", "dangling", "loop", "/dev/null")
    for path, force in itertools.product(names, (False, True)):
        with pytest.raises(OutputError, match="no file that can be replaced"):
            refuse_existing(tmp_path / path, force)
