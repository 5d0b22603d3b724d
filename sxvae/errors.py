"""The errors that sxvae raises: each says what is wrong, where, and what to do."""


class SxvaeError(Exception):
    """The base of them all."""


class ConfigError(SxvaeError, ValueError):
    """A setting that can't be."""


class DataError(SxvaeError, ValueError):
    """Images that are missing, unreachable or not what they should be."""


class CheckpointError(SxvaeError):
    """A checkpoint or run that is missing, damaged, foreign or too new."""


class NumericalError(SxvaeError, ArithmeticError):
    """A figure that is not finite."""


class OutputError(SxvaeError):
    """A file or folder that can't be written, or that would be overwritten."""


class TrainingInterrupted(KeyboardInterrupt):
    """Ctrl-C during training: what is saved, and where.

    Attributes:
        run: the run's name.
    """

    def __init__(self, run: str, epochs: int) -> None:
        saved = "1 epoch is" if epochs == 1 else f"{epochs} epochs are"
        super().__init__(f"interrupted; {saved} saved in the run {run}")
        self.run = run
