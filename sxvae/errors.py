"""The errors that sxvae raises: each says what is wrong, where, and what to do."""

from __future__ import annotations


class SxvaeError(Exception):
    """The base class of all errors of sxvae."""


class ConfigError(SxvaeError, ValueError):
    """An invalid setting.

    Attributes:
        message: what is wrong with it.
        setting: the setting's name, such as "batch_size"; None where it is not of one setting. The
            error's text begins with it, and the command line shows the option of that name instead.
        found: what the setting was, where the message says only what it must be; the error's text
            ends with it.
    """

    def __init__(
        self, message: str, *, setting: str | None = None, found: str | None = None
    ) -> None:
        text = message if found is None else f"{message}, not {found}"
        super().__init__(text if setting is None else f"{setting}: {text}")
        self.message = message
        self.setting = setting
        self.found = found


class DataError(SxvaeError, ValueError):
    """Images that are missing, can't be downloaded or have the wrong content."""


class CheckpointError(SxvaeError):
    """A checkpoint or run that is missing, damaged, not one of ours or of a newer format."""


class NumericalError(SxvaeError, ArithmeticError):
    """A number that is not finite."""


class OutputError(SxvaeError):
    """A file or folder that can't be written, or that would be overwritten."""


class TrainingInterrupted(KeyboardInterrupt):
    """Ctrl-C during training, after the last complete epoch was saved.

    Attributes:
        run: the run's name.
    """

    def __init__(self, run: str, epochs: int) -> None:
        saved = "1 epoch is" if epochs == 1 else f"{epochs} epochs are"
        super().__init__(f"interrupted; {saved} saved in the run {run}")
        self.run = run
