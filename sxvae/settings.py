"""The base of all settings: validation, errors that name the setting, and command-line options."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError

from sxvae.errors import ConfigError

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
    """The base of all settings: they do not change, and numbers must be finite."""

    model_config = ConfigDict(frozen=True, allow_inf_nan=False)

    if not TYPE_CHECKING:  # type checkers see the fields as the constructor's arguments

        def __init__(self, **values: Any) -> None:  # noqa: ANN401
            unknown = sorted(set(values) - set(type(self).model_fields))
            if unknown:
                raise ConfigError(f"there is no setting {unknown[0]!r}")
            try:
                super().__init__(**values)
            except ValidationError as error:
                raise _first_error(error) from None

    @classmethod
    def read(cls: type[_Settings], values: object) -> _Settings:
        """Rebuild settings from parsed JSON, whose unknown keys are ignored.

        Raises:
            ConfigError: naming the setting that is missing or invalid.
        """
        if isinstance(values, cls):
            return values
        if not isinstance(values, dict):
            raise ConfigError(f"settings are named values, not {values!r}")
        known: dict[str, Any] = {}
        for name, field in cls.model_fields.items():
            kind = field.annotation
            if name in values:
                if isinstance(kind, type) and issubclass(kind, Settings):
                    known[name] = kind.read(values[name])
                else:
                    known[name] = values[name]
        return cls(**known)


def _first_error(error: ValidationError) -> ConfigError:
    """The first of pydantic's complaints as one sentence."""
    first = error.errors(include_url=False)[0]
    cause = first.get("ctx", {}).get("error")
    if isinstance(cause, ConfigError):  # raised by a validator of ours, which says it all
        return cause
    # A field of several types has the names of pydantic's own types behind its own.
    names = [part for part in first["loc"] if isinstance(part, str) and "-" not in part]
    setting = ".".join(names)
    if cause is not None:
        return ConfigError(str(cause), setting=setting)
    if first["type"] == "missing" and first["loc"] == (setting,):
        return ConfigError(f"{setting} is missing")
    if first["type"] == "missing":  # an entry of a tuple
        return ConfigError("it has too few entries", setting=setting)
    message = f"{first['msg'][:1].lower() + first['msg'][1:]}, not {first['input']!r}"
    return ConfigError(message, setting=setting)
