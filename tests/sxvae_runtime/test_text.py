from __future__ import annotations

import sys

import pytest

from sxvae_runtime.text import printable, shown

# Accents, joined emoji, scripts with joiners, and wide and no-break spaces.
_UNCHANGED = "Übung e\u0301 球面 👩\u200d👩\u200d👧 \u0645\u06cc\u200c\u062e \u3000\u00a0"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", ""),
        (_UNCHANGED, _UNCHANGED),
        ("S^4 x S^4 [bold] ~ \\", "S^4 x S^4 [bold] ~ \\"),
        ("\x1b]0;title\x07\x1b[31mred", r"\x1b]0;title\x07\x1b[31mred"),
        ("a\nb\tc\rd\0", r"a\nb\tc\rd\x00"),
        ("\x7f\x9b31m\x85", r"\x7f\x9b31m\x85"),
        ("abc\u202egnp.exe\u2066\ufeff", r"abc\u202egnp.exe\u2066\ufeff"),
        ("\u2028\u2029\udcff\U000e0041", r"\u2028\u2029\udcff\U000e0041"),
    ],
)
def test_text_can_be_printed(text: str, expected: str) -> None:
    assert printable(text) == expected


def test_nothing_that_steers_a_terminal_passes() -> None:
    everything = printable("".join(map(chr, range(sys.maxunicode + 1))))
    everything.encode("utf-8")
    controls = "\0\a\b\t\n\r\x1b\x7f\x80\x9b\x9d\x9f\u202a\u202e\u2066\u2069"
    assert not set(everything) & set(controls)
    assert everything.splitlines() == [everything]


def test_long_values_are_cut() -> None:
    for value in ("a" * 10**6, 10**4000, [[["a"] * 1000] * 1000] * 1000, {"\x1b" * 10**5: 1}):
        assert len(shown(value)) < 500
        assert shown(value).isprintable()
    assert shown("a\x1b") == r"'a\x1b'"
    assert shown(True) == "True"
