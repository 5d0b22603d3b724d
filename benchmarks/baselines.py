"""The log-likelihood of two simple models of the digits: `python -m benchmarks.baselines`.

Prints, in nats per test image binarised as `sxvae eval` does, the log-likelihood of a model that
gives every pixel probability 1/2 (an untrained one is close to it), and that of independent pixels,
each with its frequency in the training images.
"""

from __future__ import annotations

import math

import torch

from sxvae import load_data


def main() -> None:
    data = load_data("digits")
    test = data.for_evaluation("test").images(slice(None)).double()
    images = len(data.train)
    # Add half an image of either kind: a pixel that is never on in training may be on in a test.
    frequency = (data.train.images(slice(None)).double().sum(dim=0) + 0.5) / (images + 1)
    likelihood = torch.distributions.Bernoulli(probs=frequency)
    independent = likelihood.log_prob(test).sum(dim=(1, 2, 3)).mean().item()
    print(f"every pixel at 1/2: {-math.log(2) * test[0].numel():.1f} nats")
    print(f"independent pixels: {independent:.1f} nats")


if __name__ == "__main__":
    main()
