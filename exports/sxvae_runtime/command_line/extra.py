"""The packages of the extra `serve`, which not every installation has."""

from __future__ import annotations

import importlib.util

from sxvae_runtime.errors import MissingPackageError

INSTALL = 'pip install "sxvae-runtime[serve]"'


def require(purpose: str, *modules: str) -> None:
    """Refuse to go on without packages of the extra.

    Args:
        purpose: what needs them, the beginning of a sentence such as "serving".
        modules: their import names.

    Raises:
        MissingPackageError: if one is not installed.
    """
    missing = [name for name in modules if importlib.util.find_spec(name) is None]
    if missing:
        raise MissingPackageError(
            f"{purpose} needs packages that are not installed ({', '.join(missing)}): {INSTALL}"
        )
