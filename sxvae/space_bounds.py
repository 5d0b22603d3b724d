"""How large a product space may be: above, its layout alone would take long and fill the memory."""

from __future__ import annotations

from collections.abc import Sequence

from sxvae.errors import ConfigError
from sxvae_runtime.families import NORMAL
from sxvae_runtime.text import shown

# No honest use meets these.
MOST_FACTORS = 2**14
MOST_COORDINATES = 2**20
MOST_SCALES = 2**22


def refuse_a_space_too_large(dims: Sequence[int], families: Sequence[str], covariance: str) -> None:
    """Refuse a space with too many factors, coordinates or entries of full covariances.

    Args:
        dims: each factor's dimension.
        families: each factor's family.
        covariance: of the normal factors.

    Raises:
        ConfigError: with the bound and the number.
    """
    if len(dims) > MOST_FACTORS:
        raise ConfigError(f"a space has at most {MOST_FACTORS:,} factors, not {len(dims):,}")
    if sum(dims) > MOST_COORDINATES:
        raise ConfigError(
            f"the dimensions of a space are at most {MOST_COORDINATES:,} together, not "
            f"{shown(sum(dims))}"
        )
    if covariance != "full":
        return
    entries = sum(dim**2 for dim, name in zip(dims, families, strict=True) if name == NORMAL)
    if entries > MOST_SCALES:
        raise ConfigError(
            f"full covariances have at most {MOST_SCALES:,} entries together, not {entries:,}: "
            "choose diagonal ones"
        )
