"""Text from files, made safe to show: it must not move a terminal's cursor or reverse a line."""

from __future__ import annotations

import re
import reprlib
import unicodedata
from typing import Any

# Control characters (C0, C1), invisible format characters such as bidirectional overrides, lone
# surrogates, and the separators of lines and paragraphs.
_UNSAFE = frozenset(("Cc", "Cf", "Cs", "Zl", "Zp"))
# Persian, Indic scripts and emoji join characters with these.
_JOINERS = frozenset("\u200c\u200d")

# What has none of these needs no look at each character.
_NOT_ASCII_TEXT = re.compile(r"[^ -~]")

_LONGEST = 60
_values = reprlib.Repr()
_values.maxstring = _values.maxother = _values.maxlong = _LONGEST
_values.maxlevel = 2


def printable(text: str) -> str:
    r"""The text with every character that can steer a terminal written as an escape, on one line.

    Letters of all scripts, accents, emoji and spaces of any width stay. Line breaks and tabs are
    escaped as well.

    Example:
        >>> printable("a\x1b]0;title\x07b")
        'a\\x1b]0;title\\x07b'
        >>> printable("Übung 球面")
        'Übung 球面'
    """
    return _NOT_ASCII_TEXT.sub(lambda found: _printable_character(found[0]), text)


def shown(value: Any) -> str:  # noqa: ANN401 (anything that JSON has)
    """A value of a file as a message shows it: as Python writes it, printable and cut if long."""
    return printable(_values.repr(value))


def _printable_character(character: str) -> str:
    if unicodedata.category(character) in _UNSAFE and character not in _JOINERS:
        return character.encode("unicode_escape", "surrogatepass").decode("ascii")
    return character
