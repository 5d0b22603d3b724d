from __future__ import annotations

import json
import re

import pytest

from sxvae_runtime.json_values import JsonProblemError, parse_json, parse_object


def test_json_is_read_as_usual() -> None:
    text = '{"a": [1, 2.5, "é", null, true], "b": {"a": -0.0}}'
    assert parse_json(text) == json.loads(text)
    assert parse_json(text.encode()) == json.loads(text)
    assert parse_json(text.encode("utf-8-sig")) == json.loads(text)
    assert parse_json("[" * 32 + "]" * 32) == json.loads("[" * 32 + "]" * 32)
    assert parse_json("3") == 3
    with pytest.raises(JsonProblemError, match=r"^it is no JSON object$"):
        parse_object("[]")


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "it is not JSON in UTF-8"),
        ("{", "it is not JSON in UTF-8"),
        (b"\xff", "it is not JSON in UTF-8"),
        ("{}".encode("utf-16"), "it is text in UTF-16: save it as UTF-8"),
        ('{"a": 1, "b": {"c": 1, "c": 1}}', "it has the key c twice"),
        ('{"a": 1, "\\u0061": 1}', "it has the key a twice"),
        ("[NaN]", "[0] is nan, not a finite number"),
        ('{"a": [1, -Infinity]}', "a[1] is -inf, not a finite number"),
        ("NaN", "it is nan, not a finite number"),
        ("[1e999]", "[0] is inf, not a finite number"),
        ("[" * 100_000, "it is nested more than 32 levels deep"),
        ("[" * 33 + "]" * 33, "it is nested more than 32 levels deep"),
        ('{"a":' * 100_000, "it is nested more than 32 levels deep"),
        ("9" * 10_000, "it has a whole number of 10,000 digits"),
    ],
)
def test_what_json_does_not_have_is_refused(text: str | bytes, reason: str) -> None:
    with pytest.raises(JsonProblemError, match=f"^{re.escape(reason)}"):
        parse_json(text)
