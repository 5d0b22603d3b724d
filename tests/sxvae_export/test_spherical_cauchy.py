"""The spherical Cauchy family from training to applications, beside another family."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
import torch
from starlette.testclient import TestClient

import sxvae
import sxvae_runtime
from sxvae.evaluation.evaluate import evaluate
from sxvae_export import export_bundle
from sxvae_runtime.serving.app import create_app
from sxvae_runtime.serving.limits import Limits

DRAWS = 20_000


class Chain(NamedTuple):
    """A model that was trained on the digits, its run, and its bundle."""

    data: sxvae.ImageData
    run: Any
    model: sxvae.ProductSpaceVAE
    app: sxvae_runtime.Bundle


@pytest.fixture(scope="module")
def chain(tmp_path_factory: pytest.TempPathFactory) -> Chain:
    folder = tmp_path_factory.mktemp("chain")
    with torch.random.fork_rng():
        torch.manual_seed(0)
        data = sxvae.load_data("digits")
        space = sxvae.ProductSpace.parse("3,2,1", "spherical-cauchy,vmf,spherical-cauchy")
        model = sxvae.ProductSpaceVAE(space, data.image_shape, (32,))
        settings = sxvae.TrainingSettings(epochs=6, burn_in=1, kl_warmup=2, eval_samples=20)
        run = sxvae.fit(model, data, settings, runs_dir=folder)
        best, _ = sxvae.load(run.best)
    exported = export_bundle(run.best, folder / "bundle")
    return Chain(data, run, best, sxvae_runtime.load(exported.path))


def test_training_improves_the_elbo_and_evaluation_is_finite(chain: Chain) -> None:
    lines = (Path(chain.run.best).parent / "metrics.jsonl").read_text().splitlines()
    elbos = [json.loads(line)["val_elbo"] for line in lines]
    assert elbos[-1] > elbos[1] + 1
    found = evaluate(chain.model, chain.data, samples=50)
    assert found.elbo <= found.log_likelihood < 0
    assert all(kl > 0 for kl in found.kl_per_factor)


def test_an_application_samples_the_posterior(chain: Chain) -> None:
    """Means of three images' coordinates in 5 standard errors, by both of its samplers."""
    chain.app.verify()
    assert [each.family for each in chain.app.factors] == list(chain.model.space.families)
    x = chain.data.for_evaluation("test").images(slice(0, 3))
    q = chain.app.encode(x.numpy())
    posterior = chain.model.encode(x)
    mean, error = posterior.mean.detach().numpy(), (posterior.variance / DRAWS).sqrt()
    drawn = chain.app.sample_posterior(q, samples=DRAWS, seed=0)
    session = chain.app.open_session("sampler")
    rows = [np.repeat(each, DRAWS, axis=0) for each in (q.mean_direction, q.concentration)]
    noise = torch.rand(3 * DRAWS, 3).numpy(), torch.randn(3 * DRAWS, 9).numpy()
    names = [each.name for each in session.get_inputs()]
    (by_graph,) = session.run(None, dict(zip(names, (*rows, *noise), strict=True)))
    for z in (drawn, by_graph.reshape(3, DRAWS, 9).swapaxes(0, 1)):
        assert (np.abs(z.mean(axis=0) - mean) < 5 * error.detach().numpy() + 1e-6).all()


def test_the_server_draws_as_the_runtime_does(chain: Chain) -> None:
    x = chain.data.for_evaluation("test").images(slice(0, 2)).numpy()
    limits = Limits(body=1_000_000, batch=16, requests=4, threads=1, seconds=60)
    with TestClient(create_app(chain.app, limits), base_url="http://127.0.0.1") as client:
        body = {"n": 3, "seed": 1, "x": x.tolist()}
        found = client.post("/sample", json=body).json()
    expected = chain.app.sample_posterior(chain.app.encode(x), 3, seed=1)
    np.testing.assert_allclose(found["z"], expected, atol=1e-6)


def test_importance_weights_of_a_constant_likelihood(chain: Chain) -> None:
    """With p(x given z) = 1 the estimate is 0 where the KL is small: within 4 standard errors."""
    space, repeats, samples = chain.model.space, 200, 500
    loc = space.normalize(torch.randn(repeats, space.ambient, dtype=torch.float64))
    q = space.posterior(loc, torch.full((repeats, 3), 0.4, dtype=torch.float64))
    z, prior = q.sample((samples,)), space.prior(dtype=torch.float64)
    weights = prior.log_prob(z) - q.log_prob(z)
    estimates = torch.logsumexp(weights, dim=0) - math.log(samples)
    assert estimates.mean().abs() < 4 * estimates.std() / math.sqrt(repeats)
