"""Which files of a folder are its images, and what is said about the rest."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from sxvae import ImageData, load_data
from sxvae.errors import DataError
from sxvae.plotting import image_grid, save_png
from sxvae_runtime.manifest import MANIFEST


def _write(folder: Path, n: int = 10, first: int = 0) -> Path:
    """Pictures of one grey each, which is 255 minus their number: no two are alike."""
    folder.mkdir(parents=True, exist_ok=True)
    for i in range(first, first + n):
        Image.fromarray(np.full((2, 2), 255 - i, np.uint8)).save(folder / f"{i:03}.png")
    return folder


def _numbers(data: ImageData) -> list[list[int]]:
    """The numbers of the pictures in each split, sorted."""
    splits = (data.train, data.validation, data.test)
    return [sorted((255 - split.pixels[:, 0, 0, 0].int()).tolist()) for split in splits]


def _all(data: ImageData) -> list[int]:
    return sorted(number for split in _numbers(data) for number in split)


def test_what_is_left_out_is_said(tmp_path: Path) -> None:
    _write(tmp_path)
    for i in range(10):
        (tmp_path / f"gone-{i}.png").symlink_to(tmp_path / "nowhere" / f"{i}.png")
    (tmp_path / "circle.png").symlink_to("circle.png")
    os.mkfifo(tmp_path / "pipe.png")
    (tmp_path / "notes.txt").write_text("notes")
    (tmp_path / ".hidden.png").write_bytes(b"")
    (tmp_path / "Thumbs.db").write_bytes(b"")
    (tmp_path / "empty").mkdir()
    data = load_data(tmp_path)
    assert _all(data) == list(range(10))
    assert data.remarks == (
        f"read 10 pictures from {tmp_path}; left out: 2 hidden or of the system (.hidden.png, "
        "Thumbs.db), 11 linked to nothing (circle.png, gone-0.png, gone-1.png, ...), 1 without "
        "pictures (empty), 1 with another suffix (notes.txt), 1 neither file nor folder (pipe.png)",
    )


def test_a_folder_of_other_files_says_what_it_holds(tmp_path: Path) -> None:
    (tmp_path / "photograph.heic").write_bytes(b"")
    (tmp_path / "gone.png").symlink_to("nowhere")
    with pytest.raises(DataError, match=r"left out: 1 linked to nothing \(gone.png\), 1 with ano"):
        load_data(tmp_path)


def test_every_suffix_that_pillow_reads(tmp_path: Path) -> None:
    names = ("a.jfif", "b.jpe", "c.JPG", "d.apng", "e.tga", "f.pcx", "g.qoi", "h.Tiff", "i.webp")
    for name in names:
        Image.fromarray(np.full((2, 2, 3), 200, np.uint8)).save(tmp_path / name)
    shutil.copy(tmp_path / "h.Tiff", tmp_path / "j.jpg")  # the content says what it is
    data = load_data(tmp_path)
    assert len(_all(data)) == 10
    assert data.remarks == (f"read 10 pictures from {tmp_path}",)
    assert abs(data.train.pixels.int() - 200).max() <= 2


@pytest.mark.parametrize("name", ["program.eps", "program.png"])
def test_programs_for_printers_are_not_run(name: str, tmp_path: Path) -> None:
    _write(tmp_path)
    (tmp_path / name).write_bytes(b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 2 2\nshowpage\n")
    if name.endswith(".eps"):
        assert (
            load_data(tmp_path).remarks[0].endswith("left out: 1 with another suffix (program.eps)")
        )
    else:
        with pytest.raises(DataError, match=r"program\.png can't be read \(it is damaged, or no"):
            load_data(tmp_path)


def test_damaged_pictures_are_refused_and_counted(tmp_path: Path) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (64, 64), dtype=np.uint8)
    for i in range(12):
        Image.fromarray(noise).save(tmp_path / f"{i:02}.jpg")
    for i in (3, 7):  # the header is whole, the pixels are not
        whole = (tmp_path / f"{i:02}.jpg").read_bytes()
        (tmp_path / f"{i:02}.jpg").write_bytes(whole[:1_500])
    with pytest.raises(DataError, match=r"03\.jpg can't be read \(it is damaged\); 1 more can't"):
        load_data(tmp_path)


def test_classes_have_names(tmp_path: Path) -> None:
    _write(tmp_path / "dogs", 5)
    _write(tmp_path / "_cats$", 6, first=5)
    _write(tmp_path / "__MACOSX" / "dogs")
    (tmp_path / "no dogs").mkdir()
    data = load_data(tmp_path)
    assert data.settings.class_names == ("_cats$", "dogs")
    for split in (data.train, data.validation, data.test):
        names = split.named_labels()
        assert names is not None
        numbers = (255 - split.pixels[:, 0, 0, 0].int()).tolist()
        assert names.tolist() == ["dogs" if number < 5 else "_cats$" for number in numbers]
    assert data.remarks == (
        f"read 11 pictures of 2 classes from {tmp_path}; left out: 1 hidden or of the system "
        "(__MACOSX), 1 without pictures (no dogs)",
    )


def test_names_that_are_no_text(tmp_path: Path) -> None:
    for i, name in enumerate((b"\xff", b"\xfe")):
        _write(Path(os.fsdecode(os.fsencode(tmp_path) + b"/" + name)), 6, first=6 * i)
    names = load_data(tmp_path).settings.class_names
    assert names == ("\\xfe", "\\xff")


@pytest.mark.parametrize("called", [("train", "val", "test"), ("Training", "valid", "testing")])
@pytest.mark.parametrize("in_classes", [False, True])
def test_folders_called_as_splits_are_the_splits(
    called: tuple[str, str, str], in_classes: bool, tmp_path: Path
) -> None:
    for i, name in enumerate(called):
        if in_classes:
            _write(tmp_path / name / "a", 4, first=10 * i)
            _write(tmp_path / name / "b", 2, first=10 * i + 4)
        else:
            _write(tmp_path / name, 6, first=10 * i)
    (tmp_path / "README.md").write_text("")
    data = load_data(tmp_path)
    assert _numbers(data) == [[10 * i + k for k in range(6)] for i in range(3)]
    assert data.settings.class_names == (("a", "b") if in_classes else None)
    if in_classes:
        for split in (data.train, data.validation, data.test):
            assert split.labels is not None
            assert split.labels.tolist() == [0, 0, 0, 0, 1, 1]
    of_classes = " of 2 classes" if in_classes else ""
    assert data.remarks[0].startswith(
        f"read 18 pictures{of_classes} (6 train, 6 validation, 6 test) from {tmp_path}; left out"
    )


def test_a_split_that_is_missing_comes_from_the_training_images(tmp_path: Path) -> None:
    _write(tmp_path / "train" / "a", 20)
    _write(tmp_path / "test" / "b", 3, first=50)
    data = load_data(tmp_path)
    train, validation, test = _numbers(data)
    assert test == [50, 51, 52]
    assert len(validation) == 2
    assert sorted(train + validation) == list(range(20))
    assert data.settings.class_names == ("a", "b")
    assert data.test.labels is not None
    assert data.test.labels.tolist() == [1, 1, 1]


def test_splits_that_contradict_are_refused(tmp_path: Path) -> None:
    _write(tmp_path / "train" / "a")
    _write(tmp_path / "test")
    with pytest.raises(DataError, match="classes in some of its splits, and none in test"):
        load_data(tmp_path)
    shutil.rmtree(tmp_path / "test")
    _write(tmp_path / "val" / "a")
    _write(tmp_path / "valid" / "a")
    with pytest.raises(DataError, match="val and valid, both names of the validation split"):
        load_data(tmp_path)


def test_splits_beside_other_folders_are_not_taken_as_classes(tmp_path: Path) -> None:
    _write(tmp_path / "test", 6)
    _write(tmp_path / "val", 6)
    with pytest.raises(DataError, match="holds splits, and none to train on"):
        load_data(tmp_path)
    _write(tmp_path / "train", 6)
    _write(tmp_path / "unlabeled", 6)
    with pytest.raises(
        DataError, match="holds test and train and val, called as splits are, beside unlabeled: "
    ):
        load_data(tmp_path)


def test_a_class_may_be_called_as_a_split(tmp_path: Path) -> None:
    _write(tmp_path / "train", 6)
    _write(tmp_path / "bus", 6, first=6)
    assert load_data(tmp_path).settings.class_names == ("bus", "train")


def test_pictures_on_two_levels_of_a_class_are_refused(tmp_path: Path) -> None:
    _write(tmp_path / "cats")
    _write(tmp_path / "cats" / "more")
    with pytest.raises(DataError, match=r"cats holds images beside folders of images \(000.png be"):
        load_data(tmp_path)


def test_pictures_behind_a_link_in_a_class_are_not_overlooked(tmp_path: Path) -> None:
    _write(tmp_path / "cats")
    (tmp_path / "dogs").mkdir()
    (tmp_path / "dogs" / "all").symlink_to("../cats")
    (tmp_path / "dogs" / "back").symlink_to("../dogs")
    with pytest.raises(DataError, match=r"dogs holds no images itself, but all/ in it does"):
        load_data(tmp_path)


def test_links_are_followed_and_those_that_lead_out_are_said(tmp_path: Path) -> None:
    """Links are how people choose some pictures of a larger collection."""
    collection = _write(tmp_path / "collection", 20)
    chosen = tmp_path / "chosen"
    (chosen / "some").mkdir(parents=True)
    for i in range(0, 20, 2):
        (chosen / "some" / f"{i}.png").symlink_to(collection / f"{i:03}.png")
    (chosen / "whole").symlink_to(collection)
    (chosen / "itself").symlink_to(chosen)
    (chosen / "above").symlink_to("..")
    data = load_data(chosen)
    assert _all(data) == sorted([*range(20), *range(0, 20, 2)])
    assert data.settings.class_names == ("some", "whole")
    assert data.remarks == (
        f"read 30 pictures of 2 classes from {chosen}; left out: 2 linked to a folder above "
        "(above, itself)",
        "links that lead out of the folder are followed: 11 (whole, some/0.png, some/10.png, ...)",
    )


def test_what_sxvae_wrote_is_no_data(tmp_path: Path) -> None:
    """Runs, sweeps of runs, bundles and pictures may lie in the folder that they are made from."""
    _write(tmp_path)
    before = load_data(tmp_path)
    config = {"format_version": 99, "model": {}, "data": {}, "training": {}}  # of a later version
    for run in ("runs/a", "runs/sweep/b", "c"):
        _write(tmp_path / run / "samples")
        (tmp_path / run / "config.json").write_text(json.dumps(config))
    (tmp_path / "bundle").mkdir()
    (tmp_path / "bundle" / MANIFEST).write_text('{"format_version": 1, "graphs": {}}')
    _write(tmp_path / "bundle")
    save_png(image_grid(np.zeros((4, 1, 8, 8))), tmp_path / "samples.png")
    after = load_data(tmp_path)
    assert after.settings.content_sha256 == before.settings.content_sha256
    assert after.remarks[0].endswith("left out: 4 written by sxvae (bundle, c, runs, ...)")


def test_a_folder_of_pictures_that_holds_runs_is_a_class(tmp_path: Path) -> None:
    cats = _write(tmp_path / "cats")
    (cats / "runs" / "a").mkdir(parents=True)
    (cats / "runs" / "a" / "config.json").write_text(
        '{"format_version": 1, "model": {}, "data": {}}'
    )
    assert load_data(tmp_path).settings.class_names == ("cats",)
