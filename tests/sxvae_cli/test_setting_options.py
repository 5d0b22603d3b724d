"""A setting that is declared with an `Option` is an option, without any other edit."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import pytest
import typer
from pydantic import BeforeValidator
from typer.testing import CliRunner

from sxvae.errors import ConfigError
from sxvae.settings import OBJECTIVE, SPACE, Option, Settings
from sxvae_cli import setting_options
from sxvae_cli.setting_options import flag, with_settings


def _read_pair(value: object) -> object:
    return tuple(map(int, value.split("x"))) if isinstance(value, str) else value


class _Toy(Settings):
    noise_level: Annotated[float, Option("How much noise.", OBJECTIVE)] = 0.5
    use_noise: Annotated[bool, Option("Whether there is noise.", OBJECTIVE)] = False
    kind: Annotated[Literal["a", "b"] | None, Option("Its kind.", SPACE, shown_default="any")] = (
        None
    )
    pair: Annotated[
        tuple[int, int], BeforeValidator(_read_pair), Option("Two.", SPACE, flag="--two")
    ] = (1, 2)
    silent: int = 0


@pytest.fixture
def given(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Runs a command with the toy's options and returns what it was given, or the help."""
    monkeypatch.setattr(setting_options, "SECTIONS", {"toy": _Toy})
    seen: dict[str, Any] = {}

    @with_settings
    def command(name: str = "", **settings: Any) -> None:
        """A command."""
        seen.update(settings, name=name)

    app = typer.Typer()
    app.command()(command)

    def run(*arguments: str) -> Any:
        seen.clear()
        done = CliRunner().invoke(app, arguments, env={"COLUMNS": "120"})
        return done.output if "--help" in arguments or done.exit_code else dict(seen)

    return run


def test_the_command_is_given_what_the_user_gave(given: Any) -> None:
    nothing = {"noise_level": None, "use_noise": None, "kind": None, "pair": None, "name": ""}
    assert given() == nothing
    assert given("--noise-level", "2", "--name", "x") == {
        **nothing,
        "noise_level": 2.0,
        "name": "x",
    }
    assert given("--no-use-noise", "--two", "3x4") == {
        **nothing,
        "use_noise": False,
        "pair": "3x4",
    }
    assert _Toy.read({"pair": "3x4"}).pair == (3, 4)
    assert "Invalid value for '--kind'" in given("--kind", "c")


def test_the_help_shows_texts_defaults_and_panels_in_order(given: Any) -> None:
    text = given("--help")
    for part in ("How much noise.", "0.5", "Whether there is noise.", "any", "1,2", "--two"):
        assert part in text
    assert text.index(SPACE) < text.index(OBJECTIVE)
    assert "silent" not in text


def test_flags() -> None:
    assert flag("batch_size") == "--batch-size"
    assert flag("hidden_dims") == "--h-dims"
    assert flag("data_dir") == "--data-dir"
    assert flag("input_shape") == "input_shape"  # no option gives it
    assert flag("memory") == "--memory"  # a command's own


def test_an_error_carries_the_name_of_its_setting() -> None:
    with pytest.raises(ConfigError, match="noise_level: must be a number, not 'much'") as caught:
        _Toy.read({"noise_level": "much"})
    assert caught.value.setting == "noise_level"
    assert caught.value.message.startswith("must be")
