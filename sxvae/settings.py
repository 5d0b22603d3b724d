"""The base of all settings: validation, errors that name the setting, and command-line options."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError
from pydantic_core import ErrorDetails

from sxvae.errors import ConfigError
from sxvae_runtime.requirements import requirement
from sxvae_runtime.text import shown

_Settings = TypeVar("_Settings", bound="Settings")

# The headings under which `sxvae train --help` shows the options, in their order.
SPACE = "Latent space"
NETWORKS = "Networks and likelihood"
DATA = "Data"
OBJECTIVE = "Objective"
OPTIMISATION = "Optimisation"
VALIDATION = "Validation and early stopping"
RUN = "Run"
PANELS = (SPACE, NETWORKS, DATA, OBJECTIVE, OPTIMISATION, VALIDATION, RUN)


@dataclass(frozen=True)
class Option:
    """How a setting is given on the command line; its type and default are the field's.

    Attributes:
        help: what the setting means: the documentation of the field.
        panel: the heading under which the help shows it, one of `PANELS`.
        flag: the option's name where it is not made of the field's.
        metavar: the placeholder of the value in the help; None for that of its type.
        shown_default: what the help shows in the place of the default.
    """

    help: str
    panel: str
    flag: str | None = None
    metavar: str | None = None
    shown_default: str | None = None


class Settings(BaseModel):
    """The base of all settings, and of what is stored beside them in files.

    They do not change, and numbers must be finite.
    """

    model_config = ConfigDict(frozen=True, allow_inf_nan=False)

    if not TYPE_CHECKING:  # type checkers see the fields as the constructor's arguments

        def __init__(self, **values: Any) -> None:  # noqa: ANN401
            self._fill(values)

    @classmethod
    def read(cls: type[_Settings], values: object) -> _Settings:
        """Rebuild settings from parsed JSON, whose unknown keys are ignored.

        The types must be right: here "3" and 3.0 are no whole numbers, and true is none either.

        Raises:
            ConfigError: naming the setting that is missing or invalid.
        """
        if isinstance(values, cls):
            return values
        if not isinstance(values, dict):
            raise ConfigError(f"settings are named values, not {shown(values)}")
        known: dict[str, Any] = {}
        for name, field in cls.model_fields.items():
            kind = field.annotation
            if name in values:
                if isinstance(kind, type) and issubclass(kind, Settings):
                    known[name] = _read_section(name, kind, values[name])
                else:
                    known[name] = _with_tuples(values[name])
        settings = cls.__new__(cls)
        settings._fill(known, strict=True)
        return settings

    def _fill(self, values: dict[str, Any], strict: bool | None = None) -> None:
        """Validate the fields' values and take them."""
        unknown = sorted(set(values) - set(type(self).model_fields))
        if unknown:
            raise ConfigError(f"there is no setting {shown(unknown[0])}")
        try:
            self.__pydantic_validator__.validate_python(values, strict=strict, self_instance=self)
        except ValidationError as error:
            raise _first_error(error) from None


def _read_section(name: str, kind: type[_Settings], values: object) -> _Settings:
    try:
        return kind.read(values)
    except ConfigError as error:
        within = name if error.setting is None else f"{name}.{error.setting}"
        raise ConfigError(error.message, setting=within, found=error.found) from None


def _with_tuples(value: object) -> object:
    """JSON knows lists only, and settings have tuples."""
    if isinstance(value, dict):
        return {key: _with_tuples(entry) for key, entry in value.items()}
    return tuple(_with_tuples(entry) for entry in value) if isinstance(value, list) else value


def _as_written(value: object) -> object:
    """A list of the file or the user, which `_with_tuples` or Python's own syntax made a tuple."""
    return list(value) if isinstance(value, tuple) else value


def _first_error(error: ValidationError) -> ConfigError:
    """The first of pydantic's complaints as one sentence."""
    first = error.errors(include_url=False)[0]
    cause = first.get("ctx", {}).get("error")
    if isinstance(cause, ConfigError):  # raised by a validator of ours, which says it all
        return cause
    setting = str(first["loc"][0])
    if first["type"] == "missing" and len(first["loc"]) == 1:
        return ConfigError(f"{setting} is missing")
    if first["type"] == "missing":  # an entry of a tuple
        return ConfigError("it has too few entries", setting=setting)
    return ConfigError(
        str(cause) if cause is not None else _requirement(first),
        setting=setting,
        found=shown(_as_written(first["input"])),
    )


def _requirement(complaint: ErrorDetails) -> str:
    message = complaint["msg"]
    return requirement(complaint) or f"is not accepted ({message[:1].lower()}{message[1:]})"
