"""The commands on bundles from somebody else: one sentence, exit status 1, and no escapes."""

from __future__ import annotations

import hashlib
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import onnx
import pytest
from onnx import TensorProto, helper

import sxvae_runtime
from sxvae_runtime.command_line.app import app
from sxvae_runtime.command_line.application import run_application
from sxvae_runtime.serving.app import create_app
from sxvae_runtime.serving.limits import Limits
from sxvae_runtime.text import printable

Rewrite = Callable[[Path, Callable[[dict[str, Any]], object]], None]

LIMITS = Limits(body=2**20, batch=4, requests=4, threads=1, seconds=5)
TITLE = "\x1b]0;owned\x07\x1b[31m\u202e"


@pytest.fixture
def run_here(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Callable[..., tuple[int, str, str]]:
    """Run a command line in this process: its exit status and what it printed."""

    def run(*arguments: str | Path) -> tuple[int, str, str]:
        monkeypatch.chdir(tmp_path)
        monkeypatch.setenv("COLUMNS", "200")
        monkeypatch.setattr(sys, "argv", ["sxvae-runtime", *map(str, arguments)])
        code = run_application(app, "sxvae-runtime", lambda: False)
        return code, *capsys.readouterr()

    return run


def _change_graph(folder: Path, rewrite: Rewrite, change: Callable[[Any], object]) -> None:
    path = folder / "decoder.onnx"
    model = onnx.load(path)
    change(model)
    path.write_bytes(model.SerializeToString())
    sha256 = hashlib.sha256(path.read_bytes()).hexdigest()
    rewrite(folder, lambda manifest: manifest["graphs"]["decoder"].update(sha256=sha256))


def _external(folder: Path, rewrite: Rewrite) -> None:
    def change(model: onnx.ModelProto) -> None:
        tensor = model.graph.initializer[0]
        tensor.data_location = TensorProto.EXTERNAL
        tensor.external_data.add(key="location", value="../secret")

    _change_graph(folder, rewrite, change)


def _link(folder: Path, rewrite: Rewrite) -> None:
    (folder / "golden.safetensors").unlink()
    (folder / "golden.safetensors").symlink_to("/etc/passwd")


def _pipe(folder: Path, rewrite: Rewrite) -> None:
    (folder / "encoder.onnx").unlink()
    os.mkfifo(folder / "encoder.onnx")


def _family(folder: Path, rewrite: Rewrite) -> None:
    rewrite(folder, lambda manifest: manifest["factors"][0].update(family=TITLE))


@pytest.mark.parametrize("command", ["inspect", "verify", "sample", "serve"])
@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (_external, "takes numbers from outside"),
        (_link, "is a link, which is not followed"),
        (_pipe, "is a named pipe and no file"),
        (_family, "is not known"),
    ],
)
def test_a_hostile_bundle_ends_every_command_in_a_sentence(
    copy: Path,
    rewrite: Rewrite,
    run_here: Callable[..., tuple[int, str, str]],
    command: str,
    spoil: Callable[[Path, Rewrite], None],
    message: str,
) -> None:
    spoil(copy, rewrite)
    code, out, err = run_here(command, copy)
    assert (code, out) == (1, "")
    assert message in err
    assert err == printable(err[:-1]) + "\n"


def test_a_graph_that_onnxruntime_refuses_is_told_without_escapes(
    copy: Path, rewrite: Rewrite, run_here: Callable[..., tuple[int, str, str]]
) -> None:
    def change(model: onnx.ModelProto) -> None:
        model.graph.node.append(helper.make_node(f"Foo{TITLE}", ["z"], ["y"], name=TITLE))

    _change_graph(copy, rewrite, change)
    code, out, err = run_here("verify", copy)
    assert (code, out) == (1, "")
    assert "onnxruntime can't load" in err
    assert err == printable(err[:-1]) + "\n"


def test_a_decoder_without_finite_values_is_neither_drawn_nor_served(
    copy: Path, rewrite: Rewrite, run_here: Callable[..., tuple[int, str, str]]
) -> None:
    def change(model: onnx.ModelProto) -> None:
        (output,) = model.graph.output
        last = next(node for node in model.graph.node if output.name in node.output)
        last.output[0] = "before"
        nodes = [
            helper.make_node("Constant", [], ["nan"], value_float=float("nan")),
            helper.make_node("Mul", ["before", "nan"], [output.name]),
        ]
        model.graph.node.extend(nodes)

    _change_graph(copy, rewrite, change)
    code, out, err = run_here("sample", copy)
    assert (code, out) == (1, "")
    assert "not finite" in err
    with pytest.raises(sxvae_runtime.BundleError, match="gives values that are not finite"):
        create_app(sxvae_runtime.load(copy), LIMITS)


def test_the_server_serves_the_bytes_that_were_checked(copy: Path) -> None:
    app = sxvae_runtime.load(copy)
    (copy / "golden.safetensors").unlink()
    (copy / "golden.safetensors").symlink_to("/etc/passwd")
    with pytest.raises(sxvae_runtime.BundleError, match="is a link, which is not followed"):
        create_app(app, LIMITS)


def test_what_a_manifest_says_is_shown_with_its_escapes(
    copy: Path, rewrite: Rewrite, run_here: Callable[..., tuple[int, str, str]]
) -> None:
    def change(manifest: dict[str, Any]) -> None:
        manifest["likelihood"] = TITLE
        manifest["provenance"]["dataset"] = [f"a{TITLE}b", {TITLE: TITLE}]
        manifest["\x1b[2J"] = "cleared"

    rewrite(copy, change)
    folder = copy.rename(copy.with_name(f"bundle{TITLE}"))
    for command in ("inspect", "verify"):
        code, out, err = run_here(command, folder)
        assert (code, err) == (0, "")
        assert not set("\x1b\x07\x9b\u202e") & set(out)
        assert r"\x1b]0;owned\x07\x1b[31m\u202e" in out
    code, out, _ = run_here("inspect", folder, "--json")
    assert code == 0
    assert out.isascii()
    assert "\x1b" not in out
