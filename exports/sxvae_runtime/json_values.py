"""JSON from somebody else, read by type: each problem names its key. Standard library only."""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Iterable, Iterator
from typing import Any

from sxvae_runtime.text import shown

# Ours have 5 levels. The limit keeps whatever walks through the values from running out of stack.
_DEEPEST = 32
_MOST_DIGITS = 100
_LONGEST_NAME = 40


class JsonProblemError(ValueError):
    """What is wrong with a document, as in "factors[0].dim is 4.9, not a whole number"."""


class MissingKeyError(JsonProblemError):
    """A key that is not there."""


class RepeatedKeyError(JsonProblemError):
    """A key that an object has twice, so that two readers may take different values.

    Attributes:
        key: its name.
    """

    def __init__(self, key: str) -> None:
        super().__init__(f"it has the key {_joined('', key)} twice")
        self.key = key


def parse_json(content: str | bytes) -> Any:  # noqa: ANN401 (what JSON has)
    """What a document holds; bytes are UTF-8, with or without a byte-order mark.

    Raises:
        JsonProblemError: if it is no JSON, has a key twice, a number that is not finite or has
            very many digits, or is nested too deeply.

    Example:
        >>> parse_json('{"a": [1, null]}')
        {'a': [1, None]}
        >>> parse_json('{"a": 1, "a": 2}')
        Traceback (most recent call last):
        sxvae_runtime.json_values.RepeatedKeyError: it has the key a twice
    """
    try:
        text = content if isinstance(content, str) else _decoded(content)
        document = json.loads(text, object_pairs_hook=_object, parse_int=_integer)
    except JsonProblemError:
        raise
    except RecursionError:
        raise JsonProblemError(f"it is nested more than {_DEEPEST} levels deep") from None
    except ValueError as error:
        raise JsonProblemError(f"it is not JSON in UTF-8 ({error})") from error
    _check_values(document)
    return document


def parse_object(content: str | bytes) -> dict[str, Any]:
    """The object that a document is.

    Raises:
        JsonProblemError: if it is none, or `parse_json` refuses it.
    """
    document = parse_json(content)
    if not isinstance(document, dict):
        raise JsonProblemError("it is no JSON object")
    return document


class Value:
    """A value of a document, and the key under which it stands there.

    Args:
        content: as `json` gives it.
        parent: the object or list that holds it; None for the document itself.
        name: its name or index there.
    """

    __slots__ = ("_name", "_parent", "content")

    def __init__(self, content: Any, parent: Value | None = None, name: str | int = "") -> None:  # noqa: ANN401 (what JSON has)
        self.content = content
        self._parent = parent
        self._name = name

    @property
    def key(self) -> str:
        """Its key in the document, such as "graphs.encoder.inputs[0]"."""
        if self._parent is None:
            return ""
        outer, name = self._parent.key, self._name
        return f"{outer}[{name}]" if isinstance(name, int) else _joined(outer, name)

    def problem(self, expected: str) -> JsonProblemError:
        """An error that says what stands there and what is expected."""
        return JsonProblemError(f"{self.key} is {shown(self.content)}, not {expected}")

    def __getitem__(self, name: str) -> Value:
        """An entry of an object.

        Raises:
            JsonProblemError: if this is no object, or has no such entry.
        """
        found = self.get(name)
        if found is None:
            raise MissingKeyError(f"it has no {_joined(self.key, name)}")
        return found

    def get(self, name: str) -> Value | None:
        """An entry of an object, or None if there is no such entry or it is null.

        Raises:
            JsonProblemError: if this is no object.
        """
        content = self.object().get(name)
        return None if content is None else Value(content, self, name)

    def object(self) -> dict[str, Any]:
        """This as an object."""
        if not isinstance(self.content, dict):
            raise self.problem("an object")
        return self.content

    def entries(self, most: int) -> list[Value]:
        """The entries of a list of 1 to `most`."""
        if not isinstance(self.content, list) or not 1 <= len(self.content) <= most:
            raise self.problem(f"a list of 1 to {most} entries")
        return self.values()

    def values(self) -> list[Value]:
        """The entries of a list of any length."""
        if not isinstance(self.content, list):
            raise self.problem("a list")
        return [Value(entry, self, i) for i, entry in enumerate(self.content)]

    def integer(self, least: int, most: int) -> int:
        """This as a whole number in a range; true is none, nor is 4.0."""
        if type(self.content) is not int or not least <= self.content <= most:
            raise self.problem(f"a whole number from {least} to {most}")
        return self.content

    def text(self) -> str:
        """This as text."""
        if not isinstance(self.content, str):
            raise self.problem("a text")
        return self.content

    def one_of(self, *choices: str) -> str:
        """This as one of these texts."""
        if self.content not in choices:
            raise self.problem(" or ".join(map(repr, choices)))
        return str(self.content)


def _decoded(content: bytes) -> str:
    encoding = json.detect_encoding(content)
    if not encoding.startswith("utf-8"):
        raise JsonProblemError(f"it is text in {encoding.upper()}: save it as UTF-8")
    # A byte-order mark is no part of JSON, but some editors write one.
    return content.decode("utf-8-sig")


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """An object from its entries.

    Raises:
        RepeatedKeyError: if a key is there twice.
    """
    found = dict(pairs)
    if len(found) < len(pairs):
        ((name, _),) = Counter(name for name, _ in pairs).most_common(1)
        raise RepeatedKeyError(name)
    return found


def _integer(digits: str) -> int:
    """A whole number from its digits, whose conversion takes quadratic time.

    Raises:
        JsonProblemError: if there are very many.
    """
    if len(digits) > _MOST_DIGITS:
        raise JsonProblemError(f"it has a whole number of {len(digits):,} digits")
    return int(digits)


def _check_values(document: Any) -> None:  # noqa: ANN401 (what JSON has)
    """Refuse deep nesting and numbers that are not finite, level by level."""
    level: list[Any] = [[document]]
    for _ in range(_DEEPEST + 1):
        level = [entry for value in level for entry in _entries(value)]
        if not level:
            return
        if not all(math.isfinite(entry) for entry in level if isinstance(entry, float)):
            key, value = next(_infinite(document, "", _DEEPEST))
            raise JsonProblemError(f"{key or 'it'} is {value}, not a finite number")
    raise JsonProblemError(f"it is nested more than {_DEEPEST} levels deep")


def _entries(value: Any) -> Iterable[Any]:  # noqa: ANN401 (what JSON has)
    if isinstance(value, dict):
        return value.values()
    return value if isinstance(value, list) else ()


def _infinite(value: Any, key: str, levels: int) -> Iterator[tuple[str, float]]:  # noqa: ANN401
    """The numbers that are not finite, and their keys; there are few, so this may be slow."""
    if isinstance(value, float) and not math.isfinite(value):
        yield key, value
    elif isinstance(value, dict) and levels:
        for name, entry in value.items():
            yield from _infinite(entry, _joined(key, name), levels - 1)
    elif isinstance(value, list) and levels:
        for i, entry in enumerate(value):
            yield from _infinite(entry, f"{key}[{i}]", levels - 1)


def _joined(key: str, name: str) -> str:
    plain = len(name) <= _LONGEST_NAME and name.isascii() and name.isidentifier()
    part = name if plain else shown(name)
    return f"{key}.{part}" if key else part
