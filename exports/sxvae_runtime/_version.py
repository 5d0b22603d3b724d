"""The version of both distributions, `sxvae-runtime` and `sxvae`. It stands nowhere else."""

__version__ = "0.1.0"
