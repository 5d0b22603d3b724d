"""Binary images drawn from grey ones, compiled for the CPU."""

from __future__ import annotations

import numpy as np

from sxvae.kernels.compiler import Array, compiled
from sxvae.kernels.random_bits import STEP, mix


@compiled
def binarize(pixels: Array, index: Array, scale: float, seed: int, binary: Array) -> None:
    """Fill in 1 with the probability of a pixel's grey value, and 0 otherwise.

    Args:
        pixels: all images, shape (n, pixels).
        index: the images that are wanted, shape (batch,).
        scale: the pixel value that stands for 1.
        seed: of the random numbers, 63 bits.
        binary: filled, shape (batch, pixels).
    """
    count = pixels.shape[1]
    words = np.empty((len(index) * count + 1) // 2, dtype=np.uint64)
    state = mix(np.uint64(seed))
    for i in range(len(words)):
        state += STEP
        words[i] = mix(state)
    # 24 random bits for each pixel are at most 2^24 - 1: a pixel of 0 is never 1, one of 1 always.
    random = words.view(np.uint32)
    unit = 2.0**24 / scale
    for i in range(len(index)):
        image, start = pixels[index[i]], i * count
        for j in range(count):
            binary[i, j] = np.float64(random[start + j] >> np.uint32(8)) < image[j] * unit
