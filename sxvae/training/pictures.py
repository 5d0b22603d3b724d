"""The pictures that training draws under samples/."""

from __future__ import annotations

import torch

from sxvae.data import Split
from sxvae.models.vae import ProductSpaceVAE
from sxvae.plotting import image_grid, save_png
from sxvae.randomness import seeded
from sxvae.runs.directory import RunDirectory

_COLUMNS = 16


@torch.no_grad()
def draw_epoch(
    model: ProductSpaceVAE, validation: Split, run: RunDirectory, epoch: int, seed: int
) -> None:
    """Draw originals, their reconstructions and prior samples, a row each.

    Args:
        model: put into evaluation mode.
        validation: on the model's device; its first images are drawn.
        run: where the picture goes.
        epoch: counted from 1; it names the file.
        seed: of the prior samples.

    Raises:
        NumericalError: if an image is not finite.
        OutputError: if the picture can't be written.
    """
    model.eval()
    x = validation.images(slice(0, _COLUMNS))
    with seeded(seed, "pictures", x.device):
        prior = model.decode(model.prior().sample((len(x),))).mean
    images = torch.cat([x, model.decode(model.encode(x).mode).mean, prior])
    run.make_samples()
    picture = image_grid(images.cpu().numpy(), columns=len(x))
    save_png(picture, run.samples / f"epoch-{epoch:04d}.png")
