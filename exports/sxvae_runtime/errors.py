"""The errors of the runtime: each message says what is wrong, where, and what to do."""


class RuntimeBundleError(Exception):
    """The base of them all."""


class BundleError(RuntimeBundleError, ValueError):
    """A bundle that is damaged, foreign or too new."""


class BundleNotFoundError(BundleError, FileNotFoundError):
    """A bundle, or a file of it, that is not there."""


class InputError(RuntimeBundleError, ValueError):
    """An array or an option that the model does not take."""


class MissingPackageError(RuntimeBundleError, ImportError):
    """A package that is needed and is not installed."""


class PageNotBuiltError(RuntimeBundleError):
    """The explorer's page, where the package was installed without it."""


class OutputError(RuntimeBundleError):
    """A file that can't be written, or that would be overwritten."""


class SettingError(RuntimeBundleError, ValueError):
    """An invalid setting of a command or of the server."""
