"""A bundle behind HTTP: what `sxvae serve` runs. Needs the extra `serve`, and no PyTorch."""
