"""Command-line options made of the fields of settings, which `sxvae.config` declares once."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Iterator
from types import NoneType
from typing import Annotated, Any, Literal, get_args, get_origin

import typer
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

from sxvae.config import DataSettings, ModelSettings, TrainingSettings
from sxvae.errors import ConfigError
from sxvae.settings import PANELS, Option, Settings
from sxvae_runtime.command_line.application import typed

# Under the names that they have in `RunSettings`.
SECTIONS: dict[str, type[Settings]] = {
    "model": ModelSettings,
    "data": DataSettings,
    "training": TrainingSettings,
}

# What Typer reads from the command line itself; other types are given as texts, which the settings
# read.
_SIMPLE_TYPES = (bool, int, float, str)


def with_settings(command: Callable[..., None]) -> Callable[..., None]:
    """Give a command an option for every setting that has an `Option`.

    Args:
        command: takes them as `**given`: those that the user gave, by their settings' names, and
            None for the others.
    """
    own = inspect.signature(command, eval_str=True)
    given = [p for p in own.parameters.values() if p.kind is not inspect.Parameter.VAR_KEYWORD]
    parameters = [
        inspect.Parameter(
            name, inspect.Parameter.KEYWORD_ONLY, default=None, annotation=_annotation(name, field)
        )
        for name, field in _option_fields()
    ]

    @functools.wraps(command)
    def with_options(**values: Any) -> None:  # noqa: ANN401 (each option has its own type)
        try:
            command(**values)
        except ConfigError as error:
            raise _naming_the_option(error, values) from error

    keyword_only = [p.replace(kind=inspect.Parameter.KEYWORD_ONLY) for p in given]
    signature = own.replace(parameters=[*parameters, *keyword_only])
    with_options.__signature__ = signature  # type: ignore[attr-defined]
    with_options.__annotations__ = {p.name: p.annotation for p in signature.parameters.values()}
    return with_options


def _naming_the_option(error: ConfigError, values: dict[str, Any]) -> ConfigError:
    """The error with the option and its value as the user gave them, and where to read more."""
    if error.setting is None:
        return error
    option, value = flag(error.setting), values.get(error.setting)
    message = error.message
    if value is None:  # a setting of a config.json
        given = option
        message += "" if error.found is None else f", not {error.found}"
    elif isinstance(value, bool):
        given = option if value else f"--no-{option.removeprefix('--')}"
    else:
        given = f"{option} {typed(value)}"
    return ConfigError(f"{given}: {message}; see sxvae train --help")


def flag(setting: str) -> str:
    """The option that gives a setting; the setting's own name where there is none."""
    for section in SECTIONS.values():
        field = section.model_fields.get(setting)
        option = None if field is None else _option(field)
        if option is not None:
            return option.flag or _made_flag(setting)
        if field is not None and setting != "data_dir":  # which has an option of many commands
            return setting
    return _made_flag(setting)


def as_text(value: object) -> str:
    """A setting as the command line takes it: lists with commas."""
    return ",".join(map(str, value)) if isinstance(value, tuple) else str(value)


def _made_flag(name: str) -> str:
    return f"--{name.replace('_', '-')}"


def _option_fields() -> Iterator[tuple[str, FieldInfo]]:
    """The fields with an option, in the order of the panels."""
    fields = [item for section in SECTIONS.values() for item in section.model_fields.items()]
    for panel in PANELS:
        for name, field in fields:
            option = _option(field)
            if option is not None and option.panel == panel:
                yield name, field


def _option(field: FieldInfo) -> Option | None:
    return next((each for each in field.metadata if isinstance(each, Option)), None)


def _annotation(name: str, field: FieldInfo) -> Any:  # noqa: ANN401
    """What Typer makes the field's option of: None where the user does not give it."""
    option = _option(field)
    assert option is not None  # or the field would have no option
    kind = _type_on_command_line(field)
    made = option.flag or _made_flag(name)
    names = (f"{made}/--no-{made.removeprefix('--')}",) if kind is bool else (made,)
    default: str | bool = option.shown_default or as_text(field.default)
    if kind is bool or field.default is PydanticUndefined:
        default = False
    information = typer.Option(
        *names,
        help=option.help,
        metavar=option.metavar,
        show_default=default,
        rich_help_panel=option.panel,
    )
    return Annotated[kind | None, information]


def _type_on_command_line(field: FieldInfo) -> Any:  # noqa: ANN401
    kinds = [kind for kind in _alternatives(field.annotation) if kind is not NoneType]
    if len(kinds) == 1 and (kinds[0] in _SIMPLE_TYPES or get_origin(kinds[0]) is Literal):
        return kinds[0]
    return str


def _alternatives(annotation: Any) -> list[Any]:  # noqa: ANN401
    """The members of a union, without what is said about them by Annotated."""
    if get_origin(annotation) is Annotated:
        return _alternatives(get_args(annotation)[0])
    if get_origin(annotation) in (tuple, Literal) or not get_args(annotation):
        return [annotation]
    return [kind for part in get_args(annotation) for kind in _alternatives(part)]
