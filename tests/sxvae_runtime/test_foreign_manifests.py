"""Manifests from somebody else, signed again: each is refused in a sentence that names the key."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import sxvae_runtime
from sxvae_runtime import BundleError
from sxvae_runtime.bundle_files import is_bundle, read_manifest
from sxvae_runtime.manifest import digest

Change = Callable[[dict[str, Any]], object]
Rewrite = Callable[[Path, Change], None]


def _deep(levels: int) -> list[Any]:
    nested: list[Any] = []
    for _ in range(levels):
        nested = [nested]
    return nested


def _port(manifest: dict[str, Any], index: int = 0) -> dict[str, Any]:
    port: dict[str, Any] = manifest["graphs"]["encoder"]["outputs"][index]
    return port


CHANGES: list[tuple[Change, str]] = [
    (lambda m: m["factors"][0].update(dim=4.9), r"factors\[0\]\.dim is 4\.9, not a whole number"),
    (lambda m: m["factors"][0].update(dim=4.0), r"factors\[0\]\.dim is 4\.0, not a whole number"),
    (lambda m: m["factors"][0].update(dim="4"), r"factors\[0\]\.dim is '4', not a whole number"),
    (lambda m: m["factors"][1].update(dim=True), r"factors\[1\]\.dim is True, not a whole number"),
    (lambda m: m["factors"][1].update(dim=-2), r"factors\[1\]\.dim is -2"),
    (lambda m: m["factors"][1].update(dim=10**30), r"factors\[1\]\.dim is 1000.*000, not a whole"),
    (lambda m: m["factors"][1].update(dim=10**90), r"factors\[1\]\.dim is 1000.*000, not a whole"),
    (lambda m: m["factors"][1].update(dim=float("inf")), r"factors\[1\]\.dim is inf"),
    (lambda m: m["factors"][1].update(offset=float("nan")), r"factors\[1\]\.offset is nan"),
    (lambda m: m["factors"][0].update(family=3), r"factors\[0\]\.family is 3, not a text"),
    (lambda m: m["factors"][0].update(family="a\x1b[2J"), r"family 'a\\x1b\[2J' is not known"),
    (lambda m: m["factors"][0].update(covariance="full"), r"covariance is 'full', not left out"),
    (lambda m: m["factors"][0].update(offset=1), "do not lie side by side"),
    (lambda m: m["factors"][1].update(offset=4), "do not lie side by side"),
    (lambda m: m["factors"][1].update(ambient=4), "do not lie side by side"),
    (lambda m: m["factors"][1].update(dim=2**26, ambient=2**26 + 1), r"factors\[1\]\.ambient is"),
    (lambda m: m.update(factors=[]), "factors is .*, not a list of 1 to"),
    (lambda m: m.update(factors={}), "factors is .*, not a list of 1 to"),
    (lambda m: m.update(factors=None), "it has no factors"),
    (lambda m: m["factors"].append(3), r"factors\[3\] is 3, not an object"),
    (lambda m: m.update(format_version=True), "format_version is True, not a whole number"),
    (lambda m: m.update(format_version=-1), "format_version is -1, not a whole number"),
    (lambda m: m.update(format_version=0), "format_version is 0, not a whole number"),
    (lambda m: m.update(format_version=1.0), r"format_version is 1\.0, not a whole number"),
    (lambda m: m.update(format_version="1"), "format_version is '1', not a whole number"),
    (lambda m: m["graphs"].update(other=m["graphs"]["encoder"]), r"graphs\.other is no graph that"),
    (lambda m: m["graphs"].update({"\x07": {}}), r"graphs\.'\\x07' is no graph that a bundle has"),
    (lambda m: m.update(graphs=[]), r"graphs is \[\], not an object"),
    (lambda m: m["graphs"].update(encoder=None), "it has no graphs.encoder"),
    (lambda m: m["graphs"]["encoder"].update(inputs=[]), r"encoder\.inputs is \[\], not a list"),
    (lambda m: m["graphs"]["encoder"].pop("inputs"), r"it has no graphs\.encoder\.inputs"),
    (lambda m: m["graphs"]["encoder"]["inputs"].clear(), r"encoder\.inputs is \[\], not a list"),
    (
        lambda m: m["graphs"]["encoder"]["outputs"].append(_port(m)),
        r"outputs\[2\]\.name is 'mean_direction', which is there twice",
    ),
    (lambda m: _port(m).update(name=1), r"outputs\[0\]\.name is 1, not a text"),
    (
        lambda m: _port(m).update(dtype="float16"),
        r"outputs\[0\]\.dtype is 'float16', not 'float32'",
    ),
    (lambda m: _port(m).update(shape="batch"), r"outputs\[0\]\.shape is 'batch', not a list"),
    (lambda m: _port(m).update(shape=["batch", 13.0]), r"shape\[1\] is 13\.0, not a whole number"),
    (lambda m: _port(m).update(shape=["batch", True]), r"shape\[1\] is True, not a whole number"),
    (lambda m: _port(m).update(shape=["n", 13]), r"encoder\.onnx does not fit the manifest's fact"),
    (lambda m: _port(m).update(shape=["batch", "13"]), r"encoder\.onnx does not fit the manifest"),
    (lambda m: m["golden"].update(file="x" * 300), "golden.file is 'xxx.*xxx', not golden.safet"),
    (lambda m: m["golden"].update(file="a/b"), "golden.file is 'a/b', not golden.safetensors: a"),
    (lambda m: m["golden"].update(file="\0"), r"golden.file is '\\x00', not golden.safetensors"),
    (
        lambda m: m["golden"].update(file="encoder.onnx"),
        "golden.file is 'encoder.onnx', not golden",
    ),
    (lambda m: m["golden"].update(file=["a"]), r"golden.file is \['a'\], not a text"),
    (lambda m: m["golden"].update(sha256="0" * 63), "golden.sha256 is '000.*', not a SHA-256"),
    (lambda m: m["golden"].update(sha256=0), "golden.sha256 is 0, not a text"),
    (lambda m: m.update(golden="golden.safetensors"), "golden is 'golden.*', not an object"),
    (
        lambda m: m["graphs"]["encoder"].update(file="/etc/passwd"),
        r"graphs\.encoder\.file is '/etc/passwd', not encoder\.onnx or decoder\.onnx",
    ),
    (
        lambda m: m["graphs"]["encoder"].update(file="decoder.onnx"),
        r"\.sha256 is '.*', not what another entry says of the same file",
    ),
    (lambda m: m.update(input_shape=[1, 8]), r"input_shape is \[1, 8\], not the \(C, H, W\)"),
    (lambda m: m.update(input_shape=[1, 8, 0]), r"input_shape\[2\] is 0, not a whole number"),
    (lambda m: m.update(input_shape=[1, 8, 8.0]), r"input_shape\[2\] is 8\.0, not a whole number"),
    (lambda m: m.update(input_shape=[2**13, 2**13, 2]), "of images of up to 67,108,864 numbers"),
    (lambda m: m.update(likelihood=3), "likelihood is 3, not a text"),
    (lambda m: m.update(provenance=[]), r"provenance is \[\], not an object"),
    (lambda m: m["provenance"].update(epoch=float("nan")), r"provenance\.epoch is nan, not a fin"),
    (lambda m: m.update(later=_deep(40)), "nested more than 32 levels deep"),
    (lambda m: m.update(later=10**200), "a whole number of 201 digits"),
]


@pytest.mark.parametrize(("change", "message"), CHANGES, ids=[message for _, message in CHANGES])
def test_each_value_is_read_by_its_type(
    copy: Path, rewrite: Rewrite, change: Change, message: str
) -> None:
    rewrite(copy, change)
    with pytest.raises(BundleError, match=message) as refusal:
        sxvae_runtime.load(copy)
    sentence = str(refusal.value)
    assert sentence.isprintable()
    assert len(sentence) < len(str(copy)) + 400
    with pytest.raises(BundleError, match=message):
        read_manifest(copy)  # what `inspect` shows


@pytest.mark.parametrize(
    ("covariance", "message"),
    [
        (None, r"incomplete: it has no factors\[1\]\.covariance"),
        (True, r"factors\[1\]\.covariance is True, not a text"),
        ("Full", r"factors\[1\]\.covariance: the covariance 'Full' is not known; install a newer"),
    ],
)
def test_a_normal_factor_has_a_covariance(
    fixtures: Path, tmp_path: Path, rewrite: Rewrite, covariance: object, message: str
) -> None:
    copy = Path(shutil.copytree(fixtures / "bundle_v1_single", tmp_path / "bundle"))
    rewrite(copy, lambda manifest: manifest["factors"][1].update(covariance=covariance))
    with pytest.raises(BundleError, match=message):
        sxvae_runtime.load(copy)


@pytest.mark.parametrize(
    ("edit", "message"),
    [
        (lambda text: text.encode("utf-16"), "it is text in UTF-16: save it as UTF-8"),
        (lambda text: text.encode("utf-16-le"), "it is text in UTF-16-LE: save it as UTF-8"),
        (lambda text: text.encode("utf-32"), "it is text in UTF-32: save it as UTF-8"),
        (lambda text: text.encode().replace(b"digits", b"\xe9"), "it is not JSON in UTF-8"),
        (lambda text: text.encode()[:-3], "it is not JSON in UTF-8"),
        (lambda text: b"", "it is not JSON in UTF-8"),
        (lambda text: b"null", "it is no JSON object"),
        (lambda text: b"[" * 10**6, "nested more than 32 levels deep"),
        (lambda text: b'{"a":' * 10**5, "nested more than 32 levels deep"),
        (lambda text: text.encode().replace(b'"dim": 4', b'"dim": 1e400', 1), r"dim is inf"),
        (
            lambda text: text.encode().replace(b'"dim": 4', b'"dim": 2, "dim": 4', 1),
            "it has the key dim twice",
        ),
        (
            lambda text: text.encode().replace(b'"dim": 4', b'"di\\u006d": 2, "dim": 4', 1),
            "it has the key dim twice",
        ),
        (
            lambda text: text.encode().replace(b'"dim": 4', b'"dim": ' + b"9" * 10**5, 1),
            "it has a whole number of 100,000 digits",
        ),
    ],
)
def test_text_that_is_no_manifest(copy: Path, edit: Callable[[str], bytes], message: str) -> None:
    path = copy / "manifest.json"
    path.write_bytes(edit(path.read_text()))
    with pytest.raises(BundleError, match=message):
        sxvae_runtime.load(copy)


def test_a_byte_order_mark_is_no_damage(copy: Path) -> None:
    path = copy / "manifest.json"
    path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes())
    assert is_bundle(copy)
    app = sxvae_runtime.load(copy)
    assert app.verify() < 1e-4
    assert app.files()["manifest.json"] == path.read_bytes()


def test_a_huge_manifest_is_not_read(copy: Path) -> None:
    path = copy / "manifest.json"
    with path.open("r+b") as file:
        file.truncate(2**30)  # which takes no space
    with pytest.raises(BundleError, match=r"manifest\.json has 1,073,741,824 bytes, more than the"):
        sxvae_runtime.load(copy)
    assert not is_bundle(copy)


def test_many_keys_are_read_in_no_time(copy: Path) -> None:
    """Refusals must not take quadratic time either."""
    content = json.loads((copy / "manifest.json").read_text())
    content["later"] = {f"k{i}": i for i in range(20_000)}
    content["sha256"] = digest(content)
    text = json.dumps(content)
    (copy / "manifest.json").write_text(text)
    assert read_manifest(copy).content["later"]["k19999"] == 19999
    (copy / "manifest.json").write_text(text.replace('"k19999"', '"k19998"'))
    with pytest.raises(BundleError, match="it has the key k19998 twice"):
        read_manifest(copy)
