from __future__ import annotations

from pathlib import Path

import pytest

from sxvae.errors import OutputError
from sxvae.io.atomic import moved_aside, new_folder, refuse_existing, write_atomically, writing


def _ours(folder: Path) -> bool:
    return (folder / "mark").exists()


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
    with (
        pytest.raises(OutputError, match="can't be written"),
        new_folder(tmp_path / "file" / "x", False, _ours),
    ):
        pass
    assert _names(tmp_path) == ["file"]


def test_a_failure_to_write_is_one_sentence_and_other_errors_pass(tmp_path: Path) -> None:
    said = r"a/b can't be written \(No such file or directory\)"
    with pytest.raises(OutputError, match=said), writing(Path("a/b")):
        (tmp_path / "a" / "b").touch()
    with pytest.raises(ZeroDivisionError), writing(tmp_path):
        _ = 1 / 0


def test_new_folder_appears_whole(tmp_path: Path) -> None:
    target = tmp_path / "deep" / "target"
    with new_folder(target, False, _ours) as staging:
        (staging / "mark").touch()
        assert not target.exists()
    assert _names(target) == ["mark"]
    assert _names(target.parent) == ["target"]


def test_new_folder_that_fails_leaves_the_old_one(tmp_path: Path) -> None:
    target = tmp_path / "target"
    target.mkdir()
    (target / "mark").write_text("old")

    def fail_half_way() -> None:
        with new_folder(target, True, _ours) as staging:
            (staging / "mark").write_text("new")
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail_half_way()
    assert (target / "mark").read_text() == "old"
    assert _names(tmp_path) == ["target"]


def test_new_folder_replaces_only_ours_and_only_by_force(tmp_path: Path) -> None:
    target = tmp_path / "target"
    target.mkdir()
    with new_folder(target, False, _ours) as staging:  # an empty folder may be taken
        (staging / "mark").write_text("first")
    with pytest.raises(OutputError, match="--force"), new_folder(target, False, _ours):
        pass
    with new_folder(target, True, _ours) as staging:
        (staging / "mark").write_text("second")
    assert (target / "mark").read_text() == "second"
    (target / "mark").rename(target / "someone's file")
    with pytest.raises(OutputError, match="not one of ours"), new_folder(target, True, _ours):
        pass
    assert _names(target) == ["someone's file"]
    assert _names(tmp_path) == ["target"]


def test_moved_aside_undoes_what_a_failing_block_made(tmp_path: Path) -> None:
    target = tmp_path / "target"

    def fail_half_way() -> None:
        with moved_aside(target):
            target.mkdir()
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail_half_way()
    assert _names(tmp_path) == []


def test_what_a_kill_left_is_cleared_by_the_next(tmp_path: Path) -> None:
    for leftover in (".target.abc.tmp", ".target.def.old"):
        (tmp_path / leftover).mkdir()
    (tmp_path / "target").mkdir()
    (tmp_path / "target" / ".config.json.xyz.tmp").touch()  # killed before its first file
    with new_folder(tmp_path / "target", False, _ours) as staging:
        (staging / "mark").touch()
    assert _names(tmp_path) == ["target"]
    assert _names(tmp_path / "target") == ["mark"]


def test_parents_that_were_made_in_vain_are_removed(tmp_path: Path) -> None:
    def fail_half_way() -> None:
        with new_folder(tmp_path / "a" / "b" / "target", False, _ours):
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail_half_way()
    assert _names(tmp_path) == []


def test_only_regular_files_are_overwritten(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    for path in (tmp_path / "folder", Path("/dev/null")):
        with pytest.raises(OutputError, match="no file that can be replaced"):
            refuse_existing(path, force=True)
