from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save

from sxvae_runtime.safetensors_header import check_header
from sxvae_runtime.strict_json import parse_json


def test_json_is_read_as_usual() -> None:
    text = '{"a": [1, 2.5, "é", null, true], "b": {"a": -0.0}}'
    assert parse_json(text) == json.loads(text)
    assert parse_json(text.encode()) == json.loads(text)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "is not JSON"),
        ("{", "is not JSON"),
        (b"\xff", "is not JSON"),
        ('{"a": 1, "b": {"c": 1, "c": 1}}', "has the key 'c' twice"),
        ('{"a": 1, "\\u0061": 1}', "has the key 'a' twice"),
        ("[NaN]", "holds NaN, which is no number"),
        ("[-Infinity]", "holds -Infinity, which is no number"),
        ("[1e999]", "holds 1e999, which is too large a number"),
        ("[" * 100_000, "is nested too deeply"),
        ('{"a":' * 100_000, "is nested too deeply"),
        ("9" * 10_000, "has a number of too many digits"),
    ],
)
def test_what_json_does_not_have_is_refused(text: str | bytes, reason: str) -> None:
    with pytest.raises(ValueError, match=f"^{reason}$"):
        parse_json(text)


def test_a_file_that_names_a_tensor_twice_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "x.safetensors"
    content = save({"a": np.zeros(1), "b": np.ones(1)})
    path.write_bytes(content)
    check_header(path)
    path.write_bytes(content.replace(b'"b":', b'"a":'))
    with pytest.raises(ValueError, match=r"^its header has the key 'a' twice$"):
        check_header(path)


def test_headers_of_other_files_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "x.safetensors"
    for content, reason in (
        (b"", "its header is not JSON"),
        (b"\xff" * 20, "its header is too long"),
        (b"\x02" + b"\0" * 7 + b"[]", "its header holds no named values"),
    ):
        path.write_bytes(content)
        with pytest.raises(ValueError, match=f"^{reason}$"):
            check_header(path)
