"""Which files of a folder are its pictures: their classes, their splits, and what is left out.

Links are followed, also those that lead out of the folder: links are a usual way to choose some
pictures of a larger collection. Nothing that looks like a picture is left out without being listed.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from sxvae.config import SplitName
from sxvae.data.sources.own_outputs import is_own_folder, is_own_picture
from sxvae.data.sources.pictures import suffixes
from sxvae.errors import DataError
from sxvae.io.array_names import SPLIT_NAMES

# What systems put beside people's files: macOS into archives, Windows and Synology into folders.
_OF_SYSTEMS = frozenset({"__macosx", "thumbs.db", "ehthumbs.db", "desktop.ini", "@eadir"})

# Why an entry is left out.
HIDDEN = "hidden or of the system"
OTHER_FILES = "with another suffix"
DANGLING = "linked to nothing"
LOOPS = "linked to a folder above"
SPECIAL = "neither file nor folder"
OWN = "written by sxvae"
WITHOUT_PICTURES = "without pictures"


# So many files are named for each thing that is said.
_NAMED = 3


def counted(paths: Sequence[Path], root: Path, what: str = "") -> str:
    """How many, and the first of them by their paths in `root`: "5 folders (a, b, c, ...)"."""
    names = [str(path.relative_to(root)) for path in paths[:_NAMED]]
    more = ", ..." if len(paths) > _NAMED else ""
    return f"{len(paths):,}{what and ' '}{what} ({', '.join(names)}{more})"


@dataclass
class LeftOut:
    """What is in a folder and is no part of its data.

    Attributes:
        root: the folder.
        entries: for each reason, what was left out.
        links_out: links to files and folders outside, which are part of the data.
    """

    root: Path
    entries: dict[str, list[Path]] = field(default_factory=dict)
    links_out: list[Path] = field(default_factory=list)

    def described(self) -> str:
        """How much was left out and why, as the end of a sentence; empty if nothing was."""
        reasons = [counted(paths, self.root, reason) for reason, paths in self.entries.items()]
        return f"; left out: {', '.join(reasons)}" if reasons else ""

    def add(self, reason: str, path: Path) -> None:
        """Note what is left out."""
        self.entries.setdefault(reason, []).append(path)


@dataclass(frozen=True)
class Listing:
    """The pictures of a folder.

    Attributes:
        files: their paths: those of a split together, then by class, then by name.
        labels: the class of each; None without classes.
        class_names: the names of the classes, in the order of the labels; None without classes.
        splits: the number of files in each split, in the order of `files`; all are for training if
            the folder does not divide its pictures.
        left_out: the rest.
    """

    files: list[Path]
    labels: list[int] | None
    class_names: tuple[str, ...] | None
    splits: dict[SplitName, int]
    left_out: LeftOut


# The pictures of a folder by class; the only class is None where there are no subfolders.
_Classes = dict[str | None, list[Path]]


def list_pictures(root: Path) -> Listing:
    """List the pictures under a folder: its own, or those of its classes, or of its splits.

    Raises:
        DataError: if there are none, or they lie where it is not clear what they belong to.
        OSError: if a folder can't be read.
    """
    survey = _Survey(root)
    files, folders = survey.entries(root)
    splits = None if files else _as_splits(folders)
    found: dict[SplitName, _Classes]
    if splits is None:
        found = {"train": survey.classes(root, files, folders)}
    else:
        found = {
            name: survey.classes(folder, *survey.entries(folder)) for name, folder in splits.items()
        }
    unlabelled = [name for name, classes in found.items() if None in classes]
    if unlabelled and len(unlabelled) < len(found):
        raise DataError(
            f"{root} has classes in some of its splits, and none in {', '.join(unlabelled)}: put "
            "the images of all splits into folders for their classes, or of none"
        )
    names = sorted({name for classes in found.values() for name in classes if name is not None})
    numbers: dict[str | None, int] = {name: number for number, name in enumerate(names)}
    files, labels = [], []
    sizes: dict[SplitName, int] = {}
    for split, classes in found.items():
        sizes[split] = sum(map(len, classes.values()))
        for name, in_class in classes.items():
            files += in_class
            labels += [numbers.get(name, 0)] * len(in_class)
    return Listing(
        files,
        labels if names else None,
        tuple(map(_readable, names)) if names else None,
        sizes,
        survey.left_out,
    )


def _readable(name: str) -> str:
    """A folder's name as text that every file format takes, also if it is not valid UTF-8."""
    return os.fsencode(name).decode(errors="backslashreplace")


def _as_splits(folders: list[Path]) -> dict[SplitName, Path] | None:
    """The folders as splits, in order, if that is what all of them are called.

    A class may be called as a split is, but hardly two of them.

    Raises:
        DataError: if two have names of one split, or some of the folders are called as splits and
            others are not, or none is for training.
    """
    found: dict[SplitName, Path] = {}
    others: list[Path] = []
    for folder in folders:
        name = SPLIT_NAMES.get(folder.name.lower())
        if name is None:
            others.append(folder)
            continue
        if name in found:
            raise DataError(
                f"{folder.parent} holds {found[name].name} and {folder.name}, both names of the "
                f"{name} split: put their images into one"
            )
        found[name] = folder
    if len(found) > 1 and others:
        raise DataError(
            f"{folders[0].parent} holds {' and '.join(each.name for each in found.values())}, "
            f"called as splits are, beside {others[0].name}: put what is no split elsewhere, or "
            "name the folder that holds the classes"
        )
    if len(found) > 1 and "train" not in found:
        raise DataError(
            f"{folders[0].parent} holds splits, and none to train on: name one of them, or call "
            "the folder of the training images train"
        )
    if others or "train" not in found:
        return None
    order: tuple[SplitName, ...] = ("train", "validation", "test")
    return {name: found[name] for name in order if name in found}


class _Survey:
    """Looks through folders, and notes what is left out."""

    def __init__(self, root: Path) -> None:
        self.left_out = LeftOut(root)
        self._root = root.resolve()

    def entries(self, folder: Path) -> tuple[list[Path], list[Path]]:
        """The pictures in a folder, and its subfolders that hold some, each sorted by name."""
        files: list[Path] = []
        folders: list[Path] = []
        for entry in sorted(folder.iterdir(), key=lambda entry: entry.name):
            reason = _reason_against(entry)
            if reason is not None:
                self.left_out.add(reason, entry)
                continue
            if entry.is_symlink() and not entry.resolve().is_relative_to(self._root):
                self.left_out.links_out.append(entry)
            (folders if entry.is_dir() else files).append(entry)
        return files, folders

    def classes(self, folder: Path, files: list[Path], folders: list[Path]) -> _Classes:
        """The pictures of a folder with these entries, by subfolder.

        Raises:
            DataError: if there is no picture, or pictures lie on several levels.
        """
        if files and folders:
            raise DataError(
                f"{folder} holds images beside subfolders ({files[0].name} beside "
                f"{folders[0].name}/): put all of them into subfolders, which are their labels, or "
                "none"
            )
        if files:
            return {None: files}
        if not folders:
            raise DataError(
                f"the folder {folder} holds no images ({', '.join(sorted(suffixes()))})"
                f"{self.left_out.described()}"
            )
        return {sub.name: self._of_class(sub) for sub in folders}

    def _of_class(self, folder: Path) -> list[Path]:
        files, deeper = self.entries(folder)
        if deeper and files:
            raise DataError(
                f"the class {folder} holds images beside folders of images ({files[0].name} beside "
                f"{deeper[0].name}/): put all of its images into one folder"
            )
        if deeper:
            raise DataError(
                f"the folder {folder} holds no images itself, but {deeper[0].name}/ in it does: "
                "name the folder whose subfolders are the classes"
            )
        return files


def _reason_against(entry: Path) -> str | None:
    """Why an entry of a folder is no part of its data; None if it is."""
    if _is_hidden(entry.name):
        return HIDDEN
    if entry.is_dir():
        if entry.is_symlink() and entry.parent.resolve().is_relative_to(entry.resolve()):
            return LOOPS
        if is_own_folder(entry):
            return OWN
        return None if _holds_pictures(entry) else WITHOUT_PICTURES
    if not os.path.exists(entry):  # noqa: PTH110 (it does not raise for links in a circle)
        return DANGLING
    if not entry.is_file():
        return SPECIAL
    if entry.suffix.lower() not in suffixes():
        return OTHER_FILES
    return OWN if is_own_picture(entry) else None


def _holds_pictures(folder: Path) -> bool:
    """Whether there is a picture in a folder, at any depth."""
    seen: set[Path] = set()
    for place, folders, files in os.walk(folder, onerror=_raise, followlinks=True):
        if Path(place).resolve() in seen:  # a link led back
            folders.clear()
            continue
        seen.add(Path(place).resolve())
        folders[:] = [name for name in folders if not _is_hidden(name)]
        for name in files:
            file = Path(place, name)
            looks_right = file.suffix.lower() in suffixes() and not _is_hidden(name)
            if looks_right and not is_own_picture(file):
                return True
    return False


def _raise(error: OSError) -> None:
    """A folder that can't be read is not one without pictures."""
    raise error


def _is_hidden(name: str) -> bool:
    return name.startswith(".") or name.lower() in _OF_SYSTEMS
