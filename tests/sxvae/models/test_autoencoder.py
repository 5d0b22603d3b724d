from __future__ import annotations

import numpy as np
import torch

from sxvae import ProductSpace, ProductSpaceVAE
from sxvae.models.autoencoder import TorchAutoencoder


def test_it_is_the_model_in_numpy() -> None:
    space = ProductSpace.parse("2,3", "vmf,normal", "full")
    model = ProductSpaceVAE(space, (1, 4, 4), (8,)).train()
    autoencoder = TorchAutoencoder(model)
    x = torch.rand(501, 1, 4, 4)  # more than a batch
    loc, concentration, scale = autoencoder.encode(x.numpy())
    model.eval()
    with torch.no_grad():
        expected = model.posterior_parameters(x)
    model.train()
    assert scale is not None
    for ours, theirs in zip((loc, concentration, scale), expected, strict=True):
        torch.testing.assert_close(torch.from_numpy(ours), theirs)
    z = autoencoder.sample_prior(7, seed=3)
    np.testing.assert_array_equal(z, autoencoder.sample_prior(7, seed=3))
    assert (z != autoencoder.sample_prior(7, seed=4)).any()
    with torch.no_grad():
        mean = model.decode(torch.from_numpy(z)).mean
    torch.testing.assert_close(torch.from_numpy(autoencoder.decode(z)), mean)
    assert model.training  # left as it was
    assert (autoencoder.ambient, autoencoder.input_shape, len(autoencoder.factors)) == (
        6,
        (1, 4, 4),
        2,
    )


def test_there_are_no_scales_without_normal_factors() -> None:
    autoencoder = TorchAutoencoder(ProductSpaceVAE(ProductSpace.parse("2"), (1, 4, 4), (8,)))
    assert autoencoder.encode(np.zeros((1, 1, 4, 4)))[2] is None
