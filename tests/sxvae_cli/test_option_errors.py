"""Every wrong value of every option is one sentence that names both, and where to read more."""

from __future__ import annotations

import functools
import importlib
import shlex
from collections.abc import Callable, Iterator
from types import NoneType
from typing import Any, Literal, get_args, get_origin, get_type_hints

import pytest

from sxvae_cli import lazy, setting_options
from sxvae_cli.app import run as run_app
from sxvae_cli.commands.plot import app as plot
from sxvae_cli.lazy import COMMANDS

Said = Callable[..., tuple[int, str]]

OF_TEXTS = {
    "z_dims": ("x", "0", "", "4,,4", "4.5", "9" * 30, ",".join(["1"] * 20_000)),
    "distribution": ("x", "", "vmf,vmf,vmf", "vmf,", "\x1b[2J"),
    "hidden_dims": ("x", "0", "", "-1", "7,0", "1000000000", "9" * 30, "134217728"),
    "image_size": ("x", "0", "", "1,2,3", "-4", "100000"),
    "gaussian_scale": ("x", "", "-1", "0", "nan", "1e400"),
    "dataset": ("a\0b", "x" * 5_000),
}
BESIDE = {"gaussian_scale": ("--likelihood", "gaussian")}
WORDS_OF_LIBRARIES = ("Value error", "nput should", "pydantic", "Traceback", "unexpected", "\x1b")


_imported_once = functools.cache(lazy._imported)  # making a command takes most of the time


@pytest.fixture
def said(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Any
) -> Said:
    """Run `sxvae` in this process; gives its exit status and what it said on stderr."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(lazy, "_imported", _imported_once)

    def run(*arguments: str) -> tuple[int, str]:
        monkeypatch.setattr("sys.argv", ["sxvae", *arguments])
        code = run_app(lambda: False)
        return code, capsys.readouterr().err

    return run


def _wrong_values() -> Iterator[tuple[str, tuple[str, ...]]]:
    for name, field in setting_options._option_fields():
        kind = setting_options._type_on_command_line(field)
        if name in OF_TEXTS:
            yield name, OF_TEXTS[name]
        elif get_origin(kind) is Literal:
            yield name, ("other", "")
        elif kind is not bool:
            yield name, ("x y", "-1", "1" + "0" * 30 if kind is int else "1e400")


@pytest.mark.parametrize(("name", "values"), list(_wrong_values()))
def test_a_wrong_setting_is_named_with_its_value(
    said: Said, name: str, values: tuple[str, ...]
) -> None:
    option = setting_options.flag(name)
    for value in values:
        code, text = said("train", f"{option}={value}", *BESIDE.get(name, ()))
        assert code == 2
        assert text.count("\n") == 1
        assert text.startswith(("sxvae: --", "sxvae train: "))
        assert option in text
        shown = shlex.quote(value).replace("\x1b", "\\x1b").replace("\0", "\\x00")
        assert shown[:80] in text or str(float(value)) in text
        assert text.endswith("; see sxvae train --help\n")
        assert not [word for word in WORDS_OF_LIBRARIES if word in text]


def _functions() -> Iterator[tuple[tuple[str, ...], Callable[..., None]]]:
    for name, (home, _) in COMMANDS.items():
        module, attribute = home.split(":")
        if name not in ("train", "plot"):
            found = importlib.import_module(f"sxvae_cli.commands.{module}")
            yield (name,), getattr(found, attribute)
    for command in plot.registered_commands:
        assert command.name is not None
        assert command.callback is not None
        yield ("plot", command.name), command.callback


def _options_of_other_commands() -> Iterator[tuple[tuple[str, ...], str]]:
    """The options that are numbers, or one of some words."""
    for path, function in _functions():
        for name, hint in get_type_hints(function, include_extras=True).items():
            kind = next(iter(get_args(hint)), None)
            kinds = get_args(kind) if NoneType in get_args(kind) else (kind,)
            if kinds[0] in (int, float) or get_origin(kinds[0]) is Literal:
                named = hint.__metadata__[0].default  # where Typer first puts the option's name
                made = f"--{name.replace('_', '-')}"
                yield path, named if isinstance(named, str) else made


def test_a_wrong_option_of_any_command_is_named_with_its_value(said: Said) -> None:
    options = list(_options_of_other_commands())
    assert len(options) > 30
    for path, option in options:
        code, text = said(*path, f"{option}=x y")
        assert code == 2
        assert text.count("\n") == 1
        assert option in text
        assert "'x y'" in text
        assert text.endswith(f"; see sxvae {' '.join(path)} --help\n")
        assert not [word for word in WORDS_OF_LIBRARIES if word in text]


def test_a_setting_of_a_config_is_named_with_its_file(said: Said, tmp_path: Any) -> None:
    config = tmp_path / "config.json"
    config.write_text(
        '{"format_version": 1, "model": {}, "data": {}, "training": {"lr": "\\u001b"}}'
    )
    code, text = said("train", "--config", str(config))
    assert code == 2
    assert text == f"sxvae: {config}: model: input_shape is missing\n"
    config.write_text(config.read_text().replace("{}", '{"input_shape": [1, 8, 8]}', 1))
    code, text = said("train", "--config", str(config))
    assert text == f"sxvae: {config}: training.lr: must be a number, not '\\x1b'\n"
