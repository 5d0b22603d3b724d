from __future__ import annotations

import io
import json
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import save

from sxvae_runtime.json_values import JsonProblemError, RepeatedKeyError
from sxvae_runtime.safetensors_header import Entry, read_header


def _file(header: Any) -> io.BytesIO:
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return io.BytesIO(len(text).to_bytes(8, "little") + text)


def test_types_shapes_and_places_are_read() -> None:
    content = save({"a": np.zeros((2, 3), np.float32), "b": np.arange(4)}, {"x": "y"})
    entries = read_header(io.BytesIO(content))
    assert {name: entry[:2] for name, entry in entries.items()} == {
        "a": ("F32", (2, 3)),
        "b": ("I64", (4,)),
    }
    start, size = entries["b"].start, entries["b"].size
    np.testing.assert_array_equal(np.frombuffer(content[start : start + size], "<i8"), np.arange(4))


def test_a_name_that_is_there_twice_is_refused() -> None:
    content = save({"a": np.zeros(1), "b": np.ones(1)})
    with pytest.raises(RepeatedKeyError, match=r"^it has the key a twice$") as caught:
        read_header(io.BytesIO(content.replace(b'"b":', b'"a":')))
    assert caught.value.key == "a"


@pytest.mark.parametrize(
    ("header", "reason"),
    [
        (b"", "it is not JSON"),
        ([], "it is no JSON object"),
        ({"a": 1}, "a is 1, not an object"),
        ({"a": {}}, "it has no a.data_offsets"),
        ({"a": {"data_offsets": [0]}}, "a.data_offsets is [0], not a list of 2 entries"),
        ({"a": {"data_offsets": [0, 2**63]}}, "a.data_offsets[1] is 9223372036854775808, not a"),
        ({"a": {"data_offsets": [0, 4], "shape": [1.5]}}, "a.shape[0] is 1.5, not a whole number"),
        ({"a": {"data_offsets": [0, 4], "shape": [1], "dtype": 3}}, "a.dtype is 3, not a text"),
    ],
)
def test_headers_of_other_files_are_refused(header: Any, reason: str) -> None:
    with pytest.raises(JsonProblemError) as caught:
        read_header(_file(header))
    assert str(caught.value).startswith(reason)


def test_a_long_header_is_not_read() -> None:
    with pytest.raises(JsonProblemError, match=r"^its header has 18,446,744,073,709,551,615 bytes"):
        read_header(io.BytesIO(b"\xff" * 20))
    file = _file({"a": {"data_offsets": [0, 4], "shape": [1], "dtype": "F32"}})
    with pytest.raises(JsonProblemError, match="more than the 10 that are read"):
        read_header(file, longest=10)
    file.seek(0)
    assert read_header(file) == {"a": Entry("F32", (1,), len(file.getvalue()), 4)}
