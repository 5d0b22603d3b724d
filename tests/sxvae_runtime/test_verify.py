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
