"""The commands that draw, as processes, on a run and a bundle that the command line made."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

Cli = Callable[..., "subprocess.CompletedProcess[str]"]


def names(path: Path) -> str:
    """An SVG as text, for looking for its labels."""
    return path.read_text(encoding="utf-8")


@pytest.fixture
def own_images(tmp_path: Path) -> Path:
    """Grey images and labels in a .npz file."""
    rng = np.random.default_rng(0)
    path = tmp_path / "own.npz"
    np.savez(path, x=rng.integers(0, 256, (12, 8, 8), np.uint8), y=np.arange(12) % 3)
    return path


def run_all(commands: list[list[str]], cwd: Path, after: str = "") -> str:
    """Run several commands in one process, for a new one loads PyTorch anew; returns stdout."""
    code = (
        "import sys\n"
        "from sxvae_cli.app import app\n"
        f"for command in {commands!r}:\n"
        "    app(command, standalone_mode=False)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code + after], check=True, cwd=cwd, capture_output=True, text=True
    )
    return done.stdout


def test_every_kind_from_a_run(trained: Path, tmp_path: Path) -> None:
    """A command that is given twice writes the same bytes."""
    ends = ["--from", "7", "--prior", "--factor", "1", "--steps", "6"]
    options = {
        "samples": ["--n", "6"],
        "reconstructions": ["--n", "3", "--split", "validation"],
        "interpolation": ends,
        "turn": ["--factor", "2", "--steps", "5", "--n", "2"],
        "swap": ["--draws", "2", "--n", "1"],
        "embedding": ["--n", "60"],
        "concentrations": ["--n", "60"],
    }
    run = str(trained)
    out = run_all(
        [["plot", kind, run, *given, "--out", f"{kind}.svg"] for kind, given in options.items()]
        + [["reconstruct", run, *options["reconstructions"], "--out", "again-r.svg"]]
        + [["interpolate", f"{run}/best.safetensors", *ends, "--out", "again-i.svg"]]
        + [["interpolate", f"{run}/last.safetensors", *ends, "--out", "row.png"]],
        tmp_path,
    )
    written = [f"{kind}.svg" for kind in options]
    assert out.split() == [*written, "again-r.svg", "again-i.svg", "row.png"]
    shown = {
        "samples": (),
        "reconstructions": ("original", "reconstruction"),
        "interpolation": ("factor 1", "start", "end"),
        "turn": ("factor 2", "72°"),
        "swap": ("replaced:", "as it is", "draw 2"),
        "embedding": ("geodesic direction 1", "of the variance", "vMF", "power spherical"),
        "concentrations": ("median", "concentration", "images"),
    }
    for kind, labels in shown.items():
        for words in labels:
            assert words in names(tmp_path / f"{kind}.svg"), (kind, words)
    for name, kind in (("again-r", "reconstructions"), ("again-i", "interpolation")):
        assert names(tmp_path / f"{name}.svg") == names(tmp_path / f"{kind}.svg")
    with Image.open(tmp_path / "row.png") as picture:
        assert picture.width > 4 * picture.height  # one row of six images and a label


def test_training_curves_of_the_newest_run(cli: Cli, trained: Path, tmp_path: Path) -> None:
    done = cli("plot", "training", "--runs-dir", trained.parent, "--out", "t.pdf")
    assert done.stderr == f"drawing {trained}\n"
    assert (tmp_path / "t.pdf").read_bytes().startswith(b"%PDF")
    assert "no checkpoint or run nothing" in cli("plot", "training", "nothing", code=1).stderr


def test_a_bundle_is_drawn_without_torch(bundle: Path, own_images: Path, tmp_path: Path) -> None:
    """In one process, so that the proof holds for all of them."""
    own = ("--images", str(own_images), "--levels", "256")
    commands = [
        ["interpolate", str(bundle), "--out", "a.svg", "--long-way"],
        ["interpolate", str(bundle), *own, "--from", "1", "--to", "4", "--out", "b.svg"],
        ["reconstruct", str(bundle), *own, "--out", "c.svg"],
        ["plot", "samples", str(bundle), "--n", "5", "--out", "d.svg"],
        ["plot", "swap", str(bundle), "--n", "1", "--draws", "2", "--out", "e.svg"],
        ["plot", "turn", str(bundle), "--factor", "1", "--out", "f.svg"],
        ["plot", "embedding", str(bundle), *own, "--out", "g.svg"],
        ["plot", "concentrations", str(bundle), *own, "--out", "h.svg"],
    ]
    run_all(
        commands,
        tmp_path,
        "loaded = {'torch', 'torchvision', 'sklearn', 'onnx'} & set(sys.modules)\n"
        "assert not loaded, loaded",
    )
    assert {path.name for path in tmp_path.glob("*.svg")} == {f"{c}.svg" for c in "abcdefgh"}
    assert "all factors" in names(tmp_path / "b.svg")
    for label in "012":
        assert f">{label}<" in names(tmp_path / "g.svg")


def test_what_is_refused_before_any_work(cli: Cli, bundle: Path, tmp_path: Path) -> None:
    (tmp_path / "there.png").write_bytes(b"thesis")
    for arguments, code, words in (
        (("plot", "samples", bundle, "--out", "x.gif"), 2, "end it in .png, .svg or .pdf"),
        (("reconstruct", bundle, "--out", "there.png"), 1, "--force"),
        (("plot", "samples", bundle, "--n", "0"), 2, "--n"),
        (("plot", "hologram", bundle), 2, "hologram"),
        (("reconstruct", bundle), 2, "holds no data set: name a file of images with --images"),
        (("plot", "embedding", bundle), 2, "with --images"),
        (("interpolate", bundle, "--from", "1"), 2, "there is no image 1"),
        (("interpolate", bundle, "--split", "test"), 2, "leave it out"),
        (("plot", "turn", bundle), 2, "no circle to turn around"),
        (("plot", "swap", bundle, "--factor", "4"), 2, "no factor 4: there are 3 factors"),
        (("plot", "samples", bundle, "--out", "missing/x.png"), 1, "can't be written"),
    ):
        done = cli(*arguments, code=code)
        assert words in done.stderr, (arguments, done.stderr)
        assert len(done.stderr.splitlines()) == 1
    assert (tmp_path / "there.png").read_bytes() == b"thesis"
    assert [path.name for path in tmp_path.iterdir()] == ["there.png"]


def test_images_that_do_not_fit_are_refused(
    cli: Cli, bundle: Path, own_images: Path, tmp_path: Path
) -> None:
    np.save(tmp_path / "large.npy", np.zeros((2, 1, 9, 8), np.float32))
    done = cli("reconstruct", bundle, "--images", "large.npy", code=1)
    assert "(n, 1, 8, 8) is needed" in done.stderr
    done = cli("plot", "swap", bundle, "--prior", "--images", own_images, code=2)
    assert "leave out --images" in done.stderr
    done = cli("plot", "samples", bundle, "--device", "cuda", code=2)
    assert "drawn on the CPU" in done.stderr
    done = cli(
        "interpolate", bundle, "--images", own_images, "--levels", "256", "--to", "12", code=2
    )
    assert "no image 12: there are 12, counted from 0" in done.stderr
    assert not list(tmp_path.glob("*.png"))


def test_usage_of_the_plots(cli: Cli) -> None:
    text = cli("plot", "--help").stdout
    for kind in ("samples", "interpolation", "turn", "swap", "embedding", "training"):
        assert kind in text
    assert "Options" in cli("plot", "turn", "--help").stdout
