"""Where a picture's model comes from: a run, a checkpoint, or a bundle, which needs no PyTorch."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from sxvae.collapse import collapsed_in
from sxvae.config import SplitName
from sxvae.errors import ConfigError
from sxvae.runs.directory import (
    RunDirectory,
    evaluation_of,
    find_checkpoint,
    find_run,
    is_run_name,
    newest_run,
)
from sxvae_cli.console import say
from sxvae_runtime.bundle_files import holds_manifest

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from sxvae.io.image_arrays import LabelledImages
    from sxvae.plotting import Autoencoder


@dataclass(frozen=True)
class Source:
    """A model to draw.

    Attributes:
        path: the checkpoint or bundle.
        autoencoder: the model.
        levels: of the pixels that it was trained on, where they are not all of their type's.
        say: writes a remark.
        collapsed: the indices, from 0, of the factors that have collapsed, as the test metrics say,
            or, where a checkpoint has none, by these images.
        own_split: loads a split of the data set that the model was trained on, from a folder of
            data sets; None for a bundle, which knows no data set.
    """

    path: Path
    autoencoder: Autoencoder
    levels: int | None
    say: Callable[[str], None]
    collapsed: Callable[[NDArray[np.float32]], tuple[int, ...]]
    own_split: Callable[[SplitName, str | None], LabelledImages] | None

    def images(
        self,
        file: Path | None,
        split: SplitName | None,
        data_dir: str | None,
        prior: bool = False,
        levels: int | None = None,
    ) -> LabelledImages | None:
        """The images of `file`, else of the model's own data set; None if there are neither.

        Args:
            file: the user's images.
            split: of the model's own data set; "test" if None.
            data_dir: the folder of data sets.
            prior: draws from the prior are wanted in place of images.
            levels: of the pixels in `file`; those of the model if None.

        Raises:
            ConfigError: if a split of a bundle, both a file and a split, or images beside `prior`
                are asked for.
            DataError: if the images can't be had, or do not fit.
        """
        if levels is not None and file is None:
            raise ConfigError(
                "--levels is of the images in a file: name it with --images, or leave --levels out"
            )
        if prior:
            if file is not None or split is not None or data_dir is not None:
                raise ConfigError(
                    "--prior starts from draws: leave out --images, --split and --data-dir, which "
                    "name images"
                )
            return None
        if split is not None and (file is not None or self.own_split is None):
            raise ConfigError(
                "--split is of the data set that a run or checkpoint was trained on; leave it out "
                "with --images or a bundle"
            )
        if file is not None:
            from sxvae.io.image_arrays import read_images

            images = read_images(
                file, tuple(self.autoencoder.input_shape), self.levels if levels is None else levels
            )
            if images.remark is not None:
                self.say(images.remark)
            return images
        return None if self.own_split is None else self.own_split(split or "test", data_dir)

    def needed_images(
        self,
        file: Path | None,
        split: SplitName | None,
        data_dir: str | None,
        levels: int | None = None,
    ) -> LabelledImages:
        """Like `images`, where there is no doing without.

        Raises:
            ConfigError: if there are none.
        """
        images = self.images(file, split, data_dir, levels=levels)
        if images is None:
            raise ConfigError(
                f"the bundle {self.path} holds no data set: name a file of images with --images"
            )
        return images


@contextlib.contextmanager
def opened(
    target: str | None, runs_dir: Path, device: str, threads: int | None, quiet: bool
) -> Iterator[Source]:
    """Open a run, a checkpoint, a bundle, or the newest run's best if None, for the block.

    Raises:
        CheckpointError: if there is no such run or checkpoint, or it is damaged.
        BundleError: if a file of the bundle is damaged.
        ConfigError: if there is no such device, or CUDA is asked for with a bundle.
    """

    def remark(text: str) -> None:
        say(text, quiet)

    if target is not None and is_bundle_target(target, runs_dir):
        import sxvae_runtime

        if device == "cuda":
            raise ConfigError("a bundle is drawn on the CPU: leave out --device cuda")
        app = sxvae_runtime.load(target, threads=threads or 1)
        provenance = app.manifest.content.get("provenance") or {}
        collapsed = collapsed_in(provenance.get("evaluation"), len(app.factors))
        yield Source(Path(target), app, app.manifest.levels, remark, lambda x: collapsed, None)
        return
    path = find_checkpoint(target, runs_dir)
    if target is None:
        say(f"drawing {path}", quiet)
    from sxvae.devices import threads_set

    with threads_set(threads):
        yield _of_checkpoint(path, device, remark)


def is_bundle_target(target: str, runs_dir: Path) -> bool:
    """Whether a bundle is meant: a run of that name wins over a bundle that lies here."""
    return holds_manifest(Path(target)) and not is_run_name(target, runs_dir)


def _of_checkpoint(path: Path, device: str, remark: Callable[[str], None]) -> Source:
    import torch

    import sxvae
    from sxvae.data import load_again, pixel_levels
    from sxvae.evaluation.evaluate import prepare_data
    from sxvae.evaluation.information import collapsed_by_images
    from sxvae.io.image_arrays import LabelledImages
    from sxvae.models.autoencoder import TorchAutoencoder

    model, settings = sxvae.load(path, device=device)

    def own_split(split: SplitName, data_dir: str | None) -> LabelledImages:
        """As the evaluation sees it."""
        loaded = load_again(settings.data, data_dir, remark)
        data = prepare_data(model, loaded)
        images = data.for_evaluation(split)
        return LabelledImages(images.images(slice(None)).cpu().numpy(), images.named_labels())

    def collapsed(x: NDArray[np.float32]) -> tuple[int, ...]:
        evaluation = evaluation_of(path)
        if evaluation is not None and "collapsed" in evaluation:
            return collapsed_in(evaluation, len(model.space.factors))
        return collapsed_by_images(model, torch.from_numpy(x))

    levels = pixel_levels(settings.data)
    return Source(path, TorchAutoencoder(model), levels, remark, collapsed, own_split)


def chosen_run(run: str | None, runs_dir: Path, quiet: bool) -> RunDirectory:
    """A run by its path or name, or the newest.

    Raises:
        CheckpointError: if there is none.
    """
    if run is not None:
        # A checkpoint stands for the run that it lies in.
        is_file = Path(run).is_file() and not is_run_name(run, runs_dir)
        return find_run(Path(run).parent if is_file else run, runs_dir)
    newest = newest_run(runs_dir)
    say(f"drawing {newest.path}", quiet)
    return newest
