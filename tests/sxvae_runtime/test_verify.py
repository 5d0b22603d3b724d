from __future__ import annotations

import hashlib
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

import sxvae_runtime
from sxvae_runtime import BundleError

Rewrite = Callable[[Path, Callable[[dict[str, Any]], object]], None]


def test_verify(app: sxvae_runtime.Bundle) -> None:
    assert app.verify() < 1e-4


def _change_golden(folder: Path, rewrite: Rewrite, name: str, value: float) -> None:
    """Put a number into a golden output."""
    golden = load_file(folder / "golden.safetensors")
    golden[name][0, 0] = value
    _write_golden(folder, rewrite, golden)


def _write_golden(folder: Path, rewrite: Rewrite, golden: dict[str, np.ndarray]) -> None:
    """Write golden inputs and outputs, the manifest signed again."""
    path = folder / "golden.safetensors"
    save_file(golden, path)
    sha256 = hashlib.sha256(path.read_bytes()).hexdigest()
    rewrite(folder, lambda manifest: manifest["golden"].update(sha256=sha256))


def test_a_nan_does_not_pass_verification(copy: Path, rewrite: Rewrite) -> None:
    _change_golden(copy, rewrite, "concentration", np.nan)
    with pytest.raises(BundleError, match="differ from the golden ones by nan"):
        sxvae_runtime.load(copy).verify()


@pytest.mark.parametrize(
    ("bundle_name", "name"),
    [
        *(
            ("bundle_v1_full", name)
            for name in ("mean_direction", "concentration", "scale", "mean")
        ),
        *(("bundle_v1_sampler", name) for name in ("uniform", "normal", "sample")),
    ],
)
def test_every_graph_is_verified(
    fixtures: Path, tmp_path: Path, rewrite: Rewrite, bundle_name: str, name: str
) -> None:
    folder = Path(shutil.copytree(fixtures / bundle_name, tmp_path / "bundle"))
    _change_golden(folder, rewrite, name, 7.0)
    with pytest.raises(BundleError, match="differ from the golden ones"):
        sxvae_runtime.load(folder).verify()


def test_a_sampler_that_is_another_graph_does_not_pass_verification(
    fixtures: Path, tmp_path: Path, rewrite: Rewrite
) -> None:
    folder = Path(shutil.copytree(fixtures / "bundle_v1_sampler", tmp_path / "bundle"))

    def swap(manifest: dict[str, Any]) -> None:
        for key in ("file", "sha256"):
            manifest["graphs"]["sampler"][key] = manifest["graphs"]["decoder"][key]

    rewrite(folder, swap)
    with pytest.raises(BundleError, match=r"decoder\.onnx has other inputs or outputs than"):
        sxvae_runtime.load(folder).verify()


def test_golden_outputs_that_are_missing_are_an_error(copy: Path, rewrite: Rewrite) -> None:
    path = copy / "golden.safetensors"
    golden = load_file(path)
    del golden["mean"]
    _write_golden(copy, rewrite, golden)
    with pytest.raises(BundleError, match=r"golden\.safetensors does not fit the graphs: 'mean'"):
        sxvae_runtime.load(copy).verify()


def test_golden_inputs_of_another_shape_are_an_error(copy: Path, rewrite: Rewrite) -> None:
    golden = load_file(copy / "golden.safetensors")
    _write_golden(copy, rewrite, {**golden, "z": golden["z"][:, 1:]})
    with pytest.raises(BundleError, match=r"golden\.safetensors does not fit the graphs"):
        sxvae_runtime.load(copy).verify()


def _write_golden_bytes(folder: Path, rewrite: Rewrite, content: bytes) -> None:
    (folder / "golden.safetensors").write_bytes(content)
    sha256 = hashlib.sha256(content).hexdigest()
    rewrite(folder, lambda manifest: manifest["golden"].update(sha256=sha256))


def _header(entries: str) -> bytes:
    text = entries.encode()
    return len(text).to_bytes(8, "little") + text


_ONE = '"{}": {{"dtype": "{}", "shape": [1], "data_offsets": [0, 4]}}'


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "not JSON"),
        (b"\xff" * 64, "its header has 18,446,744,073,709,551,615 bytes"),
        ((10**8).to_bytes(8, "little") + b" " * 100, "its header has 100,000,000 bytes"),
        (_header("{" * 10**5), "nested more than 32 levels deep|not JSON"),
        (
            _header("{" + _ONE.format("x", "F32") + ", " + _ONE.format("x", "F32") + "}") + b"0000",
            "it has the key x twice",
        ),
        (_header("{" + _ONE.format("x", "BF16") + "}") + b"0000", ""),
        (_header("{" + _ONE.format("x\\u001b", "F32") + "}") + b"0000", "'x'"),
        (_header("{}"), "'x'"),
    ],
)
def test_golden_files_that_are_none(
    copy: Path, rewrite: Rewrite, content: bytes, message: str
) -> None:
    _write_golden_bytes(copy, rewrite, content)
    app = sxvae_runtime.load(copy)
    with pytest.raises(
        BundleError, match=rf"golden\.safetensors does not fit the graphs: .*{message}"
    ):
        app.verify()


def test_golden_outputs_of_another_type_are_an_error(copy: Path, rewrite: Rewrite) -> None:
    golden = load_file(copy / "golden.safetensors")
    for changed in (golden["mean"].astype(np.float64), np.full_like(golden["mean"], np.inf)):
        _write_golden(copy, rewrite, {**golden, "mean": changed})
        with pytest.raises(BundleError, match=r"differ from the golden ones by (inf|nan)"):
            sxvae_runtime.load(copy).verify()
