"""The errors of the runtime: each message says what is wrong, where, and what to do."""


class RuntimeBundleError(Exception):
    """The base of them all."""


class BundleError(RuntimeBundleError, ValueError):
    """A bundle that is damaged, foreign or too new."""


class BundleNotFoundError(BundleError, FileNotFoundError):
    """A bundle, or a file of it, that is not there."""


class InputError(RuntimeBundleError, ValueError):
    """An array that the model does not take."""
