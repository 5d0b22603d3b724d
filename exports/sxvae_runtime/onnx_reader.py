"""Read the structure of an ONNX file, to refuse what onnxruntime would reach beyond the file for.

A graph may name other files from which onnxruntime takes weights ("external data"), even addresses
in memory, and operators of other libraries. ONNX files are protocol buffers: messages of numbered
fields, each with a wire type that tells its length. The tables below have the fields that a graph
needs (onnx.proto of ONNX 1.20). Any other is refused, so that what later versions add can't slip
through. What values mean is left to onnxruntime.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

from sxvae_runtime.text import shown

# Wire types.
_NUMBER, _EIGHT_BYTES, _DELIMITED, _FOUR_BYTES = 0, 1, 2, 5

# In bytes: the longest tag of a field that is known, length (of 32 bits) and number (of 64 bits).
_TAG, _LENGTH, _LONG = 2, 5, 10

# Messages within messages: a branch of a branch takes three levels more.
_DEEPEST = 32

# The standard's operators. All of them compute from their inputs and nothing else.
_DOMAINS = (b"", b"ai.onnx")


class UnfitGraphError(ValueError):
    """What is wrong with a graph; the message goes on after the name of its file."""


def check_graph(content: bytes) -> None:
    """Refuse a graph that is more than standard operators and the numbers in the same file.

    Args:
        content: the file.

    Raises:
        UnfitGraphError: if there are external data, functions or training steps of its own, other
            operators or fields that are not known here, or the file is no ONNX.
    """
    if content[4:8] == b"ORTM":  # which onnxruntime recognises by this, and reads instead
        raise UnfitGraphError("is in onnxruntime's own format and not in ONNX")
    try:
        _read(content, 0, len(content), _MODEL, _DEEPEST)
    except IndexError:
        raise UnfitGraphError("is no whole ONNX file") from None


@dataclass(frozen=True, slots=True)
class _Message:
    """A kind of message.

    Attributes:
        name: for errors.
        fields: from a field's tag, which is 8 times its number plus its wire type, to the kind of
            message in it, to a check of its value, or to None if its value does not matter.
    """

    name: str
    fields: dict[int, _Message | Callable[[Any], None] | None] = field(default_factory=dict)

    def add(self, kind: _Message | Callable[[Any], None] | None, *numbers: int) -> None:
        """Fields of text, bytes or messages."""
        self.fields.update({number << 3 | _DELIMITED: kind for number in numbers})

    def add_numbers(self, wire: int, numbers: Iterable[int]) -> None:
        """Fields of numbers, alone or many in one packet."""
        for number in numbers:
            self.fields[number << 3 | wire] = self.fields[number << 3 | _DELIMITED] = None


def _read(data: bytes, at: int, end: int, message: _Message, levels: int) -> None:
    """Walk through a message, which lies from `at` to `end`; ours have some thousand fields."""
    if levels == 0:
        raise UnfitGraphError("is nested too deeply")
    fields = message.fields
    while at < end:
        tag = data[at]
        at += 1
        if tag >= 0x80:
            tag, at = _number(data, at - 1, _TAG)
        if tag not in fields:
            raise UnfitGraphError(_unknown_field(message, tag >> 3))
        kind, wire = fields[tag], tag & 7
        if wire == _DELIMITED:
            size = data[at]
            at += 1
            if size >= 0x80:
                size, at = _number(data, at - 1, _LENGTH)
            start, at = at, at + size
            if at > end:
                break
            if kind is None:
                continue
            if isinstance(kind, _Message):
                _read(data, start, at, kind, levels - 1)
            else:
                kind(data[start:at])
        elif wire == _NUMBER:
            value = data[at]
            at += 1
            if value >= 0x80:
                value, at = _number(data, at - 1, _LONG)
            if callable(kind):
                kind(value)
        else:
            at += 4 if wire == _FOUR_BYTES else 8
    if at != end:
        raise UnfitGraphError("is no whole ONNX file")


def _number(data: bytes, at: int, longest: int) -> tuple[int, int]:
    """A number in groups of 7 bits, the lowest first, and the index behind it."""
    value = 0
    for i in range(longest):
        byte = data[at + i]
        value |= (byte & 0x7F) << 7 * i
        if byte < 0x80:
            return value, at + i + 1
    raise UnfitGraphError("is no ONNX file, or has fields that no graph needs")


def _check_domain(domain: bytes) -> None:
    if domain not in _DOMAINS:
        name = shown(domain.decode("utf-8", "replace"))
        raise UnfitGraphError(f"needs operators of {name}, and only the standard's are run")


def _check_location(location: int) -> None:
    if location != 0:
        raise UnfitGraphError(_EXTERNAL)


def _unknown_field(message: _Message, number: int) -> str:
    known = _REFUSED.get((message.name, number))
    return known or f"has a {message.name} with a field (number {number}) that no graph needs"


_EXTERNAL = "takes numbers from outside (external data), and a graph has to hold all of its own"
_REFUSED = {
    ("tensor", 13): _EXTERNAL,
    ("model", 20): "holds training steps, which a bundle doesn't need",
    ("model", 25): "holds functions of its own, and only the standard's operators are run",
}

_MODEL, _OPSET, _GRAPH, _NODE = map(_Message, ("model", "set of operators", "graph", "node"))
_ATTRIBUTE, _TENSOR, _SPARSE = map(_Message, ("attribute", "tensor", "sparse tensor"))

_MODEL.add_numbers(_NUMBER, (1, 5))  # version of the format, of the model
_MODEL.add(None, 2, 3, 4, 6, 14)  # producer, its version, domain, description, metadata
_MODEL.add(_GRAPH, 7)
_MODEL.add(_OPSET, 8)
_OPSET.add(_check_domain, 1)
_OPSET.add_numbers(_NUMBER, (2,))  # version
_GRAPH.add(_NODE, 1)
_GRAPH.add(_TENSOR, 5)
_GRAPH.add(_SPARSE, 15)
_GRAPH.add(None, 2, 10, 11, 12, 13, 16)  # name, description, three lists of ports, metadata
_NODE.add(None, 1, 2, 3, 4, 6, 9)  # inputs, outputs, name, operator, description, metadata
_NODE.add(_ATTRIBUTE, 5)
_NODE.add(_check_domain, 7)
_ATTRIBUTE.add(None, 1, 4, 9, 13, 14, 15)  # name, text, texts, description, types
_ATTRIBUTE.add(_TENSOR, 5, 10)
_ATTRIBUTE.add(_GRAPH, 6, 11)
_ATTRIBUTE.add(_SPARSE, 22, 23)
_ATTRIBUTE.add_numbers(_NUMBER, (3, 8, 20))  # integer, integers, the attribute's type
_ATTRIBUTE.add_numbers(_FOUR_BYTES, (2, 7))  # float, floats
_TENSOR.add(None, 6, 8, 9, 12, 16)  # texts, name, all numbers as bytes, description, metadata
_TENSOR.add_numbers(_NUMBER, (1, 2, 5, 7, 11))  # shape, type, three kinds of integers
_TENSOR.add_numbers(_FOUR_BYTES, (4,))  # floats
_TENSOR.add_numbers(_EIGHT_BYTES, (10,))  # doubles
_TENSOR.fields[14 << 3 | _NUMBER] = _check_location
_SPARSE.add(_TENSOR, 1, 2)  # values, indices
_SPARSE.add_numbers(_NUMBER, (3,))  # shape
