from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

import sxvae_runtime
from sxvae_runtime import BundleError, BundleNotFoundError, InputError
from sxvae_runtime.manifest import digest

FIXTURES = Path(__file__).parent / "fixtures"


@pytest.fixture
def app(bundle: Path) -> sxvae_runtime.Bundle:
    return sxvae_runtime.load(bundle)


@pytest.fixture
def copy(bundle: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(bundle, tmp_path / "bundle"))


@pytest.fixture
def x() -> np.ndarray:
    return np.random.default_rng(0).random((5, 1, 8, 8))


def _norms(app: sxvae_runtime.Bundle, z: np.ndarray) -> np.ndarray:
    return np.stack([np.linalg.norm(z[..., f.slice], axis=-1) for f in app.factors], axis=-1)


def test_encode_and_decode(app: sxvae_runtime.Bundle, x: np.ndarray) -> None:
    q = app.encode(x)
    assert q.mean_direction.shape == (5, 13)
    assert q.concentration.shape == (5, 3)
    assert q.scale is None
    np.testing.assert_allclose(_norms(app, q.mean_direction), 1, atol=1e-6)
    mean = app.decode(q.mean_direction)
    assert mean.shape == (5, 1, 8, 8)
    assert mean.dtype == np.float32
    assert ((mean > 0) & (mean < 1)).all()
    np.testing.assert_array_equal(app.reconstruct(x), mean)


def test_many_images_are_many_batches(app: sxvae_runtime.Bundle) -> None:
    many = np.random.default_rng(1).random((600, 1, 8, 8))
    q, mean = app.encode(many), app.reconstruct(many)
    assert mean.shape == many.shape
    for rows in (slice(0, 10), slice(250, 260), slice(590, 600)):
        few = app.encode(many[rows])
        np.testing.assert_allclose(q.mean_direction[rows], few.mean_direction, atol=1e-6)
        np.testing.assert_allclose(q.concentration[rows], few.concentration, rtol=1e-5)
        np.testing.assert_allclose(mean[rows], app.reconstruct(many[rows]), atol=1e-6)


def test_results_stay_when_the_next_image_comes(app: sxvae_runtime.Bundle, x: np.ndarray) -> None:
    results = [(app.encode(image[None]), app.reconstruct(image[None])) for image in x]
    for image, (q, mean) in zip(x, results, strict=True):
        alone = sxvae_runtime.load(app.path)
        np.testing.assert_array_equal(alone.encode(image[None]).mean_direction, q.mean_direction)
        np.testing.assert_array_equal(alone.encode(image[None]).concentration, q.concentration)
        np.testing.assert_array_equal(alone.reconstruct(image[None]), mean)


def test_threads_share_a_bundle(app: sxvae_runtime.Bundle) -> None:
    images = np.random.default_rng(2).random((400, 1, 1, 8, 8))
    expected = [app.reconstruct(image) for image in images]
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(app.reconstruct, images))
    np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_any_floating_type_and_memory_layout(
    app: sxvae_runtime.Bundle,
    x: np.ndarray,
    dtype: Any,
) -> None:
    expected = app.encode(x.astype(dtype).astype(np.float32)).mean_direction
    reversed_twice = x.astype(dtype)[::-1, ..., ::-1][::-1, ..., ::-1]
    fortran = np.asfortranarray(x.astype(dtype))
    for view in (reversed_twice, fortran):
        np.testing.assert_array_equal(app.encode(view).mean_direction, expected)


def test_minus_zero_is_zero(app: sxvae_runtime.Bundle) -> None:
    zeros = np.zeros((2, 1, 8, 8), dtype=np.float32)
    expected = app.encode(zeros).mean_direction
    np.testing.assert_array_equal(app.encode(-zeros).mean_direction, expected)


def test_uint8_is_divided_by_255(app: sxvae_runtime.Bundle) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (3, 1, 8, 8), dtype=np.uint8)
    scaled = app.encode(pixels / 255)
    np.testing.assert_allclose(app.encode(pixels).mean_direction, scaled.mean_direction, atol=1e-6)


def test_an_empty_batch_is_an_empty_result(app: sxvae_runtime.Bundle) -> None:
    q = app.encode(np.zeros((0, 1, 8, 8)))
    assert q.mean_direction.shape == (0, 13)
    assert app.decode(q.mean_direction).shape == (0, 1, 8, 8)
    assert app.sample_posterior(q, 2, seed=0).shape == (2, 0, 13)


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (np.zeros((1, 8, 8)), r"shape \(1, 8, 8\); \(n, 1, 8, 8\) is needed"),
        (np.zeros((2, 1, 8, 7)), "is needed"),
        (np.full((1, 1, 8, 8), np.nan), "not finite"),
        (np.full((1, 1, 8, 8), np.inf), "not finite"),
        (np.full((1, 1, 8, 8), 1.01), r"\[0, 1\]"),
        (np.full((1, 1, 8, 8), -0.01), r"\[0, 1\]"),
        (np.zeros((1, 1, 8, 8), dtype=np.int64), "type int64; floating point or uint8"),
        (np.zeros((1, 1, 8, 8), dtype=bool), "type bool"),
        ([["a"]], "shape"),
        ([[1.0], [1.0, 2.0]], "rows differ in shape"),
    ],
)
def test_bad_images_are_refused(
    app: sxvae_runtime.Bundle,
    value: Any,
    message: str,
) -> None:
    for method in (app.encode, app.reconstruct):
        with pytest.raises(InputError, match=message):
            method(value)


def test_bad_latent_vectors_are_refused(app: sxvae_runtime.Bundle) -> None:
    z = app.sample_prior(2, seed=0)
    with pytest.raises(InputError, match=r"\(n, 13\) is needed"):
        app.decode(z[0])
    with pytest.raises(InputError, match="not finite"):
        app.decode(z * np.nan)
    z[1, 5:8] *= 2
    for many in (1, 40):  # few and many are looked at in different ways
        repeated = np.tile(z, (many, 1))
        with pytest.raises(InputError, match=r"norm 2 in factor 1 \(S\^2\)"):
            app.decode(repeated)
        repeated[0, 0] = np.nan
        with pytest.raises(InputError, match="not finite"):
            app.decode(repeated)


def test_sampling_the_prior(app: sxvae_runtime.Bundle) -> None:
    z = app.sample_prior(20_000, seed=0)
    assert z.dtype == np.float32
    np.testing.assert_allclose(_norms(app, z), 1, atol=1e-6)
    # Each coordinate has mean 0 and variance 1/p: 5 standard errors over 13 of them.
    for factor in app.factors:
        assert np.abs(z[:, factor.slice].mean(axis=0)).max() < 5 / np.sqrt(20_000 * factor.ambient)
    np.testing.assert_array_equal(app.sample_prior(3, seed=7), app.sample_prior(3, seed=7))
    assert not np.array_equal(app.sample_prior(3, seed=7), app.sample_prior(3, seed=8))
    assert not np.array_equal(app.sample_prior(3), app.sample_prior(3))
    rng = np.random.default_rng(7)
    np.testing.assert_array_equal(app.sample_prior(3, seed=rng), app.sample_prior(3, seed=7))
    assert not np.array_equal(app.sample_prior(3, seed=rng), app.sample_prior(3, seed=7))
    with pytest.raises(InputError, match="n must be a whole number of at least 1, not 0"):
        app.sample_prior(0)


def test_sampling_the_posterior(app: sxvae_runtime.Bundle, x: np.ndarray) -> None:
    q = app.encode(x)
    z = app.sample_posterior(q, samples=8, seed=0)
    assert z.shape == (8, 5, 13)
    np.testing.assert_allclose(_norms(app, z), 1, atol=1e-6)
    np.testing.assert_array_equal(z, app.sample_posterior(q, samples=8, seed=0))
    sharp = q._replace(concentration=np.full_like(q.concentration, 1e8))
    near = app.sample_posterior(sharp, samples=3, seed=0)
    np.testing.assert_allclose(near, np.broadcast_to(q.mean_direction, near.shape), atol=1e-3)
    with pytest.raises(InputError, match="concentration has the shape"):
        app.sample_posterior(q._replace(concentration=q.concentration[:, :1]))
    with pytest.raises(InputError, match="finite and at least 0"):
        app.sample_posterior(q._replace(concentration=-q.concentration))


@pytest.mark.parametrize("seed", [-1, "x", 1.5])
def test_bad_seeds_are_refused(app: sxvae_runtime.Bundle, seed: Any) -> None:
    with pytest.raises(InputError, match="seed must be"):
        app.sample_prior(1, seed=seed)


def _change_golden(folder: Path, name: str, value: float) -> None:
    """Put a number into a golden output, the manifest signed again."""
    path = folder / "golden.safetensors"
    golden = load_file(path)
    golden[name][0, 0] = value
    save_file(golden, path)
    digest_of_golden = hashlib.sha256(path.read_bytes()).hexdigest()
    _rewrite(folder, lambda manifest: manifest["golden"].update(sha256=digest_of_golden))


def test_a_nan_does_not_pass_verification(copy: Path) -> None:
    _change_golden(copy, "concentration", np.nan)
    with pytest.raises(BundleError, match="differ from the golden ones by nan"):
        sxvae_runtime.load(copy).verify()


@pytest.mark.parametrize("name", ["mean_direction", "concentration", "scale", "mean"])
def test_every_output_is_verified(tmp_path: Path, name: str) -> None:
    folder = Path(shutil.copytree(FIXTURES / "bundle_v1_full", tmp_path / "bundle"))
    _change_golden(folder, name, 7.0)
    with pytest.raises(BundleError, match="differ from the golden ones"):
        sxvae_runtime.load(folder).verify()


def test_interpolation(app: sxvae_runtime.Bundle) -> None:
    z0, z1 = app.sample_prior(2, seed=3)
    path = app.interpolate(z0, z1, steps=10)
    assert path.shape == (10, 13)
    np.testing.assert_allclose(path[[0, -1]], [z0, z1], atol=1e-6)
    np.testing.assert_allclose(_norms(app, path), 1, atol=1e-6)
    long = app.interpolate(z0, z1, steps=10, long_way=True)
    for factor in app.factors:
        angle = np.arccos(z0[factor.slice] @ z1[factor.slice])
        for walk, total in ((path, angle), (long, 2 * np.pi - angle)):
            steps = np.arccos(np.sum(walk[1:, factor.slice] * walk[:-1, factor.slice], axis=-1))
            np.testing.assert_allclose(steps, total / 9, atol=1e-3)
    assert app.decode(path).shape == (10, 1, 8, 8)
    with pytest.raises(InputError, match="steps must be a whole number of at least 2"):
        app.interpolate(z0, z1, steps=1)
    with pytest.raises(InputError, match=r"z1 has the shape \(2, 13\); \(13,\) is needed"):
        app.interpolate(z0, np.stack([z0, z1]))


def test_verify(app: sxvae_runtime.Bundle) -> None:
    assert app.verify() < 1e-4


def test_options_pass_through(bundle: Path) -> None:
    app = sxvae_runtime.load(bundle, providers=["CPUExecutionProvider"], threads=2)
    assert app.verify() < 1e-4
    with pytest.raises(InputError, match="no provider 'FooProvider'; choose from"):
        sxvae_runtime.load(bundle, providers=[("FooProvider", {})])
    assert sxvae_runtime.load(str(bundle)).input_shape == (1, 8, 8)


def test_released_formats_stay_readable() -> None:
    app = sxvae_runtime.load(FIXTURES / "bundle_v1")
    assert app.verify() < 1e-5
    q = app.encode(np.full((1, 1, 8, 8), 0.5))
    np.testing.assert_allclose(q.concentration, [[1.8877635, 1.6113242]], rtol=1e-5)


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


def _rewrite(folder: Path, change: Callable[[dict[str, Any]], None]) -> None:
    """Change the manifest and sign it again, as somebody would who knows how."""
    path = folder / "manifest.json"
    content = json.loads(path.read_text())
    change(content)
    content["sha256"] = digest(content)
    path.write_text(json.dumps(content))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda m: m.update(format_version=2), "install a newer one"),
        (lambda m: m["factors"][0].update(dim=7), "do not lie side by side"),
        (lambda m: m["factors"][0].update(family="wrapped"), "family 'wrapped' is not known"),
        (lambda m: m["factors"].pop(), "does not fit the manifest's factors"),
        (lambda m: m.update(input_shape=[1, 9, 9]), "does not fit the manifest's factors"),
        (lambda m: m["graphs"].pop("decoder"), "has no decoder graph"),
        (lambda m: m["graphs"]["encoder"]["outputs"].pop(), "other inputs or outputs"),
        (lambda m: m["golden"].update(file="../golden.safetensors"), "outside its folder"),
        (lambda m: m.pop("input_shape"), "incomplete"),
        (lambda m: m["graphs"]["encoder"].pop("sha256"), r"encoder\.onnx is not the file"),
        (lambda m: m.update(format_version=float("inf")), "no manifest of sxvae"),
    ],
)
def test_manifests_that_do_not_fit_are_refused(
    copy: Path, change: Callable[[dict[str, Any]], None], message: str
) -> None:
    _rewrite(copy, change)
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
        (lambda f: f[1].update(family="vmf", ambient=4), "do not lie side by side"),
        (lambda f: f[1].update(family="vmf", dim=2), r"encoder\.onnx does not fit"),
        (lambda f: f.insert(0, {**f[0], "dim": 0, "ambient": 0}), "do not lie side by side"),
    ],
)
def test_normal_factors_that_do_not_fit_are_refused(
    tmp_path: Path, change: Callable[[list[dict[str, Any]]], None], message: str
) -> None:
    copy = Path(shutil.copytree(FIXTURES / "bundle_v1_single", tmp_path / "bundle"))
    # S^2 x R^3 x S^1
    _rewrite(copy, lambda manifest: change(manifest["factors"]))
    with pytest.raises(BundleError, match=message):
        sxvae_runtime.load(copy)


def test_an_edited_manifest_is_refused(copy: Path) -> None:
    path = copy / "manifest.json"
    path.write_text(path.read_text().replace('"dynamic"', '"fixed"'))
    with pytest.raises(BundleError, match="does not match its own checksum"):
        sxvae_runtime.load(copy)


def test_newer_keys_are_ignored(copy: Path) -> None:
    _rewrite(copy, lambda manifest: manifest.update(from_the_future={"a": 1}))
    assert sxvae_runtime.load(copy).verify() < 1e-4
