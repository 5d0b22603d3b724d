"""Options that go through to onnxruntime, for every session of a bundle."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest

import sxvae_runtime
from sxvae_runtime import InputError
from sxvae_runtime.serving.models import models_of


@pytest.fixture
def opened(monkeypatch: pytest.MonkeyPatch) -> list[tuple[Any, Any]]:
    """The options and providers of each session that is opened."""
    calls: list[tuple[Any, Any]] = []

    class Session(onnxruntime.InferenceSession):  # type: ignore[misc]  # untyped
        def __init__(self, model: bytes, options: Any, providers: Any) -> None:
            calls.append((options, providers))
            super().__init__(model, options, providers=providers)

    monkeypatch.setattr(onnxruntime, "InferenceSession", Session)
    return calls


def test_options_and_providers_reach_every_session(
    fixtures: Path, opened: list[tuple[Any, Any]]
) -> None:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 2
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    providers = [("CPUExecutionProvider", {"use_arena": "0"})]
    bundle = fixtures / "bundle_v1_sampler"
    app = sxvae_runtime.load(bundle, session_options=options, providers=providers)
    assert app.verify() < 1e-4  # opens the sampler's
    app.open_session("sampler")
    models_of(app)  # opens the server's
    assert len(opened) == 5
    assert all(given is options and chosen == providers for given, chosen in opened)


def test_an_option_has_its_effect(bundle: Path, tmp_path: Path, x: np.ndarray) -> None:
    options = onnxruntime.SessionOptions()
    options.enable_profiling = True
    options.profile_file_prefix = str(tmp_path / "profile")
    app = sxvae_runtime.load(bundle, session_options=options)
    plain = sxvae_runtime.load(bundle)
    np.testing.assert_array_equal(app.encode(x).mean_direction, plain.encode(x).mean_direction)
    assert list(tmp_path.glob("profile*.json"))


@pytest.mark.parametrize(("threads", "expected"), [(None, 1), (0, 0), (3, 3)])
def test_threads_alone_make_the_options(
    bundle: Path, opened: list[tuple[Any, Any]], threads: int | None, expected: int
) -> None:
    sxvae_runtime.load(bundle, threads=threads)
    assert {options.intra_op_num_threads for options, _ in opened} == {expected}


def test_threads_and_options_together_are_refused(bundle: Path) -> None:
    with pytest.raises(InputError, match="session_options or threads, not both"):
        sxvae_runtime.load(bundle, session_options=onnxruntime.SessionOptions(), threads=1)


def test_a_session_of_a_graph_that_is_not_there_is_refused(app: sxvae_runtime.Bundle) -> None:
    with pytest.raises(InputError, match="has no graph 'sampler'; it has decoder, encoder"):
        app.open_session("sampler")


@pytest.mark.parametrize("builds", [("onnxruntime",), ("onnxruntime", "onnxruntime-gpu")])
def test_a_missing_provider_tells_of_two_builds(
    bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, builds: tuple[str, ...]
) -> None:
    """If two builds of onnxruntime are installed, one has overwritten the other's files."""
    monkeypatch.setattr("sys.path", [str(tmp_path)])
    for build in builds:
        folder = tmp_path / f"{build.replace('-', '_')}-1.0.dist-info"
        folder.mkdir()
        (folder / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {build}\nVersion: 1.0\n")
    with pytest.raises(InputError, match="no provider 'CUDA") as refusal:
        sxvae_runtime.load(bundle, providers=["CUDAExecutionProvider"])
    said = "onnxruntime and onnxruntime-gpu are both installed" in str(refusal.value)
    assert said == (len(builds) == 2)


def test_onnxruntime_sends_nothing_and_leaves_nothing(fixtures: Path, tmp_path: Path) -> None:
    """Builds with telemetry keep an identifier and their events in the user's cache folder."""
    code = "import sys, sxvae_runtime; sxvae_runtime.load(sys.argv[1]).verify()"
    unset = {name: value for name, value in os.environ.items() if name != "ORT_DISABLE_TELEMETRY"}
    subprocess.run(
        [sys.executable, "-c", code, fixtures / "bundle_v1"],
        env=unset | {"XDG_CACHE_HOME": str(tmp_path), "HOME": str(tmp_path)},
        check=True,
    )
    assert list(tmp_path.iterdir()) == []
