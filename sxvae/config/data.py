"""The settings that a data set is loaded from."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from pydantic import BeforeValidator, Field

from sxvae.setting_types import PathText, Seed, Size, Text, read_size
from sxvae.settings import DATA, Option, Settings
from sxvae_runtime.levels import MOST_LEVELS

Binarization = Literal["dynamic", "fixed", "none"]
SplitName = Literal["train", "validation", "test"]

# The name of data sets that are handed over in Python.
CUSTOM = "custom"

ARRAY_SUFFIXES = (".npy", ".npz", ".safetensors")


class DataSettings(Settings):
    """The settings that a data set is loaded from. Each `Option` says what its field means.

    Besides them, `data_dir` is the folder of downloaded data (None for the environment's or the
    user's cache folder), `content_sha256` the hash of what was loaded from a path (None for named
    data sets), and `class_names` what the classes 0, 1, 2, ... are called, where the data set says
    it. `dataset` is "custom" for tensors handed over in Python.
    """

    dataset: Annotated[
        PathText,
        Option(
            "Name of a data set, or the path of your own: .npy, .npz, .safetensors or a folder of "
            "images.",
            DATA,
        ),
    ] = "digits"
    binarization: Annotated[
        Binarization,
        Option(
            "How grey training images become binary for a Bernoulli likelihood: anew each time "
            "(dynamic), once (fixed), or not at all because they are binary already (none).",
            DATA,
        ),
    ] = "dynamic"
    data_dir: PathText | None = None
    channels_last: Annotated[
        bool | None,
        Option(
            "Whether your arrays are (n, H, W, C) or (n, C, H, W).",
            DATA,
            shown_default="no, and doubtful shapes are refused",
        ),
    ] = None
    levels: Annotated[
        Annotated[int, Field(ge=2, le=MOST_LEVELS)] | None,
        Option(
            "Levels of your images' pixels, if they are whole numbers: of N levels 0 is black and "
            "N-1 is white.",
            DATA,
            shown_default="256 for uint8, 65536 for uint16; doubtful values are refused",
        ),
    ] = None
    images_key: Annotated[
        Text | None,
        Option(
            "Name of the images in your file of arrays.", DATA, shown_default="x or a usual name"
        ),
    ] = None
    labels_key: Annotated[
        Text | None,
        Option(
            "Name of the labels in your file of arrays; none leaves them out.",
            DATA,
            shown_default="y or a usual name",
        ),
    ] = None
    image_size: Annotated[
        tuple[Size, Size] | None,
        BeforeValidator(read_size),
        Option(
            "Size that the images of a folder are resized to.",
            DATA,
            metavar="N|H,W",
            shown_default="as they are",
        ),
    ] = None
    split_seed: Annotated[
        Seed,
        Option(
            "Random seed of the split of your own images into train, validation and test.", DATA
        ),
    ] = 0
    content_sha256: Text | None = None
    class_names: tuple[Text, ...] | None = None

    @property
    def label(self) -> str:
        """The data set's name, or its path's last part without an array's ending; for captions."""
        path = Path(self.dataset)
        return path.stem if path.suffix.lower() in ARRAY_SUFFIXES else path.name
