"""`sxvae export --web`: a whole folder, or nothing and the reason."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import sxvae_runtime
from tests.web.conftest import Exported

Cli = Callable[..., "subprocess.CompletedProcess[str]"]


def test_the_folder_holds_the_page_its_runtime_and_a_bundle(
    exported: Exported, page: dict[str, bytes]
) -> None:
    found = {
        path.relative_to(exported.folder).as_posix(): path.read_bytes()
        for path in exported.folder.rglob("*")
        if path.is_file()
    }
    assert {name: found[name] for name in page} == page
    assert {name.split("/")[0] for name in found.keys() - page.keys()} == {"bundle"}
    assert sxvae_runtime.load(exported.folder / "bundle").verify() < 1e-4
    assert sorted(name for name in found if name.startswith("onnxruntime/")) == [
        "onnxruntime/ort-wasm-simd-threaded.mjs",
        "onnxruntime/ort-wasm-simd-threaded.wasm",
        "onnxruntime/ort.wasm.min.mjs",
    ]
    assert exported.said["web"] == str(exported.folder)
    assert exported.said["largest_difference"] < 1e-4
    assert exported.said["bundle"] is None
    assert [path.name for path in exported.folder.parent.iterdir()] == ["website"]


def test_what_is_not_ours_is_left_alone(
    cli: Cli, trained: Path, page: dict[str, bytes], tmp_path: Path
) -> None:
    out = tmp_path / "out"
    out.mkdir()
    (out / "index.html").write_text("somebody else's")
    done = cli("export", trained, "--web", out, "--force", code=1)
    assert "not one of ours" in done.stderr
    assert [path.name for path in out.iterdir()] == ["index.html"]


def test_an_older_website_is_replaced_by_force_only(
    cli: Cli, trained: Path, exported: Exported
) -> None:
    done = cli("export", trained, "--web", exported.folder, code=1)
    assert "--force" in done.stderr


def test_what_to_write_has_to_be_said(cli: Cli, trained: Path, tmp_path: Path) -> None:
    assert "--web DIR" in cli("export", trained, code=2).stderr
    assert "--out" in cli("export", trained, "--web", "a", "--out", "b", code=2).stderr
    assert list(tmp_path.iterdir()) == []


def test_without_a_page_the_command_that_builds_it_is_named(trained: Path, tmp_path: Path) -> None:
    code = (
        "import sys, pathlib, sxvae_runtime.page, sxvae_cli.main\n"
        "sxvae_runtime.page.FOLDER = pathlib.Path('nowhere')\n"
        f"sys.argv = ['sxvae', 'export', {str(trained)!r}, '--web', 'out']\n"
        "sxvae_cli.main.main()"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.returncode == 1
    (line,) = done.stderr.splitlines()
    assert "npm --prefix web ci && npm --prefix web run build" in line
    assert list(tmp_path.iterdir()) == []
