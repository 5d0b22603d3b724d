"""Bundles changed at random and signed again: they are the same to the runtime, or refused."""

from __future__ import annotations

import contextlib
import copy
import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from sxvae_runtime import BundleError
from sxvae_runtime.bundle_files import is_bundle, read_bundle
from sxvae_runtime.manifest import Manifest, digest
from sxvae_runtime.onnx_reader import UnfitGraphError, check_graph

STORED = Path(__file__).parents[1] / "sxvae_runtime" / "fixtures" / "bundle_v1_sampler"
MANIFEST = json.loads((STORED / "manifest.json").read_text())
GRAPH = (STORED / "sampler.onnx").read_bytes()

NUMBERS = (
    st.integers(-3, 40)
    | st.sampled_from([2**26, 2**31, 2**63, 10**30, 10**99, -(2**63)])
    | st.floats()
    | st.booleans()
    | st.none()
)
TEXTS = st.text(max_size=8) | st.sampled_from(
    [
        "vmf",
        "normal",
        "full",
        "single",
        "batch",
        "z",
        "x",
        "encoder.onnx",
        "..",
        "a" * 300,
        "\ud800",
    ]
)
VALUES = st.recursive(
    NUMBERS | TEXTS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS, inner, max_size=3),
    max_leaves=4,
)


def _places(value: Any) -> Iterator[tuple[Any, Any]]:
    """Every place in a document: what holds it, and its key or index there."""
    entries = value.items() if isinstance(value, dict) else enumerate(value)
    for key, entry in list(entries):
        yield value, key
        if isinstance(entry, dict | list):
            yield from _places(entry)


@st.composite
def changed_manifests(draw: st.DrawFn) -> dict[str, Any]:
    """The stored manifest with one to three changes."""
    content: dict[str, Any] = copy.deepcopy(MANIFEST)
    for _ in range(draw(st.integers(1, 3))):
        holder, key = draw(st.sampled_from(list(_places(content))))
        change = draw(st.sampled_from(["replace", "remove", "repeat", "add", "exchange"]))
        if change == "replace":
            holder[key] = draw(VALUES)
        elif change == "remove":
            del holder[key]
        elif change == "exchange":
            other, place = draw(st.sampled_from(list(_places(content))))
            value = copy.deepcopy(holder[key])
            holder[key] = copy.deepcopy(other[place])
            other[place] = value
        elif isinstance(holder, list):
            holder.insert(key, holder[key] if change == "repeat" else draw(VALUES))
        else:
            holder[draw(TEXTS)] = holder[key] if change == "repeat" else draw(VALUES)
    return content


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return Path(shutil.copytree(STORED, tmp_path_factory.mktemp("mutated") / "bundle"))


@pytest.fixture(scope="module")
def stored() -> Manifest:
    return read_bundle(STORED)[0]


def _facts(manifest: Manifest) -> tuple[Any, ...]:
    """All that the graphs tell as well. They do not tell which family a sphere's posterior has."""
    factors = [(factor.dim, factor.offset, factor.covariance) for factor in manifest.layout.factors]
    return factors, manifest.input_shape, manifest.golden


def _check(folder: Path, stored: Manifest, content: bytes) -> None:
    (folder / "manifest.json").write_bytes(content)
    is_bundle(folder)
    try:
        manifest, files = read_bundle(folder)
    except BundleError as error:
        refusal = str(error)
    else:
        assert _facts(manifest) == _facts(stored)
        assert {"encoder", "decoder"} <= set(manifest.graphs)
        assert all(graph == stored.graphs[name] for name, graph in manifest.graphs.items())
        assert manifest.hashes.items() <= stored.hashes.items()
        assert files["encoder.onnx"] == (STORED / "encoder.onnx").read_bytes()
        return
    assert refusal.isprintable()
    assert len(refusal) < len(str(folder)) + 500


@settings(max_examples=300, deadline=None, derandomize=True)
@given(content=changed_manifests())
def test_a_changed_manifest_is_the_same_or_refused(
    folder: Path, stored: Manifest, content: dict[str, Any]
) -> None:
    content["sha256"] = digest(content)
    _check(folder, stored, json.dumps(content).encode())


@settings(max_examples=200, deadline=None, derandomize=True)
@given(at=st.integers(0, 10**4), length=st.integers(0, 20), put=st.binary(max_size=6))
def test_changed_bytes_of_a_manifest_are_the_same_or_refused(
    folder: Path, stored: Manifest, at: int, length: int, put: bytes
) -> None:
    content = (STORED / "manifest.json").read_bytes()
    at %= len(content)
    _check(folder, stored, content[:at] + put + content[at + length :])


@settings(
    max_examples=300,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.too_slow],
)
@given(at=st.integers(0, 10**6), length=st.integers(0, 5), put=st.binary(max_size=6))
@example(at=0, length=len(GRAPH), put=b"")
def test_changed_bytes_of_a_graph_are_read_or_refused(at: int, length: int, put: bytes) -> None:
    at %= len(GRAPH)
    with contextlib.suppress(UnfitGraphError):  # and no other error
        check_graph(GRAPH[:at] + put + GRAPH[at + length :])
