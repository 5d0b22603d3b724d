"""What is said about a folder of images once it is read: how much, what not, and why."""

from __future__ import annotations

from pathlib import Path

from sxvae.data.sources.folder_listing import Listing, counted
from sxvae.data.sources.pictures import Picture


class Oddities:
    """The files of which not everything is kept."""

    def __init__(self) -> None:
        self._several: list[Path] = []
        self._reduced: list[Path] = []

    def note(self, file: Path, picture: Picture) -> None:
        """Note a file if the picture that was read is not all of it."""
        if picture.is_first_of_several:
            self._several.append(file)
        if picture.is_reduced:
            self._reduced.append(file)

    def sentences(self, root: Path) -> list[str]:
        """What to say about them."""
        said = []
        if self._several:
            said.append(
                f"only the first picture is read of files that hold several: "
                f"{counted(self._several, root)}"
            )
        if self._reduced:
            said.append(
                "16 bits are kept of plain grey only, and 8 of colour and transparency: "
                f"{counted(self._reduced, root)}"
            )
        return said


def remarks_on(root: Path, listing: Listing, oddities: Oddities) -> tuple[str, ...]:
    """Sentences on what was read of a folder, and then on each thing that may not be expected."""
    said = [f"read {_described(listing)} from {root}{listing.left_out.described()}"]
    if listing.left_out.links_out:
        said.append(
            "links that lead out of the folder are followed: "
            f"{counted(listing.left_out.links_out, root)}"
        )
    return (*said, *oddities.sentences(root))


def _described(listing: Listing) -> str:
    """How many pictures there are: "24 pictures of 2 classes (16 train, 8 test)"."""
    text = _many(len(listing.files), "picture")
    if listing.class_names is not None:
        text += f" of {_many(len(listing.class_names), 'class', 'classes')}"
    if len(listing.splits) > 1:
        text += f" ({', '.join(f'{n:,} {name}' for name, n in listing.splits.items())})"
    return text


def _many(n: int, one: str, more: str = "") -> str:
    return f"{n:,} {one if n == 1 else more or one + 's'}"
