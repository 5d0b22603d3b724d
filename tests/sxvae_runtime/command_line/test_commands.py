"""`sxvae-runtime verify`, `inspect` and `sample`, and what all its commands share."""

from __future__ import annotations

import io
import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import sxvae_runtime
from sxvae_cli.commands import serve, verify
from sxvae_runtime.command_line import commands
from sxvae_runtime.pictures import image_grid, png_bytes

Command = Callable[..., "subprocess.CompletedProcess[str]"]


def test_verify(run: Command, bundle: Path, copy: Path) -> None:
    assert run("verify", bundle).stdout.startswith(f"{bundle} is sound: golden outputs")
    said = json.loads(run("verify", bundle, "--json").stdout)
    assert said["bundle"] == str(bundle)
    assert said["largest_difference"] < 1e-4
    (copy / "decoder.onnx").write_bytes(b"damaged")
    done = run("verify", copy, code=1)
    assert done.stdout == ""
    assert done.stderr.startswith(f"sxvae-runtime: {copy / 'decoder.onnx'} is not the file")
    assert len(done.stderr.splitlines()) == 1


def test_inspect(run: Command, bundle: Path) -> None:
    table = run("inspect", bundle).stdout
    assert "factors.2.family" in table
    assert "power-spherical" in table
    manifest = json.loads((bundle / "manifest.json").read_text())
    assert json.loads(run("inspect", bundle, "--json").stdout) == manifest
    assert "no bundle at" in run("inspect", "nowhere", code=1).stderr


def test_sample_draws_what_the_seed_says(run: Command, bundle: Path, tmp_path: Path) -> None:
    done = run("sample", bundle, "--n", "6", "--seed", "3", "--out", "x.png")
    assert done.stdout == "x.png\n"
    app = sxvae_runtime.load(bundle)
    expected = png_bytes(image_grid(app.decode(app.sample_prior(6, seed=3))))
    assert (tmp_path / "x.png").read_bytes() == expected
    with Image.open(io.BytesIO(expected)) as picture:
        assert picture.format == "PNG"
    assert [path.name for path in tmp_path.iterdir()] == ["x.png"]


def test_sample_replaces_a_file_by_force_only(run: Command, bundle: Path, tmp_path: Path) -> None:
    (tmp_path / "x.png").write_text("mine")
    assert "replace it with --force" in run("sample", bundle, "--out", "x.png", code=1).stderr
    assert (tmp_path / "x.png").read_text() == "mine"
    run("sample", bundle, "--out", "x.png", "--force")
    assert (tmp_path / "x.png").read_bytes().startswith(b"\x89PNG")
    (tmp_path / "dangling.png").symlink_to("nowhere")
    for out, code, sentence in (
        ("x.jpg", 2, "a plain picture is a .png"),
        (".", 1, "no file that can be replaced"),
        ("dangling.png", 1, "no file that can be replaced"),
        ("missing/x.png", 1, "can't be written (No such file or directory)"),
    ):
        assert sentence in run("sample", bundle, "--out", out, code=code).stderr


def test_usage(run: Command, bundle: Path) -> None:
    text = run("--help").stdout
    for name in ("serve", "verify", "inspect", "sample"):
        assert name in text
        assert "BUNDLE" in run(name, "--help").stdout
    assert "Commands" in run(code=2).stdout
    assert run("verify", code=2).stderr == (
        "sxvae-runtime verify: Missing argument 'BUNDLE'; see sxvae-runtime verify --help\n"
    )
    assert "see sxvae-runtime sample --help" in run("sample", bundle, "--n", "0", code=2).stderr
    assert "Traceback" in run("verify", "nowhere", "--debug", code=1).stderr


def test_sxvae_has_the_same_functions() -> None:
    assert serve.serve is commands.serve.serve
    assert verify.verify is commands.verify.verify


@pytest.mark.parametrize(
    ("hidden", "arguments", "sentence"),
    [
        ("typer", ["verify", "bundle"], "the command needs packages"),
        ("uvicorn", ["serve", "bundle"], "serving needs packages"),
        ("PIL", ["sample", "bundle"], "drawing needs packages"),
    ],
)
def test_without_the_extra_the_command_says_what_to_install(
    tmp_path: Path, hidden: str, arguments: list[str], sentence: str
) -> None:
    program = (
        "import importlib.util as util, sys; find = util.find_spec\n"
        f"util.find_spec = lambda name, *rest: None if name == {hidden!r} else find(name, *rest)\n"
        f"sys.argv = ['sxvae-runtime', *{arguments!r}]\n"
        "from sxvae_runtime.command_line.main import main; main()"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.returncode == 2
    assert done.stderr == (
        f"sxvae-runtime: {sentence} that are not installed ({hidden}): "
        'pip install "sxvae-runtime[serve]"\n'
    )


def test_help_imports_no_numpy() -> None:
    code = (
        "import sys\n"
        "from sxvae_runtime.command_line.app import app\n"
        "app(['--help'], standalone_mode=False)\n"
        "loaded = {'numpy', 'onnxruntime', 'fastapi', 'sxvae'} & set(sys.modules)\n"
        "assert not loaded, loaded"
    )
    subprocess.run([sys.executable, "-c", code], check=True, capture_output=True)


def test_pictures_of_other_shapes_are_refused() -> None:
    with pytest.raises(sxvae_runtime.InputError, match="a picture needs images"):
        image_grid(np.zeros((2, 2, 8, 8)))
    with pytest.raises(sxvae_runtime.InputError, match="not finite"):
        image_grid(np.full((1, 1, 8, 8), np.nan))
