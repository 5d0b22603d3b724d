from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import sxvae_runtime
from sxvae_runtime import BundleError, BundleNotFoundError, InputError, RuntimeBundleError

Rewrite = Callable[[Path, Callable[[dict[str, Any]], object]], None]


def test_options_pass_through(bundle: Path) -> None:
    app = sxvae_runtime.load(bundle, providers=["CPUExecutionProvider"], threads=2, batch_size=2)
    assert app.verify() < 1e-4
    with pytest.raises(InputError, match="no provider 'FooProvider'; choose from"):
        sxvae_runtime.load(bundle, providers=[("FooProvider", {})])
    assert sxvae_runtime.load(str(bundle)).input_shape == (1, 8, 8)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"threads": -1}, "threads must be a whole number of at least 0, not -1"),
        ({"threads": 1.5}, "threads must be a whole number of at least 0, not 1.5"),
        ({"threads": True}, "threads must be a whole number of at least 0, not True"),
        ({"threads": 1_000_000}, "at most 4,096 threads are taken, not 1000000"),
        ({"batch_size": 0}, "batch_size must be a whole number of at least 1, not 0"),
    ],
)
def test_bad_options_are_refused(bundle: Path, options: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        sxvae_runtime.load(bundle, **options)


@pytest.mark.parametrize(
    ("error", "builtin"),
    [
        (BundleError, ValueError),
        (BundleNotFoundError, FileNotFoundError),
        (InputError, ValueError),
    ],
)
def test_errors_are_builtin_ones_too(error: type[Exception], builtin: type[Exception]) -> None:
    assert issubclass(error, builtin)
    assert issubclass(error, RuntimeBundleError)


def test_released_formats_stay_readable(fixtures: Path) -> None:
    app = sxvae_runtime.load(fixtures / "bundle_v1")
    assert app.verify() < 1e-5
    q = app.encode(np.full((1, 1, 8, 8), 0.5))
    np.testing.assert_allclose(q.concentration, [[1.8877635, 1.6113242]], rtol=1e-5)


def test_released_formats_with_a_sampler_stay_readable(fixtures: Path) -> None:
    app = sxvae_runtime.load(fixtures / "bundle_v1_sampler")
    assert [factor.name for factor in app.factors] == ["S^2", "R^2", "S^4"]
    assert app.verify() < 1e-5


def test_missing_bundles_and_files(copy: Path, tmp_path: Path) -> None:
    with pytest.raises(BundleNotFoundError, match="there is no bundle at"):
        sxvae_runtime.load(tmp_path / "nowhere")
    (copy / "decoder.onnx").unlink()
    with pytest.raises(FileNotFoundError, match=r"decoder\.onnx is missing"):
        sxvae_runtime.load(copy)


def _flip(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def _swap(folder: Path) -> None:
    (folder / "encoder.onnx").rename(folder / "x")
    (folder / "decoder.onnx").rename(folder / "encoder.onnx")
    (folder / "x").rename(folder / "decoder.onnx")


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda folder: _flip(folder / "encoder.onnx"), r"encoder\.onnx is not the file"),
        (lambda folder: _flip(folder / "decoder.onnx"), r"decoder\.onnx is not the file"),
        (lambda folder: _flip(folder / "golden.safetensors"), r"golden\.safetensors is not the"),
        (_swap, r"decoder\.onnx is not the file"),
        (lambda folder: (folder / "manifest.json").write_text("{"), "no manifest of sxvae"),
        (lambda folder: (folder / "manifest.json").write_text("[1]"), "no manifest of sxvae"),
    ],
)
def test_damaged_bundles_are_refused_by_name(
    copy: Path, damage: Callable[[Path], None], message: str
) -> None:
    damage(copy)
    with pytest.raises(BundleError, match=message):
        sxvae_runtime.load(copy)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda m: m.update(format_version=2), "install a newer one"),
        (lambda m: m["factors"][0].update(dim=7), "do not lie side by side"),
        (lambda m: m["factors"][0].update(family="wrapped"), "family 'wrapped' is not known"),
        (lambda m: m["factors"].pop(), "does not fit the manifest's factors"),
        (lambda m: m.update(input_shape=[1, 9, 9]), "does not fit the manifest's factors"),
        (lambda m: m["graphs"].pop("decoder"), "has no decoder graph"),
        (lambda m: m["graphs"]["encoder"]["outputs"].pop(), r"encoder\.onnx does not fit"),
        (lambda m: m["golden"].update(file="../golden.safetensors"), "outside its folder"),
        (lambda m: m.pop("input_shape"), "incomplete"),
        (
            lambda m: m["graphs"]["encoder"].pop("sha256"),
            r"incomplete: it has no graphs\.encoder\.sha",
        ),
        (lambda m: m.update(format_version=float("inf")), "no manifest of sxvae"),
    ],
)
def test_manifests_that_do_not_fit_are_refused(
    copy: Path, rewrite: Rewrite, change: Callable[[dict[str, Any]], object], message: str
) -> None:
    rewrite(copy, change)
    with pytest.raises(BundleError, match=message):
        sxvae_runtime.load(copy)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda f: f[1].update(ambient=4), "do not lie side by side"),
        (lambda f: f[1].update(offset=2), "do not lie side by side"),
        (lambda f: f[1].update(covariance="banded"), "'banded' is not known; install a newer"),
        (lambda f: f[1].pop("covariance"), "incomplete"),
        (lambda f: f[1].update(covariance="diagonal"), r"encoder\.onnx does not fit"),
        (lambda f: f[1].update(family="vmf", ambient=4, covariance=None), "not lie side by side"),
        (
            lambda f: f[1].update(family="vmf", dim=2, covariance=None),
            r"encoder\.onnx does not fit",
        ),
        (lambda f: f.insert(0, {**f[0], "dim": 0, "ambient": 0}), r"factors\[0\]\.dim is 0, not a"),
    ],
)
def test_normal_factors_that_do_not_fit_are_refused(
    fixtures: Path,
    tmp_path: Path,
    rewrite: Rewrite,
    change: Callable[[list[dict[str, Any]]], object],
    message: str,
) -> None:
    copy = Path(shutil.copytree(fixtures / "bundle_v1_single", tmp_path / "bundle"))
    # S^2 x R^3 x S^1
    rewrite(copy, lambda manifest: change(manifest["factors"]))
    with pytest.raises(BundleError, match=message):
        sxvae_runtime.load(copy)


@pytest.mark.parametrize(
    "change",
    [
        lambda sampler: sampler["inputs"].pop(),
        lambda sampler: sampler["inputs"][0].update(shape=["batch", 3]),
        lambda sampler: sampler["outputs"][0].update(name="x"),
    ],
)
def test_samplers_that_do_not_fit_are_refused(
    fixtures: Path, tmp_path: Path, rewrite: Rewrite, change: Callable[[dict[str, Any]], object]
) -> None:
    copy = Path(shutil.copytree(fixtures / "bundle_v1_sampler", tmp_path / "bundle"))
    rewrite(copy, lambda manifest: change(manifest["graphs"]["sampler"]))
    with pytest.raises(BundleError, match=r"sampler\.onnx does not fit the manifest's factors"):
        sxvae_runtime.load(copy)


def test_a_damaged_sampler_is_refused(fixtures: Path, tmp_path: Path) -> None:
    copy = Path(shutil.copytree(fixtures / "bundle_v1_sampler", tmp_path / "bundle"))
    _flip(copy / "sampler.onnx")
    with pytest.raises(BundleError, match=r"sampler\.onnx is not the file"):
        sxvae_runtime.load(copy)


def test_a_graph_in_the_place_of_another_is_refused(copy: Path, rewrite: Rewrite) -> None:
    def swap(manifest: dict[str, Any]) -> None:
        encoder, decoder = manifest["graphs"]["encoder"], manifest["graphs"]["decoder"]
        for key in ("file", "sha256"):
            encoder[key], decoder[key] = decoder[key], encoder[key]

    rewrite(copy, swap)
    with pytest.raises(BundleError, match=r"decoder\.onnx has other inputs or outputs than"):
        sxvae_runtime.load(copy)


def test_an_edited_manifest_is_refused(copy: Path) -> None:
    path = copy / "manifest.json"
    path.write_text(path.read_text().replace('"dynamic"', '"fixed"'))
    with pytest.raises(BundleError, match="does not match its own checksum"):
        sxvae_runtime.load(copy)


def test_newer_keys_are_ignored(copy: Path, rewrite: Rewrite) -> None:
    rewrite(copy, lambda manifest: manifest.update(from_the_future={"a": 1}))
    assert sxvae_runtime.load(copy).verify() < 1e-4
