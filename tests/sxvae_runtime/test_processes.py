"""A bundle goes to other processes and threads, and can be copied."""

from __future__ import annotations

import copy as copying
import multiprocessing
import os
import pickle  # noqa: TID251  # what process pools send things with
import shutil
import warnings
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest

import sxvae_runtime
from sxvae_runtime import Bundle, BundleError, BundleNotFoundError, InputError


def _again(value: Any) -> Any:
    return pickle.loads(pickle.dumps(value))


def test_a_pickled_bundle_is_loaded_with_its_options(
    bundle: Path, x: np.ndarray, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened = []

    class Session(onnxruntime.InferenceSession):  # type: ignore[misc]  # untyped
        def __init__(self, model: bytes, options: Any, providers: Any) -> None:
            opened.append((options.intra_op_num_threads, providers))
            super().__init__(model, options, providers=providers)

    monkeypatch.setattr(onnxruntime, "InferenceSession", Session)
    providers = [("CPUExecutionProvider", {"use_arena": "0"})]
    app = sxvae_runtime.load(bundle, threads=2, batch_size=2, providers=providers)
    again = _again(_again(app))
    assert isinstance(again, Bundle)
    assert again.manifest == app.manifest
    assert opened == [(2, providers)] * 6
    np.testing.assert_array_equal(again.encode(x).mean_direction, app.encode(x).mean_direction)


def test_what_an_application_holds_can_be_pickled_and_copied(fixtures: Path, x: np.ndarray) -> None:
    app = sxvae_runtime.load(fixtures / "bundle_v1_sampler")
    q, layout = app.encode(x), app.manifest.layout
    for again in (_again, copying.copy, copying.deepcopy):
        held: dict[str, Any] = again({"app": app, "q": q, "layout": layout, "factors": app.factors})
        assert isinstance(held["q"], sxvae_runtime.Posterior)
        for one, other in zip(held["q"], q, strict=True):
            np.testing.assert_array_equal(one, other)
        assert held["factors"] == app.factors
        assert held["layout"].scale_slices == layout.scale_slices
        assert held["layout"].groups == layout.groups
        drawn = held["app"].sample_posterior(held["q"], seed=0)
        np.testing.assert_array_equal(drawn, app.sample_posterior(q, seed=0))
    assert copying.deepcopy([app])[0] is app


def test_a_relative_path_outlives_the_working_directory(
    copy: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(copy.parent)
    app = sxvae_runtime.load(copy.name)
    pickled = pickle.dumps(app)
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    assert pickle.loads(pickled).verify() < 1e-4
    assert app.verify() < 1e-4


def test_a_bundle_that_changed_meanwhile_is_refused(fixtures: Path, copy: Path) -> None:
    app = sxvae_runtime.load(copy)
    pickled = pickle.dumps(app)
    shutil.rmtree(copy)
    with pytest.raises(BundleNotFoundError, match="there is no bundle at"):
        pickle.loads(pickled)
    shutil.copytree(fixtures / "bundle_v1", copy)
    with pytest.raises(BundleError, match="is another one than when it was pickled"):
        pickle.loads(pickled)
    with pytest.raises(BundleError, match=r"encoder\.onnx is not the file that the manifest names"):
        app.open_session("encoder")


def test_session_options_are_never_lost_in_silence(bundle: Path) -> None:
    app = sxvae_runtime.load(bundle, session_options=onnxruntime.SessionOptions())
    with pytest.raises(InputError, match="with session_options can't be pickled"):
        pickle.dumps(app)
    assert copying.deepcopy(app) is app


@pytest.mark.parametrize("method", multiprocessing.get_all_start_methods())
def test_process_pools(app: Bundle, x: np.ndarray, method: str) -> None:
    with warnings.catch_warnings():
        # Newer versions of Python warn of a fork where there are threads.
        warnings.simplefilter("ignore", DeprecationWarning)
        context = multiprocessing.get_context(method)
        with ProcessPoolExecutor(2, context) as pool:
            found = list(pool.map(app.encode, [x, x[:1]]))
    for q, images in zip(found, (x, x[:1]), strict=True):
        np.testing.assert_array_equal(q.mean_direction, app.encode(images).mean_direction)


def test_errors_reach_the_process_that_waits_for_them(app: Bundle, copy: Path) -> None:
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as pool:
        with pytest.raises(InputError, match="z has norm 2"):
            pool.submit(app.decode, 2 * app.sample_prior(1, seed=0)).result()
        (copy / "decoder.onnx").unlink()
        with pytest.raises(BundleNotFoundError, match=r"decoder\.onnx is missing"):
            pool.submit(sxvae_runtime.load, copy).result()


@pytest.mark.skipif(not hasattr(os, "fork"), reason="the system has no fork")
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_a_forked_process_may_use_its_parents_bundle(bundle: Path, x: np.ndarray) -> None:
    """As a pool's initializer gets it; also with onnxruntime's threads, which a fork leaves."""
    app = sxvae_runtime.load(bundle, threads=4)
    expected = app.encode(x).mean_direction
    child = os.fork()
    if child == 0:
        os._exit(0 if np.array_equal(app.encode(x).mean_direction, expected) else 1)
    assert os.waitpid(child, 0) == (child, 0)


def test_threads_share_a_bundle_and_its_copies(app: Bundle, x: np.ndarray) -> None:
    expected = app.encode(x[:1]).mean_direction
    with ThreadPoolExecutor(4) as pool:
        for q in pool.map(lambda _: copying.copy(app).encode(x[:1]), range(40)):
            np.testing.assert_array_equal(q.mean_direction, expected)
