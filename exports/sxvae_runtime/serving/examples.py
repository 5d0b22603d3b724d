"""Examples for the OpenAPI description, with the shapes of the bundle at hand."""

from __future__ import annotations

import numpy as np
from fastapi import FastAPI

from sxvae_runtime import Bundle, BundleError


def add_examples(app: FastAPI, bundle: Bundle) -> None:
    """Put example requests that succeed into the description.

    Raises:
        BundleError: if the model can't decode, or gives values that are not finite.
    """
    z = bundle.sample_prior(2, seed=0)
    decoded = bundle.decode(z[:1])
    if not np.isfinite(decoded).all():
        raise BundleError(
            f"the decoder in {bundle.path} gives values that are not finite; export a model that "
            "did not diverge"
        )
    vectors, images = z.tolist(), decoded.tolist()
    examples = {
        "/encode": {"x": images},
        "/decode": {"z": vectors},
        "/sample": {"n": 4, "seed": 0},
        "/interpolate": {"z0": vectors[0], "z1": vectors[1], "steps": 8},
    }
    paths = app.openapi()["paths"]
    for path, example in examples.items():
        paths[path]["post"]["requestBody"]["content"]["application/json"]["example"] = example
