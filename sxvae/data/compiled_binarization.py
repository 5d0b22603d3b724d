"""Binary images drawn from grey ones, compiled for the CPU."""

from __future__ import annotations

import numpy as np

from sxvae.compilation import Array, compiled, mix

_STEP = np.uint64(0x9E3779B97F4A7C15)  # SplitMix64's


@compiled
def binarize(pixels: Array, index: Array, scale: float, seed: int, binary: Array) -> None:
    """Fill in 1 with the probability of a pixel's grey value, and 0 otherwise.

    Args:
        pixels: all images, shape (n, pixels).
        index: the images that are wanted, shape (batch,).
        scale: the pixel value that stands for 1.
        seed: of all chance here, 63 bits.
        binary: filled, shape (batch, pixels).
    """
    state = mix(np.uint64(seed))
    # 32 random bits a pixel: none are at or above 2^32, so that 0 is never 1 and 1 always.
    unit = 2.0**32 / scale
    count = pixels.shape[1]
    for i in range(len(index)):
        image = pixels[index[i]]
        for j in range(0, count - 1, 2):
            state += _STEP
            bits = mix(state)
            binary[i, j] = np.float64(bits >> np.uint64(32)) < image[j] * unit
            binary[i, j + 1] = np.float64(bits & np.uint64(0xFFFFFFFF)) < image[j + 1] * unit
        if count % 2:
            state += _STEP
            binary[i, count - 1] = np.float64(mix(state) >> np.uint64(32)) < image[-1] * unit
