from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from sxvae.errors import OutputError
from sxvae.io import folders
from sxvae.io.exchange import exchange
from sxvae.io.folders import new_folder


def _ours(folder: Path) -> bool:
    return (folder / "mark").exists()


def _names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def _write(target: Path, content: str, *, force: bool = False) -> None:
    with new_folder(target, force, _ours) as staged:
        (staged / "mark").write_text(content)


def test_an_unwritable_place_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with (
        pytest.raises(OutputError, match="can't be written"),
        new_folder(tmp_path / "file" / "x", False, _ours),
    ):
        pass
    assert _names(tmp_path) == ["file"]


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


def test_parents_that_were_made_in_vain_are_removed(tmp_path: Path) -> None:
    def fail_half_way() -> None:
        with new_folder(tmp_path / "a" / "b" / "target", False, _ours):
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail_half_way()
    assert _names(tmp_path) == []


def test_two_at_one_new_place_are_one_folder_and_one_refusal(tmp_path: Path) -> None:
    target = tmp_path / "target"
    with pytest.raises(OutputError, match="exists already"), new_folder(target, False, _ours):
        _write(target, "first")
    assert (target / "mark").read_text() == "first"
    with new_folder(target, True, _ours) as staged:
        (staged / "mark").write_text("third")
        _write(target, "second", force=True)
    assert (target / "mark").read_text() == "third"
    assert _names(tmp_path) == ["target"]


@pytest.mark.parametrize(
    "name",
    [".target.backup.tmp", ".target.2025.old", ".sxvae-tmp-mine", ".sxvae-tmp-abcdef-0a1b2c3d"],
)
def test_what_is_a_user_s_stays(tmp_path: Path, name: str) -> None:
    """Also an empty folder, and one that looks like a staging folder of ours."""
    (tmp_path / name).mkdir()
    (tmp_path / f"{name}2").mkdir()
    for file in ("owner", "new"):
        (tmp_path / f"{name}2" / file).touch()
    for content in ("first", "second"):
        _write(tmp_path / "target", content, force=True)
    assert _names(tmp_path) == sorted([name, f"{name}2", "target"])
    assert _names(tmp_path / f"{name}2") == ["new", "owner"]


def test_folders_whose_names_begin_alike_do_not_disturb_each_other(tmp_path: Path) -> None:
    with new_folder(tmp_path / "bundle", False, _ours) as first:
        (first / "mark").touch()
        with new_folder(tmp_path / "bundle.v2", False, _ours) as second:
            (second / "mark").touch()
    assert _names(tmp_path) == ["bundle", "bundle.v2"]


def test_a_link_to_a_folder_stays_and_its_folder_is_replaced(tmp_path: Path) -> None:
    _write(tmp_path / "disk" / "kept", "old")
    (tmp_path / "link").symlink_to(tmp_path / "disk" / "kept")
    _write(tmp_path / "link", "new", force=True)
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "disk" / "kept" / "mark").read_text() == "new"
    (tmp_path / "dangling").symlink_to(tmp_path / "nowhere")
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    for name in ("dangling", "loop"):
        with pytest.raises(OutputError, match="link to something that is not there"):
            _write(tmp_path / name, "new", force=True)


def test_files_and_the_working_directory_are_not_replaced(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(OutputError, match="not one of ours"):
        _write(tmp_path / "file", "new", force=True)
    (tmp_path / "here" / "below").mkdir(parents=True)
    (tmp_path / "here" / "mark").touch()
    for folder in (tmp_path / "here", tmp_path / "here" / "below"):
        monkeypatch.chdir(folder)
        with pytest.raises(OutputError, match="start the command in another folder"):
            _write(tmp_path / "here", "new", force=True)
    (tmp_path / "here" / "below").rmdir()


def test_exchange_needs_both_names(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    with pytest.raises(FileNotFoundError):
        exchange(tmp_path / "a", tmp_path / "b")


# Writes a folder and is killed before the rename of the number given, where there is no exchange.
_KILLED = """
import os, signal, sys
from pathlib import Path
from sxvae.io import folders
folders.exchange = lambda first, second: False
renames, rename = 0, Path.rename
def counted(self, target):
    global renames
    if self.name in ("target", "new"):
        renames += 1
        if renames == int(sys.argv[1]):
            os.kill(os.getpid(), signal.SIGKILL)
    return rename(self, target)
Path.rename = counted
with folders.new_folder(Path("target"), True, lambda folder: True) as staged:
    (staged / "mark").write_text("new")
"""


@pytest.mark.parametrize(
    ("killed_before", "content", "said"), [(2, "old", False), (3, "new", True)]
)
def test_without_an_exchange_the_next_who_looks_completes_a_replacement(
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
    killed_before: int,
    content: str,
    said: bool,
) -> None:
    """The first rename finds the old folder in its way; the others are the two steps."""
    _write(tmp_path / "target", "old")
    killed = subprocess.run(
        [sys.executable, "-c", _KILLED, str(killed_before)], cwd=tmp_path, check=False
    )
    assert killed.returncode < 0
    assert (tmp_path / "target").exists() is not said
    with pytest.raises(OutputError, match="exists already"):
        _write(tmp_path / "target", "another")
    assert (tmp_path / "target" / "mark").read_text() == content
    assert ("target was being replaced" in caplog.text) is said
    _write(tmp_path / "other", "any")
    assert _names(tmp_path) == ["other", "target"]


def test_without_an_exchange_folders_are_replaced_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(folders, "exchange", lambda first, second: False)
    for content in ("old", "new"):
        _write(tmp_path / "target", content, force=True)
    assert (tmp_path / "target" / "mark").read_text() == "new"
    assert _names(tmp_path) == ["target"]


def test_a_replacement_that_fails_half_way_is_undone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _write(tmp_path / "target", "old")
    monkeypatch.setattr(folders, "exchange", lambda first, second: False)
    rename = Path.rename

    def failing(self: Path, target: Path) -> Path:
        if self.name == "new" and not target.exists():
            raise OSError(5, os.strerror(5))
        return rename(self, target)

    monkeypatch.setattr(Path, "rename", failing)
    with pytest.raises(OutputError, match="can't be written"):
        _write(tmp_path / "target", "new", force=True)
    monkeypatch.undo()
    assert (tmp_path / "target" / "mark").read_text() == "old"
    assert _names(tmp_path) == ["target"]
