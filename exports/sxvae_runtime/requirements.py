"""What a value must be, in plain words, by the kind of complaint that pydantic has about it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

_WHOLE_NUMBER = ("int_type", "int_parsing", "int_parsing_size", "int_from_float")
_REQUIREMENTS: tuple[tuple[tuple[str, ...], Callable[[Mapping[str, Any]], str]], ...] = (
    (_WHOLE_NUMBER, lambda _: "must be a whole number"),
    (("float_type", "float_parsing"), lambda _: "must be a number"),
    (("finite_number",), lambda _: "must be a finite number"),
    (("bool_type", "bool_parsing"), lambda _: "must be true or false"),
    (("string_type",), lambda _: "must be a text"),
    (("string_unicode",), lambda _: "must be a text in UTF-8"),
    (("tuple_type", "list_type"), lambda _: "must be a list"),
    (("dict_type",), lambda _: "must be named values"),
    (("none_required",), lambda _: "must be null"),
    (("literal_error", "enum"), lambda limits: f"must be {limits['expected']}"),
    (("greater_than",), lambda limits: f"must be above {limits['gt']}"),
    (("greater_than_equal",), lambda limits: f"must be at least {limits['ge']}"),
    (("less_than",), lambda limits: f"must be below {limits['lt']:,}"),
    (("less_than_equal",), lambda limits: f"must be at most {limits['le']:,}"),
    (("too_long",), lambda limits: f"must have at most {limits['max_length']} entries"),
    (("string_too_long",), lambda limits: f"must have at most {limits['max_length']} characters"),
)


def requirement(complaint: Mapping[str, Any]) -> str | None:
    """What the value must be; None for a kind of complaint that has no words of ours.

    Args:
        complaint: one of those that a ValidationError lists.
    """
    for kinds, sentence in _REQUIREMENTS:
        if complaint["type"] in kinds:
            return sentence(complaint.get("ctx", {}))
    return None
